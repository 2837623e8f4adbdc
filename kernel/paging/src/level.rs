// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Levels, named by what one entry spans.
//!
//! Arm counts its levels down from the root and Intel up to it; a span means the same in both.
//! Deliberately not `Ord`: which of two levels is "higher" depends on whose manual one has read.

use crate::tables::ENTRIES;

/// A level of a page table, by the span of one entry; its number is the address bits below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Pages. Arm: level 3; Intel: page table.
    Kib4 = 12,
    /// Arm: level 2; Intel: page directory.
    Mib2 = 21,
    /// Arm: level 1; Intel: page-directory-pointer table.
    Gib1 = 30,
    /// Arm: level 0; Intel: PML4.
    Gib512 = 39,
}

impl Level {
    /// Returns how many bytes one entry spans.
    pub const fn size(self) -> u64 {
        1 << self as u32
    }

    /// Returns how many bytes a whole table of this level spans.
    pub const fn table_size(self) -> u64 {
        self.size() * ENTRIES as u64
    }

    /// Returns which entry of a table of this level is responsible for `va`.
    pub const fn index(self, va: u64) -> usize {
        (va >> self as u32) as usize % ENTRIES
    }

    /// Returns the level of the tables that entries of this one refer to; pages refer to none.
    pub const fn below(self) -> Option<Level> {
        match self {
            Level::Kib4 => None,
            Level::Mib2 => Some(Level::Kib4),
            Level::Gib1 => Some(Level::Mib2),
            Level::Gib512 => Some(Level::Gib1),
        }
    }
}
