// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What both Arm formats have in common: VMSAv8-64 descriptors with a 4 KiB granule.
//!
//! Arm ARM (DDI 0487), D8.3 "Translation table descriptor formats". Descriptors of both stages
//! agree on everything but the attributes of a leaf, which each format adds.

use super::{Entry, Table, when};
use crate::level::Level;
use crate::mapping::{Leaf, Pa};

/// Bit 0: the descriptor is valid.
pub(super) const VALID: u64 = 1 << 0;
/// Bit 1: a table; at the last level, where there is nothing below, a page. Clear: a block.
pub(super) const TABLE_OR_PAGE: u64 = 1 << 1;
/// Bits 9:8, SH = 0b11: inner shareable, as all cores and the walkers are (TCR, VTCR). Ignored for device memory.
pub(super) const INNER_SHAREABLE: u64 = 0b11 << 8;
/// Bit 10, AF: set from the start, or the first access would fault.
pub(super) const ACCESS_FLAG: u64 = 1 << 10;
/// Bits 47:12: the output address, or that of the next table.
pub(super) const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
/// Bit 54, XN: no instruction fetches. Stage 2 reads bit 53 along with it; zero means "at no exception level".
pub(super) const EXECUTE_NEVER: u64 = 1 << 54;
/// Bit 55: ignored by the hardware. Here: a table linked from another root.
const SHARED: u64 = 1 << 55;

/// Physical address bits of a descriptor without FEAT_LPA2.
pub(super) const PHYSICAL_BITS: u32 = 48;

/// Blocks of 1 GiB and 2 MiB, and pages.
pub(super) const LEAVES: &[Level] = &[Level::Gib1, Level::Mib2, Level::Kib4];

/// Writes down a reference to a table; the hierarchical attributes (bits 63:59) restrict nothing.
pub(super) fn table(table: Table) -> u64 {
    VALID | TABLE_OR_PAGE | (table.pa.0 & ADDRESS) | when(table.shared, SHARED)
}

/// Writes down what each leaf has.
pub(super) fn leaf(leaf: Leaf, level: Level) -> u64 {
    VALID
        | when(level == Level::Kib4, TABLE_OR_PAGE)
        | (leaf.pa.0 & ADDRESS)
        | ACCESS_FLAG
        | INNER_SHAREABLE
        | when(!leaf.access.execute, EXECUTE_NEVER)
}

/// Reads a descriptor; `leaf` reads the attributes of a leaf.
pub(super) fn decode(word: u64, level: Level, user: bool, leaf: impl Fn(Pa) -> Option<Leaf>) -> Entry {
    let pa = Pa(word & ADDRESS);
    if level != Level::Kib4 && word & TABLE_OR_PAGE != 0 {
        Entry::Table(Table { pa, user, shared: word & SHARED != 0 })
    } else {
        leaf(pa).map_or(Entry::Malformed, Entry::Leaf)
    }
}
