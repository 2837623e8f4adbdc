// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What both Arm formats have in common: VMSAv8-64 descriptors with a 4 KiB granule.
//!
//! Arm ARM (DDI 0487), D8.3 "Translation table descriptor formats". Descriptors of both stages
//! agree on everything but the attributes of a leaf, which each format lists.

use super::{Entry, Format, Table, when};
use crate::level::Level;
use crate::mapping::{Access, Leaf, Memory, Pa};

/// Bit 0: the descriptor is valid.
const VALID: u64 = 1 << 0;
/// Bit 1: a table; at the last level, where there is nothing below, a page. Clear: a block.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// Bits 9:8, SH = 0b11: inner shareable, as all cores and the walkers are (TCR, VTCR). Ignored for device memory.
const INNER_SHAREABLE: u64 = 0b11 << 8;
/// Bit 10, AF: set from the start, or the first access would fault.
const ACCESS_FLAG: u64 = 1 << 10;
/// Bits 47:12: the output address, or that of the next table.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
/// Bit 54, XN: no instruction fetches. Stage 2 reads bit 53 along with it; zero means "at no exception level".
const EXECUTE_NEVER: u64 = 1 << 54;
/// Bit 55: ignored by the hardware. Here: a table linked from another root.
const SHARED: u64 = 1 << 55;

/// The attributes of a format's leaves.
pub(super) trait Vmsa {
    /// Whether all that it maps is for partitions, or nothing.
    const USER: bool;
    /// Whether memory may be writable and executable.
    const MAY_WRITE_CODE: bool = false;
    /// The kinds of memory that it can express.
    const MEMORY: &'static [(Memory, u64)];
    /// The bits of memory kinds and rights.
    const ATTRIBUTES: u64;

    /// The bits of an access; `None` if there is no such access.
    fn rights(read: bool, write: bool) -> Option<u64>;

    /// The bits of a kind of memory with an access.
    fn attributes(memory: Memory, access: Access) -> Option<u64> {
        let (_, kind) = Self::MEMORY.iter().find(|kind| kind.0 == memory)?;
        Some(kind | Self::rights(access.read, access.write)?)
    }
}

impl<V: Vmsa> Format for V {
    const ROOT: Level = Level::Gib1;
    const LEAVES: &'static [Level] = &[Level::Gib1, Level::Mib2, Level::Kib4];
    const SIGN_EXTENDED: bool = false;
    /// Without FEAT_LPA2.
    const PHYSICAL_BITS: u32 = 48;
    const WRITABLE_CODE: bool = V::MAY_WRITE_CODE;

    fn supports(_va: u64, access: Access, memory: Memory) -> bool {
        access.user == V::USER && V::attributes(memory, access).is_some()
    }

    fn user_may_pass(_va: u64) -> bool {
        V::USER
    }

    /// The hierarchical attributes (bits 63:59) restrict nothing.
    fn table(table: Table) -> u64 {
        VALID | TABLE_OR_PAGE | (table.pa.0 & ADDRESS) | when(table.shared, SHARED)
    }

    fn leaf(leaf: Leaf, level: Level) -> u64 {
        let common = VALID | ACCESS_FLAG | INNER_SHAREABLE | (leaf.pa.0 & ADDRESS);
        let page = when(level == Level::Kib4, TABLE_OR_PAGE) | when(!leaf.access.execute, EXECUTE_NEVER);
        common | page | V::attributes(leaf.memory, leaf.access).unwrap_or(0)
    }

    fn decode(word: u64, level: Level) -> Entry {
        let pa = Pa(word & ADDRESS);
        if level != Level::Kib4 && word & TABLE_OR_PAGE != 0 {
            return Entry::Table(Table { pa, user: V::USER, shared: word & SHARED != 0 });
        }
        let execute = word & EXECUTE_NEVER == 0;
        let rights = [(true, true), (true, false), (false, true), (false, false)];
        let all = V::MEMORY.iter().flat_map(|&(memory, _)| rights.map(|rights| (memory, rights)));
        let mut leaves = all.map(|(memory, (read, write))| {
            let access = Access { read, write, execute, user: V::USER };
            (V::attributes(memory, access), Leaf { pa, access, memory })
        });
        let found = leaves.find(|(attributes, _)| *attributes == Some(word & V::ATTRIBUTES));
        found.map_or(Entry::Malformed, |(_, leaf)| Entry::Leaf(leaf))
    }
}
