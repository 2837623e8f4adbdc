// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Memory as the page-table service sees it: through the partition's private window, so only while one of
//! its roots is loaded.

use crate::layout::{PAGE, private};
use parzelle_tables::Memory;

/// The window.
#[derive(Debug)]
pub(super) struct Window {
    pool: u64,
    frames: u32,
}

impl Window {
    /// Onto the pool of `frames` frames at `pool` (physical), and the partition's memory.
    ///
    /// # Safety
    /// Whenever the value is used, the loaded root maps both in its private window, the pool writable; nobody
    /// else writes to the pool, and Rust holds no reference into either.
    pub(super) const unsafe fn new(pool: u64, frames: u32) -> Window {
        Window { pool, frames }
    }

    /// Where an entry of the pool lies: made to be one of it, whatever is asked.
    fn place(&self, table: u32, index: usize) -> *mut u64 {
        let table = if table < self.frames { table } else { 0 };
        private(self.pool + u64::from(table) * PAGE + (index as u64 % (PAGE / 8)) * 8) as *mut u64
    }
}

impl Memory for Window {
    fn entry(&self, table: u32, index: usize) -> u64 {
        // SAFETY: in the pool, by the contract of `new`. The processor reads there, too, but never writes
        // (invariant 7 of the service).
        unsafe { self.place(table, index).read_volatile() }
    }

    fn set_entry(&mut self, table: u32, index: usize, word: u64) {
        // SAFETY: as above; one store of 64 bits, so the processor sees the old or the new entry.
        unsafe { self.place(table, index).write_volatile(word) };
    }

    fn guest(&self, physical: u64) -> u64 {
        // SAFETY: the service asks for nothing but what lies in a region of the partition (contract of
        // `Memory`), which the window shows, by the contract of `new`. The partition may write there at any time.
        unsafe { (private(physical) as *const u64).read_volatile() }
    }
}
