// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The page tables that a guest begins with.
//!
//! One root and two areas, each with L3, L2, L1 tables of its own, in this order, in frames that
//! follow one another. An area is contiguous both ways, so an entry is found by counting.

use super::Impossible;
use crate::abi::PAGE;

/// Entries of a table.
const ENTRIES: u64 = 512;
/// Present, writable, user, accessed, dirty: guests run in ring 3, and Xen hands tables out so.
const ENTRY: u64 = 0x67;
/// The bit that makes it writable.
const WRITABLE: u64 = 2;

/// Bits of an address below the entries of a table of this level.
const fn shift(level: u8) -> u32 {
    3 + 9 * level as u32
}

/// Addresses mapped to frames, both without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) start: u64,
    /// The last byte: an area may end with the address space.
    pub(super) last: u64,
    pub(super) physical: u64,
}

impl Area {
    pub(super) fn of(start: u64, size: u64, physical: u64) -> Result<Self, Impossible> {
        let last = size.checked_sub(1).and_then(|rest| start.checked_add(rest)).ok_or(Impossible::Places)?;
        let canonical = |address: u64| (address.cast_signed() << 16 >> 16).cast_unsigned() == address;
        // Both ends in one half of the address space: then all of it is.
        let fits = start.is_multiple_of(PAGE) && canonical(start) && canonical(last) && start >> 63 == last >> 63;
        if fits { Ok(Self { start, last, physical }) } else { Err(Impossible::Places) }
    }

    pub(super) const fn size(&self) -> u64 {
        self.last - self.start + 1
    }

    /// How many tables of this level it takes.
    const fn tables_of(&self, level: u8) -> u64 {
        let shift = shift(level + 1);
        (self.last >> shift) - (self.start >> shift) + 1
    }

    /// How many tables it takes below the root.
    pub(super) const fn tables(&self) -> u64 {
        self.tables_of(3) + self.tables_of(2) + self.tables_of(1)
    }

    pub(super) const fn shares_a_slot(&self, other: &Self) -> bool {
        let shift = shift(4);
        self.start >> shift <= other.last >> shift && other.start >> shift <= self.last >> shift
    }

    /// Number of the first table of a level, among the area's.
    const fn first_of(&self, level: u8) -> u64 {
        match level {
            3 => 0,
            2 => self.tables_of(3),
            _ => self.tables_of(3) + self.tables_of(2),
        }
    }

    /// Where the entry for the unit of `level` that begins at `address` points, if it is in the area:
    /// to memory for level 1, otherwise to a table, the area's tables beginning at `tables`.
    fn target(&self, level: u8, address: u64, tables: u64) -> Option<u64> {
        let unit = shift(level);
        if address >> unit < self.start >> unit || address >> unit > self.last >> unit {
            return None;
        }
        match level {
            1 => Some(self.physical + (address - self.start)),
            _ => {
                let number = self.first_of(level - 1) + ((address >> unit) - (self.start >> unit));
                Some(tables + PAGE * number)
            }
        }
    }
}

/// A page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its pseudo-physical address.
    pub physical: u64,
    /// 4: the root, 1: its entries point to memory.
    pub level: u8,
    /// The address that its first entry maps.
    base: u64,
    second: bool,
}

/// All page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tables {
    first: Area,
    first_at: u64,
    second: Option<Area>,
    second_at: u64,
}

impl Tables {
    /// `first_at`: the root, then the tables of the first area. `second_at`: those of the second.
    pub(super) const fn new(first: Area, first_at: u64, second: Option<Area>, second_at: u64) -> Self {
        Self { first, first_at, second, second_at }
    }

    /// The root's physical address.
    #[must_use]
    pub const fn root(&self) -> u64 {
        self.first_at
    }

    /// Tables of the first mapping: what `nr_pt_frames` tells.
    #[must_use]
    pub const fn first_frames(&self) -> u64 {
        1 + self.first.tables()
    }

    /// All tables, each after the one that points to it: the root first, then level by level for
    /// each area.
    pub fn iter(&self) -> impl Iterator<Item = Table> + '_ {
        let root = Table { physical: self.first_at, level: 4, base: 0, second: false };
        let of = |area: Area, at: u64, second: bool| {
            [3u8, 2, 1].into_iter().flat_map(move |level| {
                (0..area.tables_of(level)).map(move |number| {
                    let base = ((area.start >> shift(level + 1)) + number) << shift(level + 1);
                    Table { physical: at + PAGE * (area.first_of(level) + number), level, base, second }
                })
            })
        };
        let second = self.second.into_iter().flat_map(move |area| of(area, self.second_at, true));
        core::iter::once(root).chain(of(self.first, self.first_at + PAGE, false)).chain(second)
    }

    /// An entry of a table; 0: nothing there.
    #[must_use]
    pub fn entry(&self, table: &Table, index: u64) -> u64 {
        let first_tables = self.first_at + PAGE;
        let address = match table.level {
            // The upper half of the root is the upper half of the address space.
            4 => ((index << shift(4)).cast_signed() << 16 >> 16).cast_unsigned(),
            level => table.base + (index << shift(level)),
        };
        let second = || self.second?.target(table.level, address, self.second_at);
        let target = match table.level {
            4 => self.first.target(4, address, first_tables).or_else(second),
            _ if table.second => second(),
            level => self.first.target(level, address, first_tables),
        };
        match target {
            None => 0,
            Some(at) if table.level == 1 && self.is_table(at) => at | ENTRY & !WRITABLE,
            Some(at) => at | ENTRY,
        }
    }

    /// Indices of a table.
    pub(super) const fn indices() -> core::ops::Range<u64> {
        0..ENTRIES
    }

    /// Whether a frame is a table: guests may only read those.
    fn is_table(&self, at: u64) -> bool {
        let within = |start: u64, count: u64| (start..start + PAGE * count).contains(&at);
        within(self.first_at, self.first_frames())
            || self.second.is_some_and(|area| within(self.second_at, area.tables()))
    }
}
