// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where tables lie: the boundary between the walker and memory.

use crate::mapping::Pa;

/// Entries in a table, in every format that is built here: 4 KiB of 8-byte words.
pub const ENTRIES: usize = 512;

/// What [`Tables::read`] answers for an address at which there is no table.
///
/// All ones is malformed in every format (a test holds this), so a walk that went astray stops there.
pub const NOT_A_TABLE: u64 = u64::MAX;

/// Memory that page tables are made of.
///
/// Frames are given out and never taken back: the tables are static.
pub trait Tables {
    /// Gives out a table: 4 KiB, aligned to its size, all zero, not given out before.
    /// `None` when there is none left.
    fn alloc(&mut self) -> Option<Pa>;

    /// Reads entry `index` of the table at `table`, or [`NOT_A_TABLE`] if this memory has no such table.
    fn read(&self, table: Pa, index: usize) -> u64;

    /// Writes entry `index` of the table at `table`, as one store of 64 bits.
    ///
    /// The walker only writes to tables that it read from or got from [`alloc`](Tables::alloc);
    /// for any other address an implementation does nothing.
    fn write(&mut self, table: Pa, index: usize, entry: u64);
}
