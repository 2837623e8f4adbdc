// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Which slots of an area are in use. Both areas' slots are the client's to give.
//!
//! Large requests are placed from the begin, small ones from the end: so small ones, which come and
//! go, leave long pieces free.

use super::wire::{MAX_BYTES, SLOT};
use crate::layout::DATA;

/// Slots that are looked after: what an area has beyond is not used (4 MiB).
const MOST: usize = 1024;
/// Requests of fewer slots than this are small.
const LARGE: usize = 8;

/// The slots of one area.
#[derive(Debug)]
pub(super) struct Slots {
    used: [u64; MOST / 64],
    count: usize,
}

impl Slots {
    /// Those of an area of so many bytes: all free.
    pub(super) fn new(area: u64) -> Self {
        let count = area.saturating_sub(DATA) / SLOT;
        Self { used: [0; MOST / 64], count: count.min(MOST as u64) as usize }
    }

    /// The most bytes that one request can have.
    pub(super) fn largest(&self) -> u64 {
        (self.count as u64 * SLOT).min(MAX_BYTES)
    }

    /// Whether a slot is in use.
    fn is_used(&self, slot: usize) -> bool {
        self.used.get(slot / 64).is_none_or(|word| word >> (slot % 64) & 1 != 0)
    }

    /// Marks a range of slots.
    fn mark(&mut self, first: usize, slots: usize, used: bool) {
        for slot in first..first.saturating_add(slots).min(MOST) {
            if let Some(word) = self.used.get_mut(slot / 64) {
                let bit = 1 << (slot % 64);
                *word = if used { *word | bit } else { *word & !bit };
            }
        }
    }

    /// Takes slots for so many bytes, in one piece; their offset in the area. `None` if there is no
    /// such piece.
    pub(super) fn take(&mut self, bytes: u64) -> Option<u64> {
        let slots = bytes.div_ceil(SLOT).max(1) as usize;
        let mut run = 0;
        for step in 0..self.count {
            let slot = if slots < LARGE { self.count - 1 - step } else { step };
            run = if self.is_used(slot) { 0 } else { run + 1 };
            if run == slots {
                let first = if slots < LARGE { slot } else { slot + 1 - slots };
                self.mark(first, slots, true);
                return Some(DATA + first as u64 * SLOT);
            }
        }
        None
    }

    /// Gives slots back that were taken for so many bytes.
    pub(super) fn free(&mut self, offset: u64, bytes: u64) {
        let first = offset.saturating_sub(DATA) / SLOT;
        self.mark(first as usize, bytes.div_ceil(SLOT).max(1) as usize, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_and_come_back() {
        let mut slots = Slots::new(DATA + 40 * SLOT);
        assert_eq!(slots.largest(), MAX_BYTES);
        let small = slots.take(512).unwrap();
        assert_eq!(small, DATA + 39 * SLOT);
        let large = slots.take(MAX_BYTES).unwrap();
        assert_eq!(large, DATA);
        assert_eq!(slots.take(8 * SLOT), None);
        assert_eq!(slots.take(7 * SLOT), Some(DATA + 32 * SLOT));
        assert_eq!(slots.take(1), None);
        slots.free(large, MAX_BYTES);
        assert_eq!(slots.take(MAX_BYTES), Some(DATA));
        assert_eq!(Slots::new(100).take(1), None);
        assert_eq!(Slots::new(u64::MAX).count, MOST);
    }
}
