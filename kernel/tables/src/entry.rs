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

/// Bit 0, P.
pub(crate) const PRESENT: u64 = 1 << 0;
/// Bit 1, R/W.
pub(crate) const WRITE: u64 = 1 << 1;
/// Bit 2, U/S.
pub(crate) const USER: u64 = 1 << 2;
/// Bit 5, A.
pub(crate) const ACCESSED: u64 = 1 << 5;
/// Bit 6, D.
pub(crate) const DIRTY: u64 = 1 << 6;
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

/// Memory of the partition: guest frames that follow one another, physically too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first guest frame.
    pub frame: u64,
    /// Frames.
    pub count: u64,
    /// Where the first lies; a multiple of 4 KiB.
    pub physical: u64,
    /// The guest may write.
    pub write: bool,
    /// The guest may execute.
    pub execute: bool,
}

impl Region {
    /// Where a guest frame lies, if it is in this region.
    #[inline]
    fn physical(&self, frame: u64) -> Option<u64> {
        let offset = frame.wrapping_sub(self.frame);
        (offset < self.count).then(|| self.physical + (offset << PAGE_BITS))
    }
}

/// Where a guest frame lies, and in which region.
#[inline]
pub(crate) fn locate(regions: &[Region], frame: u64) -> Option<(u64, &Region)> {
    regions.iter().find_map(|region| Some((region.physical(frame)?, region)))
}

/// The guest frame that an entry names.
pub(crate) const fn frame(entry: u64) -> u64 {
    (entry & ADDRESS) >> PAGE_BITS
}

/// A leaf of the kernel's for a present one of the guest's; 0 if the guest doesn't call it accessed.
pub(crate) const fn leaf(entry: u64, physical: u64, region: &Region) -> u64 {
    if entry & ACCESSED == 0 {
        return 0;
    }
    let write = if region.write && entry & DIRTY != 0 { entry & WRITE } else { 0 };
    let dirty = if write != 0 { DIRTY } else { 0 };
    let no_execute = if region.execute { entry & NO_EXECUTE } else { NO_EXECUTE };
    physical | PRESENT | USER | ACCESSED | write | dirty | no_execute
}

/// A reference to a table of the kernel's for a present one of the guest's.
pub(crate) const fn reference(entry: u64, table: u64) -> u64 {
    table | PRESENT | USER | ACCESSED | (entry & (WRITE | NO_EXECUTE))
}
