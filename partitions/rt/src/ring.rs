// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Log rings ([`parzelle_abi::info::LogRing`]): bytes from one writer to one reader, where the
//! writer never waits.
//!
//! ```text
//!   ┌─────────┬──────────┬──────────────────────────────┐
//!   │ written │ reserved │ data, byte n at n % capacity │
//!   └─────────┴──────────┴──────────────────────────────┘
//! ```
//! The writer stores at most [`BURST`] bytes ahead of `written`, so whatever is within
//! `capacity - BURST` behind it is whole, even if the reader looks in the middle of a burst. The
//! reader copies first and then looks at `written` again: what has been overtaken meanwhile is
//! lost, and counted. Neither side can harm the other: every offset is computed from one's own
//! position modulo the capacity, and a `written` that makes no sense only loses text.

use core::sync::atomic::{Ordering, fence};

use parzelle_abi::info::LogRing;

use crate::mem::Volatile;

/// Bytes that a writer may be ahead of what it has announced.
pub const BURST: u64 = 64;

/// Where the data begin.
const DATA: u64 = size_of::<LogRing>() as u64;
/// Where the count of written bytes stands.
const WRITTEN: u64 = core::mem::offset_of!(LogRing, written) as u64;

/// The writing end.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    ring: Volatile,
}

impl Writer {
    /// Takes a ring. `None` if it is too small to hold anything.
    pub fn new(ring: Volatile) -> Option<Self> {
        (ring.len() > DATA + BURST).then_some(Self { ring })
    }

    /// Appends bytes; overwrites the oldest.
    pub fn write(&self, bytes: &[u8]) {
        let capacity = self.ring.len() - DATA;
        let mut written = self.ring.load_u64(WRITTEN).unwrap_or(0);
        for burst in bytes.chunks(BURST as usize) {
            let (mut at, mut left) = (written % capacity, burst);
            while !left.is_empty() {
                let (now, later) = left.split_at(left.len().min((capacity - at) as usize));
                self.ring.write(DATA + at, now);
                (at, left) = (0, later);
            }
            written = written.wrapping_add(burst.len() as u64);
            fence(Ordering::Release);
            self.ring.store_u64(WRITTEN, written);
        }
    }
}

/// The reading end.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    ring: Volatile,
    position: u64,
}

/// What a [`Reader::peek`] gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peeked {
    /// Bytes that were copied.
    pub bytes: usize,
    /// Bytes that were overwritten before they could be read, before those that were copied.
    pub lost: u64,
}

impl Reader {
    /// Takes a ring and begins with the oldest byte that it still holds. `None` if it is too small
    /// to hold anything.
    pub fn new(ring: Volatile) -> Option<Self> {
        let mut reader = (ring.len() > DATA + BURST).then_some(Self { ring, position: 0 })?;
        reader.position = reader.oldest(reader.written());
        Some(reader)
    }

    /// How many bytes can still be whole behind `written`.
    fn whole(&self) -> u64 {
        self.ring.len() - DATA - BURST
    }

    /// The writer's count, as it claims.
    fn written(&self) -> u64 {
        let written = self.ring.load_u64(WRITTEN).unwrap_or(0);
        fence(Ordering::Acquire);
        written
    }

    /// The oldest byte that can be whole.
    fn oldest(&self, written: u64) -> u64 {
        written.saturating_sub(self.whole())
    }

    /// Whether something is waiting.
    pub fn is_waiting(&self) -> bool {
        self.written() != self.position
    }

    /// Copies what is waiting, without taking it. Bytes that were lost are skipped.
    pub fn peek(&mut self, into: &mut [u8]) -> Peeked {
        let capacity = self.ring.len() - DATA;
        let mut lost = 0;
        // A writer that is faster than the copy makes it begin again; after some times it has to
        // wait for the next look.
        for _ in 0..4 {
            let written = self.written();
            if written < self.position {
                // Only a writer that lies goes back.
                self.position = self.oldest(written);
            }
            lost += self.skip_to(self.oldest(written));
            let bytes = (written - self.position).min(into.len() as u64) as usize;
            let Some(into) = into.get_mut(..bytes) else { break };
            let at = self.position % capacity;
            let (first, second) = into.split_at_mut(bytes.min((capacity - at) as usize));
            self.ring.read(DATA + at, first);
            self.ring.read(DATA, second);
            fence(Ordering::Acquire);
            let overtaken = self.oldest(self.written());
            if overtaken <= self.position {
                return Peeked { bytes, lost };
            }
        }
        Peeked { bytes: 0, lost }
    }

    /// Takes bytes that were peeked at.
    pub fn take(&mut self, bytes: usize) {
        self.position = self.position.wrapping_add(bytes as u64);
    }

    /// Moves forward to `position`, and tells by how much.
    fn skip_to(&mut self, position: u64) -> u64 {
        let by = position.saturating_sub(self.position);
        self.position += by;
        by
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::tests::range;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let ring = range(64 + 200);
        let (writer, mut reader) = (Writer::new(ring).unwrap(), Reader::new(ring).unwrap());
        let mut next = 0u8;
        for length in [1, 5, 64, 100, 130, 0, 77] {
            let text: [u8; 136] = core::array::from_fn(|n| next.wrapping_add(n as u8));
            writer.write(&text[..length]);
            next = next.wrapping_add(length as u8);
            let mut back = [0; 200];
            let peeked = reader.peek(&mut back);
            assert_eq!(peeked, Peeked { bytes: length, lost: 0 });
            assert_eq!(back[..length], text[..length]);
            reader.take(peeked.bytes);
        }
        assert!(!reader.is_waiting());
    }

    #[test]
    fn what_is_overwritten_is_counted() {
        let ring = range(64 + 200);
        let (writer, mut reader) = (Writer::new(ring).unwrap(), Reader::new(ring).unwrap());
        for n in 0..50u8 {
            writer.write(&[n; 10]);
        }
        let mut back = [0; 256];
        let peeked = reader.peek(&mut back);
        assert_eq!(peeked, Peeked { bytes: 136, lost: 364 });
        assert_eq!(back[135], 49);
        assert_eq!(back[0], 36);
    }

    #[test]
    fn a_lying_writer_only_loses_text() {
        let ring = range(64 + 200);
        let mut reader = Reader::new(ring).unwrap();
        let mut back = [0; 256];
        for written in [u64::MAX, 5, 1 << 63, 0] {
            ring.store_u64(0, written).unwrap();
            let peeked = reader.peek(&mut back);
            reader.take(peeked.bytes);
        }
        assert!(Writer::new(range(100)).is_none());
    }
}
