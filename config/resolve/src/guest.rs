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

use parzelle_abi::PAGE;
use parzelle_xen::notes::{Kernel, Unfit};
use parzelle_xen::start::{Description, Impossible, Layout};

use crate::model::Arch;

/// Prepares a guest's kernel.
///
/// # Errors
/// What the file is, if it is no kernel that can be prepared: "a bzImage that …".
pub fn kernel(arch: Arch, file: Vec<u8>) -> Result<Vec<u8>, String> {
    match arch {
        Arch::X86_64 if bzimage::is_one(&file) => payload::unpack(bzimage::payload(&file)?),
        _ => Ok(file),
    }
}

/// Why a guest on x86-64 can't be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The file is no kernel that can: what it is.
    Unfit(String),
    /// Its kernel takes more than the guest has: bytes.
    Kernel(u64),
    /// With its initrd and what it is told at its start it takes more: bytes of the kernel, and in all.
    Room(u64, u64),
}

/// Bytes that are not laid out here: the shim may want a few pages of its own.
const RESERVE: u64 = 1 << 20;
/// Sizes that are proposed are multiples of this.
const STEP: u64 = 2 << 20;

/// Whether an unpacked kernel can be started in so many bytes of memory.
pub(crate) fn fits(kernel: &[u8], initrd: u64, memory: u64) -> Result<(), Obstacle> {
    let kernel = Kernel::parse(kernel).map_err(unfit)?;
    let (_, end) = kernel.extent().map_err(unfit)?;
    if memory < end {
        return Err(Obstacle::Kernel(end));
    }
    // What the guest is told grows with its memory: more memory may need more again.
    let mut enough = memory;
    loop {
        match lay_out(&kernel, initrd, enough.saturating_sub(RESERVE)) {
            Ok(_) if enough == memory => return Ok(()),
            Ok(_) => return Err(Obstacle::Room(end, enough)),
            Err(Impossible::TooSmall { needs }) if enough < 1 << 40 => {
                let least = needs.saturating_mul(PAGE).saturating_add(RESERVE);
                enough = least.max(enough.saturating_add(1)).div_ceil(STEP).saturating_mul(STEP);
            }
            Err(Impossible::TooSmall { .. }) => return Err(Obstacle::Room(end, enough)),
            Err(other) => return Err(Obstacle::Unfit(format!("an ELF file, but {other}"))),
        }
    }
}

/// Lays a guest out as its shim will.
fn lay_out(kernel: &Kernel<'_>, initrd: u64, memory: u64) -> Result<Layout, Impossible> {
    Layout::of(&Description {
        frames: memory / PAGE,
        kernel,
        initrd,
        command_line: b"",
        shared_info: 0,
        console: Some(1),
        store: None,
    })
}

/// Says what a file is that has no notes, or others.
fn unfit(unfit: Unfit) -> Obstacle {
    Obstacle::Unfit(match unfit {
        Unfit::NotElf => "neither a bzImage nor an ELF file for x86-64".to_owned(),
        other => format!("an ELF file, but {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Debian's kernels that have been fetched, by folder: one by `cargo xtask setup`, all by
    /// `cargo xtask test --all`.
    fn fetched() -> impl Iterator<Item = (String, Vec<u8>)> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let folders = std::fs::read_dir(root.join(".cache/guests"));
        folders.into_iter().flatten().flatten().filter_map(|folder| {
            let file = std::fs::read(folder.path().join("x86_64/vmlinuz")).ok()?;
            Some((folder.file_name().to_string_lossy().into_owned(), file))
        })
    }

    #[test]
    fn debians_kernels_are_unpacked_and_can_be_started() {
        let mut count = 0;
        for (name, file) in fetched() {
            can_be_started(&name, file);
            count += 1;
        }
        if count == 0 {
            eprintln!("skipped: `cargo xtask setup` fetches the guest that this needs");
        }
    }

    fn can_be_started(name: &str, file: Vec<u8>) {
        let unpacked = kernel(Arch::X86_64, file).unwrap_or_else(|why| panic!("{name}: {why}"));
        let kernel = Kernel::parse(&unpacked).unwrap_or_else(|why| panic!("{name}: {why}"));
        println!("{name}: {:x?}", kernel.notes);
        assert_eq!(kernel.notes.virt_base, 0xffff_ffff_8000_0000, "{name}");
        assert_eq!(kernel.notes.init_p2m, Some(0x80_0000_0000), "{name}");
        assert!(kernel.notes.initrd_by_frame, "{name}");
        // Text and data; older ones have one for data of processors, too.
        assert!(kernel.segments().count() >= 2, "{name}");
        let known = parzelle_xen::tune::find(&kernel).is_some();
        println!("{name}: tune {}", if known { "knows it" } else { "does not know it" });
        assert!(known || name != "debian-12", "{name}");
        let layout = lay_out(&kernel, 20 << 20, 256 << 20).unwrap();
        assert_eq!(layout.entry().rip, kernel.notes.entry);
        assert_eq!(fits(&unpacked, 20 << 20, 256 << 20), Ok(()));
        let Err(Obstacle::Kernel(least)) = fits(&unpacked, 20 << 20, 16 << 20) else { panic!("too little") };
        let Err(Obstacle::Room(of_kernel, enough)) = fits(&unpacked, 20 << 20, least) else { panic!("just fits") };
        assert_eq!(of_kernel, least);
        assert_eq!(fits(&unpacked, 20 << 20, enough), Ok(()));
    }

    #[test]
    fn what_is_no_kernel_says_so() {
        let text = kernel(Arch::X86_64, b"#!/bin/sh".to_vec()).unwrap();
        let said = Obstacle::Unfit("neither a bzImage nor an ELF file for x86-64".to_owned());
        assert_eq!(fits(&text, 0, 1 << 30), Err(said));
    }
}
