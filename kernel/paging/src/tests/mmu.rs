// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! An independent reader: what the hardware makes of the words in memory.
//!
//! Written from the manuals a second time, with numbers in place of names and nothing taken from the
//! formats, so that a misplaced bit doesn't agree with itself.

use crate::format::{AnyStage2, El2, Format, LongMode, SecondLevel};
use crate::mapping::{Access, Leaf, Memory, Pa};

/// A format for which there is a model of the hardware.
pub(super) trait Mmu: Format {
    /// Translates `va` as the hardware would; `read` gives the eight bytes at a physical address.
    fn look(read: &dyn Fn(u64) -> u64, root: u64, va: u64) -> Option<Leaf>;
}

/// Walks from Arm's level 1: returns the descriptor of a block or page, and the output address.
fn arm(read: &dyn Fn(u64) -> u64, root: u64, va: u64) -> Option<(u64, u64)> {
    if va >= 1 << 39 {
        return None;
    }
    let mut table = root;
    for (level, bit) in [(1, 30), (2, 21), (3, 12)] {
        let descriptor = read(table + ((va >> bit) & 0x1ff) * 8);
        let address = descriptor & 0xffff_ffff_f000;
        match (descriptor & 3, level) {
            (3, 3) | (1, 1 | 2) => {
                let within = (1 << bit) - 1;
                assert_eq!(address & within, 0, "bits below a block's address are reserved");
                assert_eq!(descriptor & (1 << 10), 1 << 10, "access flag fault");
                assert_eq!(descriptor & 0x300, 0x300, "inner shareable");
                return Some((descriptor, address | (va & within)));
            }
            (3, _) => {
                assert_eq!(descriptor >> 59, 0, "hierarchical attributes");
                table = address;
            }
            _ => return None,
        }
    }
    None
}

impl<const GUEST: bool> Mmu for AnyStage2<GUEST> {
    fn look(read: &dyn Fn(u64) -> u64, root: u64, va: u64) -> Option<Leaf> {
        let (descriptor, pa) = arm(read, root, va)?;
        let memory = match descriptor >> 2 & 0xf {
            0xf => Memory::Normal,
            0x1 => Memory::Device,
            _ => return None,
        };
        let access = Access {
            read: descriptor & 0x40 != 0,
            write: descriptor & 0x80 != 0,
            execute: descriptor >> 53 & 3 == 0,
            user: true,
        };
        Some(Leaf { pa: Pa(pa), access, memory })
    }
}

impl Mmu for El2 {
    fn look(read: &dyn Fn(u64) -> u64, root: u64, va: u64) -> Option<Leaf> {
        let (descriptor, pa) = arm(read, root, va)?;
        assert_eq!(descriptor & 0x40, 0x40, "AP[1] is reserved, one");
        let memory = match El2::MAIR >> (8 * (descriptor >> 2 & 7)) & 0xff {
            0xff => Memory::Normal,
            0x04 => Memory::Device,
            _ => return None,
        };
        let access =
            Access { read: true, write: descriptor & 0x80 == 0, execute: descriptor >> 54 & 1 == 0, user: false };
        Some(Leaf { pa: Pa(pa), access, memory })
    }
}

impl Mmu for LongMode {
    fn look(read: &dyn Fn(u64) -> u64, root: u64, va: u64) -> Option<Leaf> {
        let top = va >> 47;
        if top != 0 && top != 0x1_ffff {
            return None;
        }
        let mut table = root;
        let mut all = u64::MAX;
        let mut no_execute = 0;
        for bit in [39, 30, 21, 12] {
            let entry = read(table + ((va >> bit) & 0x1ff) * 8);
            if entry & 1 == 0 {
                return None;
            }
            all &= entry;
            no_execute |= entry >> 63;
            let address = entry & 0xf_ffff_ffff_f000;
            if bit == 12 || entry & 0x80 != 0 {
                let within = (1 << bit) - 1;
                assert!(bit == 12 || bit == 21, "large pages have 2 MiB");
                assert_eq!(address & within, 0, "reserved, or the PAT bit");
                assert_ne!(all & 0x20, 0, "the hardware would set an accessed bit");
                assert!(entry & 2 == 0 || entry & 0x40 != 0, "the hardware would set a dirty bit");
                let memory = match entry & 0x18 {
                    0 => Memory::Normal,
                    0x18 => Memory::Device,
                    _ => return None,
                };
                let access = Access { read: true, write: all & 2 != 0, execute: no_execute == 0, user: all & 4 != 0 };
                return Some(Leaf { pa: Pa(address | (va & within)), access, memory });
            }
            table = address;
        }
        None
    }
}

impl Mmu for SecondLevel {
    fn look(read: &dyn Fn(u64) -> u64, root: u64, va: u64) -> Option<Leaf> {
        if va >= 1 << 39 {
            return None;
        }
        let (mut table, mut all) = (root, 3);
        for bit in [30, 21, 12] {
            let entry = read(table + ((va >> bit) & 0x1ff) * 8);
            if entry & 3 == 0 {
                return None;
            }
            assert_eq!(entry & 0x80, 0, "large pages are a capability");
            assert_eq!(entry & 0x87c, 0, "caching, execution and snooping are modes and capabilities");
            all &= entry;
            table = entry & 0xf_ffff_ffff_f000;
        }
        let access = Access { read: all & 1 != 0, write: all & 2 != 0, execute: false, user: true };
        Some(Leaf { pa: Pa(table | (va & 0xfff)), access, memory: Memory::Normal })
    }
}
