// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Intel VT-d second-level tables: what the devices of a partition reach.
//!
//! Three levels, 39 bits of address: context entries say so (VT-d specification, §9.8 for the
//! entries). A table entry that lets everything pass leaves the decision to the leaf. Pages only:
//! larger leaves are a capability, and what devices reach is small. The bits that choose caching or
//! snooping stay clear; they are reserved or ignored in legacy mode without those capabilities.

use super::{Entry, Format, Table, when};
use crate::level::Level;
use crate::mapping::{Access, Leaf, Memory, Pa};

/// Bit 0, R.
const READ: u64 = 1 << 0;
/// Bit 1, W.
const WRITE: u64 = 1 << 1;
/// Bits 51:12: the physical address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bit 52: ignored by the hardware. Here: a table linked from another root.
const SHARED: u64 = 1 << 52;

/// Second-level tables, as a context entry takes them.
#[derive(Debug)]
pub enum SecondLevel {}

impl Format for SecondLevel {
    const ROOT: Level = Level::Gib1;
    const LEAVES: &'static [Level] = &[Level::Kib4];
    const SIGN_EXTENDED: bool = false;
    const PHYSICAL_BITS: u32 = 52;

    fn supports(_va: u64, access: Access, memory: Memory) -> bool {
        access.user && !access.execute && memory == Memory::Normal
    }

    fn user_may_pass(_va: u64) -> bool {
        true
    }

    fn table(table: Table) -> u64 {
        READ | WRITE | (table.pa.0 & ADDRESS) | when(table.shared, SHARED)
    }

    fn leaf(leaf: Leaf, _level: Level) -> u64 {
        (leaf.pa.0 & ADDRESS) | when(leaf.access.read, READ) | when(leaf.access.write, WRITE)
    }

    fn decode(word: u64, level: Level) -> Entry {
        let pa = Pa(word & ADDRESS);
        if level != Level::Kib4 {
            return Entry::Table(Table { pa, user: true, shared: word & SHARED != 0 });
        }
        match (word & READ != 0, word & WRITE != 0) {
            (false, false) => Entry::Malformed,
            (read, write) => Entry::Leaf(Leaf {
                pa,
                access: Access { read, write, execute: false, user: true },
                memory: Memory::Normal,
            }),
        }
    }
}
