// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Entries of the guest's tables (Intel SDM, Vol. 3A, §4.5.4), and how a table is looked through.
//!
//! The guest's entries hold what the guest gave, bit by bit: what they mean to the processor is the
//! kernel's to decide. Here they are only read to find tables, and faults that are the shim's.

use core::ops::Range;

use crate::memory::Page;

/// Entries of a table.
pub(super) const ENTRIES: u64 = 512;
/// Entries of a line.
pub(super) const LINE: u64 = 8;
/// The level of a root.
pub(super) const ROOT: u8 = 4;
/// Slots of a root that are the kernel's and the shim's: the guest's entries there mean nothing.
pub(super) const RESERVED: Range<u64> = 256..272;
/// Their lines.
const RESERVED_LINES: u64 = 0b11 << (RESERVED.start / LINE);

/// Present.
pub(super) const PRESENT: u64 = 1 << 0;
/// Writable.
pub(super) const WRITE: u64 = 1 << 1;
/// For user programs.
pub(super) const USER: u64 = 1 << 2;
/// Accessed.
pub(super) const ACCESSED: u64 = 1 << 5;
/// Dirty.
pub(super) const DIRTY: u64 = 1 << 6;
/// A large page, above level 1.
pub(super) const LARGE: u64 = 1 << 7;
/// Not executable.
pub(super) const NO_EXECUTE: u64 = 1 << 63;
/// Both, without which nothing is installed for a leaf.
const INSTALLED: u64 = PRESENT | ACCESSED;

/// The frame that an entry names.
pub(super) const fn frame(entry: u64) -> u64 {
    (entry & 0x000f_ffff_ffff_f000) >> 12
}

/// Whether the kernel installs something for a leaf.
pub(super) const fn is_installed(entry: u64) -> bool {
    entry & INSTALLED == INSTALLED
}

/// A present entry for the guest's kernel alone: it is used at once.
pub(super) const fn is_for_kernel(entry: u64) -> bool {
    entry & (PRESENT | USER) == PRESENT
}

/// Which entry of a table of this level an address uses.
pub(super) const fn index(address: u64, level: u8) -> u64 {
    address >> (3 + 9 * level as u32) & (ENTRIES - 1)
}

/// Whether a slot is none of the guest's.
pub(super) fn is_reserved(level: u8, index: u64) -> bool {
    level == ROOT && RESERVED.contains(&index)
}

/// Reads an entry.
pub(super) fn load(page: &impl Page, index: u64) -> u64 {
    page.load64(index as usize * 8)
}

/// Goes through what is present in lines (8 entries) of a table, but for what is not the guest's: index, entry.
///
/// # Errors
/// The first of `each`, which ends it.
#[inline(always)]
pub(super) fn present<E>(
    page: &impl Page,
    level: u8,
    lines: u64,
    mut each: impl FnMut(u64, u64) -> Result<(), E>,
) -> Result<(), E> {
    let mut left = if level == ROOT { lines & !RESERVED_LINES } else { lines };
    while left != 0 {
        let first = u64::from(left.trailing_zeros()) * LINE;
        for index in first..first + LINE {
            let entry = load(page, index);
            if entry & PRESENT != 0 {
                each(index, entry)?;
            }
        }
        left &= left - 1;
    }
    Ok(())
}
