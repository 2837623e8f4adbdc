// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Kernels of guests: from the file that a distribution ships to what the shim loads.
//!
//! ```text
//!   aarch64   Image ──────────────────────────────▶ as it is
//!   x86-64    bzImage ─▶ payload ─▶ unpacked ELF ─▶ its notes for Xen guests are looked at
//! ```
//!
//! A bzImage begins with code that unpacks the rest; it expects a machine of its own and is not
//! used here. Unpacking takes place once, on the host, and not in the guest's windows.

mod bzimage;
mod payload;

use anyhow::{Context, Result};
use parzelle_resolve::model::Arch;
use parzelle_xen::notes::Kernel;

/// Prepares a guest's kernel.
pub(crate) fn kernel(arch: Arch, file: Vec<u8>) -> Result<Vec<u8>> {
    match arch {
        Arch::Aarch64 => Ok(file),
        Arch::X86_64 => {
            let kernel = if bzimage::is_one(&file) { payload::unpack(bzimage::payload(&file)?)? } else { file };
            Kernel::parse(&kernel).context("it can't be a guest on x86-64")?;
            Ok(kernel)
        }
    }
}

#[cfg(test)]
mod tests {
    use parzelle_xen::start::{Description, Layout};

    use super::*;
    use crate::house;

    /// Debian's kernel as `cargo xtask test` fetches it.
    fn debian() -> Option<Vec<u8>> {
        std::fs::read(house::root().join(".cache/guests/debian-12/x86_64/vmlinuz")).ok()
    }

    #[test]
    fn debians_kernel_is_unpacked_and_can_be_started() {
        let Some(file) = debian() else {
            eprintln!("skipped: `cargo xtask test host` fetches the guest that this needs");
            return;
        };
        let unpacked = kernel(Arch::X86_64, file).unwrap();
        let kernel = Kernel::parse(&unpacked).unwrap();
        assert_eq!(kernel.notes.virt_base, 0xffff_ffff_8000_0000);
        assert_eq!(kernel.notes.init_p2m, Some(0x80_0000_0000));
        assert!(kernel.notes.initrd_by_frame);
        assert!(kernel.segments().count() >= 3);
        let description = Description {
            frames: 256 << 8,
            kernel: &kernel,
            initrd: 20 << 20,
            command_line: b"console=hvc0",
            shared_info: 0,
            console: Some(1),
            store: None,
        };
        let layout = Layout::of(&description).unwrap();
        assert_eq!(layout.entry().rip, kernel.notes.entry);
    }

    /// Those of `cargo xtask test --all`, too; it shows what they say of themselves with `--nocapture`.
    #[test]
    fn every_fetched_kernel_is_unpacked_and_can_be_started() {
        let guests = std::fs::read_dir(house::root().join(".cache/guests"));
        for folder in guests.into_iter().flatten().flatten() {
            let Ok(file) = std::fs::read(folder.path().join("x86_64/vmlinuz")) else { continue };
            let name = folder.file_name().to_string_lossy().into_owned();
            let unpacked = kernel(Arch::X86_64, file).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            let kernel = Kernel::parse(&unpacked).unwrap();
            println!("{name}: {:?}, {:x?}", kernel.extent().unwrap(), kernel.notes);
        }
    }

    #[test]
    fn what_is_no_kernel_says_so() {
        let error = kernel(Arch::X86_64, b"#!/bin/sh".to_vec()).unwrap_err();
        assert_eq!(format!("{error:#}"), "it can't be a guest on x86-64: this is no ELF file for x86-64");
    }
}
