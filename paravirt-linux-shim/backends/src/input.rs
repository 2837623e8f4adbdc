// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's console input: from the ring that the console partition fills to a device.

use parzelle_rt::Partition;
use parzelle_rt::abi::info::ObjectKind;
use parzelle_rt::device::Mapped;
use parzelle_rt::ring::Reader;

/// Bytes that are looked at in one go: as many as a UART can take at once.
const CHUNK: usize = 32;

/// The reading end of the console's ring.
#[derive(Debug)]
pub struct Input {
    ring: Option<Reader>,
    /// The events that say "there is something", as a mask.
    pub events: u64,
    /// Something may be in the ring.
    waiting: bool,
}

impl Input {
    /// An end where nothing ever arrives.
    #[must_use]
    pub const fn none() -> Self {
        Self { ring: None, events: 0, waiting: false }
    }

    /// Finds the ring; `fresh`: what is in it already is not wanted. Without a ring nothing ever
    /// arrives.
    pub fn find(me: &Partition, fresh: bool) -> Self {
        let object = me.objects_of(ObjectKind::InputIn).next();
        let mut ring = object.and_then(|object| Reader::new(object.memory()));
        if let Some(ring) = ring.as_mut().filter(|_| fresh) {
            discard(ring);
        }
        let events = object.and_then(|object| 1u64.checked_shl(object.event)).unwrap_or(0);
        Self { ring, events, waiting: true }
    }

    /// The console says that something has arrived.
    pub fn arrived(&mut self) {
        self.waiting = true;
    }

    /// Hands over what `device` takes now (it says no when it is full); the rest waits for the next
    /// time.
    #[inline]
    pub fn deliver(&mut self, device: impl FnMut(u8) -> bool) {
        if self.waiting {
            self.hand_over(device);
        }
    }

    fn hand_over(&mut self, mut device: impl FnMut(u8) -> bool) {
        let Some(ring) = self.ring.as_mut() else {
            self.waiting = false;
            return;
        };
        let mut bytes = [0; CHUNK];
        let peeked = ring.peek(&mut bytes).bytes;
        let bytes = bytes.get(..peeked).unwrap_or_default();
        let taken = bytes.iter().take_while(|byte| device(**byte)).count();
        ring.take(taken);
        self.waiting = ring.is_waiting();
    }

    /// Takes as much as there is room for, and tells how much that was.
    pub fn take(&mut self, into: &mut [u8]) -> usize {
        let Some(ring) = self.ring.as_mut() else { return 0 };
        let peeked = ring.peek(into).bytes;
        ring.take(peeked);
        self.waiting = ring.is_waiting();
        peeked
    }
}

/// Skips what is in the ring: at most as much as it holds, whatever its writer claims.
fn discard(ring: &mut Reader) {
    let mut bytes = [0; CHUNK];
    for _ in 0..1 << 12 {
        let peeked = ring.peek(&mut bytes).bytes;
        ring.take(peeked);
        if peeked == 0 {
            break;
        }
    }
}
