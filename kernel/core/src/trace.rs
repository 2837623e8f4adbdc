// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The trace ring's writer; `parzelle_abi::trace` has the protocol. Partitions read the ring at any
//! time, so it is written by atomic words only, and nobody has a plain reference to it.

use core::sync::atomic::Ordering::{Relaxed, Release};
use core::sync::atomic::{AtomicU64, fence};
use parzelle_abi::trace::{TraceHeader, TraceKind, TraceRecord};

/// Words of the header; the first are `next` and `capacity`.
const HEADER: usize = size_of::<TraceHeader>() / size_of::<u64>();
/// Words of a record.
const RECORD: usize = size_of::<TraceRecord>() / size_of::<u64>();

/// The words of a ring.
type Ring = (&'static [AtomicU64; HEADER], &'static [[AtomicU64; RECORD]]);

/// A core's ring; without one, records go nowhere.
pub(crate) struct Trace {
    ring: Option<Ring>,
    next: u64,
    slot: usize,
}

impl Trace {
    /// Begins an empty ring.
    pub(crate) fn new(ring: Option<&'static [AtomicU64]>) -> Trace {
        let parts = ring.and_then(|ring| ring.split_first_chunk());
        let ring: Option<Ring> = parts.map(|(header, records)| (header, records.as_chunks().0));
        if let Some(([next, capacity, ..], records)) = ring {
            next.store(0, Relaxed);
            capacity.store(records.len() as u64, Relaxed);
        }
        Trace { ring, next: 0, slot: 0 }
    }

    /// Writes a record, over the oldest when the ring is full.
    pub(crate) fn write(&mut self, time: u64, kind: TraceKind, subject: u32, value: u64) {
        let Some(([next, ..], records)) = self.ring else { return };
        let Some(slot) = records.get(self.slot) else { return };
        let value = value.min(u64::from(u32::MAX)) as u32;
        let record = TraceRecord { time, kind: kind as u16, subject: subject as u16, value };
        let words: [u64; RECORD] = zerocopy::transmute!(record);
        // Whoever sees a word of this record sees as well that the one before it in the slot is lost.
        fence(Release);
        slot.iter().zip(words).for_each(|(cell, word)| cell.store(word, Relaxed));
        self.next += 1;
        next.store(self.next, Release);
        self.slot = if self.slot + 1 == records.len() { 0 } else { self.slot + 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Arena;
    use crate::machine::fake::Heap;

    #[test]
    fn the_newest_records_are_there_where_readers_look() {
        let ring = Heap::default().trace(0, 64 + 3 * 16).unwrap();
        let mut trace = Trace::new(Some(ring));
        for time in 1..=4 {
            trace.write(time, TraceKind::Mode, 7, u64::MAX);
        }
        let words: Vec<u64> = ring.iter().map(|word| word.load(Relaxed)).collect();
        let second = TraceKind::Mode as u64 | 7 << 16 | 0xffff_ffff << 32;
        assert_eq!(words[..2], [4, 3]);
        assert_eq!(words[8..], [4, second, 2, second, 3, second]);
    }
}
