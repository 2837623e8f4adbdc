// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Entries: what becomes of the guest's bits (Intel SDM, Vol. 3A, §4.5.4).
//!
//! ```text
//!   63 62......52 51.............12 11..9 8 7  6 5 4   3   2  1  0
//!   NX  ignored   frame             avl   G PS D A PCD PWT US RW P
//!   |             |                       |  | | |  |   |  |  |
//!   kept          looked up               0  | 1 1  0   0  1  kept (leaf: if D, and the region lets)
//!                                            refused above level 1 (in a leaf: PAT, 0)
//! ```
//! All that is mapped is the partition's memory, write-back cached, for ring 3, and not global, since a
//! load of CR3 has to flush it.

use crate::Error;

/// Bit 0, P.
pub(crate) const PRESENT: u64 = 1 << 0;
/// Bit 1, R/W.
pub(crate) const WRITE: u64 = 1 << 1;
/// Bit 2, U/S.
pub(crate) const USER: u64 = 1 << 2;
/// Bit 5, A.
pub(crate) const ACCESSED: u64 = 1 << 5;
/// From bit 1 to bit 6.
const TO_DIRTY: u32 = 5;
/// Bit 6, D: dirty.
const DIRTY: u64 = WRITE << TO_DIRTY;
/// Bit 7, PS: a large page, or reserved, where there could be a table.
pub(crate) const LARGE: u64 = 1 << 7;
/// Bits 51:12.
pub(crate) const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bit 63, XD.
pub(crate) const NO_EXECUTE: u64 = 1 << 63;
/// Address bits within a page.
pub(crate) const PAGE_BITS: u32 = 12;

/// The most regions that a guest's memory may have.
pub const REGIONS: usize = 8;

/// Memory of the partition: where a range of the guest's physical addresses lies. Made for the leaf: masks, no flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub(crate) address: u64,
    pub(crate) bytes: u64,
    pub(crate) physical: u64,
    /// [`WRITE`], if the guest may.
    pub(crate) may: u64,
    /// What every leaf has; [`NO_EXECUTE`] too, if the guest may not.
    pub(crate) base: u64,
}

impl Region {
    /// Takes what the plan says of a region of the guest's space; multiples of 4 KiB.
    #[must_use]
    pub const fn new(address: u64, bytes: u64, physical: u64, write: bool, execute: bool) -> Region {
        let base = PRESENT | USER | ACCESSED | if execute { 0 } else { NO_EXECUTE };
        Region { address, bytes, physical, may: if write { WRITE } else { 0 }, base }
    }

    /// Where an address lies, if it is in this region.
    #[inline]
    const fn place(&self, address: u64) -> Option<u64> {
        let offset = address.wrapping_sub(self.address);
        if offset < self.bytes { Some(self.physical + offset) } else { None }
    }
}

impl Region {
    /// A leaf of the kernel's for an entry of the guest's; 0 if that isn't present, or not accessed so far. `None`: it is
    /// not in this region.
    #[inline(always)]
    pub(crate) const fn leaf(&self, entry: u64) -> Option<u64> {
        let lacks = !entry;
        if lacks & (PRESENT | ACCESSED) != 0 {
            return Some(0);
        }
        let kept = entry & (ADDRESS | NO_EXECUTE);
        // Without the uppermost bit, which is no address's.
        if kept.wrapping_sub(self.address) << 1 >= self.bytes << 1 {
            return None;
        }
        let word = kept.wrapping_add(self.physical.wrapping_sub(self.address)) | self.base;
        // Both bits of the entry, or neither; and only if the region lets.
        Some(if lacks & (WRITE | DIRTY) == 0 { word | self.may | self.may << TO_DIRTY } else { word })
    }
}

/// Where an address of the guest's lies, and in which region.
#[inline]
pub(crate) fn locate(regions: &[Region], address: u64) -> Option<(u64, &Region)> {
    regions.iter().find_map(|region| Some((region.place(address)?, region)))
}

/// The guest frame that an entry names.
pub(crate) const fn frame(entry: u64) -> u64 {
    (entry & ADDRESS) >> PAGE_BITS
}

/// A leaf of the kernel's for an entry of the guest's; 0 if that isn't present, or not accessed so far.
#[inline]
pub(crate) fn leaf(regions: &[Region], entry: u64) -> Result<u64, Error> {
    if entry & (PRESENT | ACCESSED) != PRESENT | ACCESSED {
        return Ok(0);
    }
    let (_, region) = locate(regions, entry & ADDRESS).ok_or(Error::NotYours)?;
    Ok(region.leaf(entry).unwrap_or(0))
}

/// A reference to a table of the kernel's for a present one of the guest's.
pub(crate) const fn reference(entry: u64, table: u64) -> u64 {
    table | PRESENT | USER | ACCESSED | (entry & (WRITE | NO_EXECUTE))
}
