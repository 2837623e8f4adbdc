// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Puts kernel, initrd and device tree into the guest's memory.

use parzelle_shim_board::fdt::{self, Description};
use parzelle_shim_board::load::{Image, RamTooSmall, layout};
use parzelle_shim_board::map::Range;
use parzelle_shim_board::xen::Pages;

use crate::cache;
use crate::failure::Failure;

/// Where the guest's first vCPU begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its program counter.
    pub entry: u64,
    /// What it finds in x0.
    pub device_tree: u64,
}

/// Loads a guest into `memory`, which it sees at `ram`. `pages`: it has Xen's interface.
///
/// # Errors
/// Says what is wrong with the files, or how much memory it would take.
pub fn load(
    memory: &mut [u8],
    ram: Range,
    kernel: &[u8],
    initrd: &[u8],
    cmdline: &str,
    vcpus: usize,
    pages: Option<&Pages>,
) -> Result<Start, Failure> {
    let image = Image::parse(kernel)?;
    let told = pages.map_or(ram, |pages| pages.ram);
    let layout = layout(told, &image, kernel.len() as u64, initrd.len() as u64)?;

    let all = part(memory, ram, layout.kernel)?;
    copy(all, kernel);
    cache::clean(all);
    if let Some(range) = layout.initrd {
        let all = part(memory, ram, range)?;
        copy(all, initrd);
        cache::clean(all);
    }
    let description = Description {
        ram: Some(told),
        vcpus,
        bootargs: cmdline,
        initrd: layout.initrd,
        grants: pages.map(|pages| pages.grants),
        // Nothing here is random, and a seed that isn't would be trusted.
        rng_seed: None,
        kaslr_seed: None,
    };
    if let Some(pages) = pages {
        part(memory, ram, pages.all)?.fill(0);
    }
    let tree = part(memory, ram, layout.device_tree)?;
    fdt::write(&description, tree).map_err(|error| Failure::no_room(error, cmdline))?;
    cache::clean(tree);
    Ok(Start { entry: layout.entry, device_tree: layout.device_tree.start })
}

/// The bytes at a guest physical range.
fn part(memory: &mut [u8], ram: Range, range: Range) -> Result<&mut [u8], RamTooSmall> {
    let has = memory.len() as u64;
    let from = range.start.wrapping_sub(ram.start);
    let end = from.saturating_add(range.size);
    memory.get_mut(from as usize..end as usize).ok_or(RamTooSmall { has, needs: end })
}

/// Copies a file to the start of its place.
fn copy(to: &mut [u8], from: &[u8]) {
    if let Some(to) = to.get_mut(..from.len()) {
        to.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;
    use std::vec;

    const RAM: Range = Range { start: 0x4000_0000, size: 32 << 20 };

    /// A kernel of 4 KiB that takes 3 MiB.
    fn kernel() -> vec::Vec<u8> {
        let mut kernel = vec![0x5a; 4096];
        kernel[8..16].copy_from_slice(&0u64.to_le_bytes());
        kernel[16..24].copy_from_slice(&(3u64 << 20).to_le_bytes());
        kernel[24..32].copy_from_slice(&0xau64.to_le_bytes());
        kernel[56..60].copy_from_slice(b"ARM\x64");
        kernel
    }

    #[test]
    fn everything_lies_where_the_guest_is_told() {
        let mut memory = vec![0; RAM.size as usize];
        let (kernel, initrd) = (kernel(), vec![7; 1000]);
        let start = load(&mut memory, RAM, &kernel, &initrd, "quiet", 1, None).unwrap();
        assert_eq!(start.entry, RAM.start);
        assert_eq!(memory[..4096], kernel);
        let tree = (start.device_tree - RAM.start) as usize;
        assert_eq!(memory[tree..tree + 4], [0xd0, 0x0d, 0xfe, 0xed]);
        assert_eq!(start.device_tree % (2 << 20), 0);
        assert!(memory[tree..].windows(1000).any(|part| part == initrd));
    }

    #[test]
    fn what_can_not_be_started_is_said() {
        let mut memory = vec![0; 8 << 20];
        let small = Range { size: 8 << 20, ..RAM };
        let error = load(&mut memory, small, &kernel(), &[], "", 1, None).unwrap_err();
        assert!(error.to_string().contains("at least"), "{error}");
        let error = load(&mut memory, small, b"\x1f\x8b\x08\x00", &[], "", 1, None).unwrap_err();
        assert!(error.to_string().contains("gzip"), "{error}");
        let long = "x".repeat(70_000);
        let mut memory = vec![0; RAM.size as usize];
        let error = load(&mut memory, RAM, &kernel(), &[], &long, 1, None).unwrap_err();
        assert_eq!(error, Failure::Tree(70_000));
        let error = load(&mut memory[..100], RAM, &kernel(), &[], "", 1, None).unwrap_err();
        assert!(matches!(error, Failure::Ram(_)), "a range that is longer than the memory");
    }
}
