// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Tables in a slice of frames: what boot uses.
//!
//! Whoever has carved the frames out of memory (the one unsafe step, not made here) knows their
//! physical address; from there on a table is found by subtraction, checked against the slice.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::level::Level;
use crate::mapping::Pa;
use crate::tables::{ENTRIES, NOT_A_TABLE, Tables};

/// A frame for one table.
///
/// Atomic words, because the hardware's walker may read them while the kernel holds the arena; the
/// stores are relaxed, hence plain `mov` and `str`.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct Frame([AtomicU64; ENTRIES]);

#[cfg(any(test, feature = "host"))]
impl Frame {
    /// Returns a frame of zeroes.
    pub const fn new() -> Frame {
        Frame([const { AtomicU64::new(0) }; ENTRIES])
    }
}

#[cfg(any(test, feature = "host"))]
impl Default for Frame {
    fn default() -> Frame {
        Frame::new()
    }
}

/// Tables, given out one after the other from a slice of frames.
#[derive(Debug)]
pub struct Arena<'a> {
    frames: &'a [Frame],
    base: Pa,
    used: usize,
}

impl<'a> Arena<'a> {
    /// Makes an arena of `frames`, the first of which lies at physical address `base`.
    pub const fn new(frames: &'a [Frame], base: Pa) -> Arena<'a> {
        Arena { frames, base, used: 0 }
    }

    /// Returns how many tables were given out.
    #[cfg(any(test, feature = "host"))]
    pub const fn used(&self) -> usize {
        self.used
    }

    /// Finds an entry of a table that was given out.
    fn entry(&self, table: Pa, index: usize) -> Option<&AtomicU64> {
        let offset = table.0.checked_sub(self.base.0)?;
        if !offset.is_multiple_of(Level::Kib4.size()) {
            return None;
        }
        let number = usize::try_from(offset / Level::Kib4.size()).ok()?;
        self.frames.get(..self.used)?.get(number)?.0.get(index)
    }
}

impl Tables for Arena<'_> {
    /// Zeroes the frame here, not earlier: what lay in memory before boot is nobody's business.
    fn alloc(&mut self) -> Option<Pa> {
        let frame = self.frames.get(self.used)?;
        for word in &frame.0 {
            word.store(0, Relaxed);
        }
        let pa = Pa(self.base.0.checked_add(self.used as u64 * Level::Kib4.size())?);
        self.used += 1;
        Some(pa)
    }

    fn read(&self, table: Pa, index: usize) -> u64 {
        self.entry(table, index).map_or(NOT_A_TABLE, |word| word.load(Relaxed))
    }

    fn write(&mut self, table: Pa, index: usize, entry: u64) {
        if let Some(word) = self.entry(table, index) {
            word.store(entry, Relaxed);
        }
    }
}
