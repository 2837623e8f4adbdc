// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's console input: the ring that the console partition fills.

use parzelle_rt::Partition;
use parzelle_rt::abi::info::ObjectKind;
use parzelle_rt::device::Mapped;
use parzelle_rt::ring::Reader;

/// The reading end of the ring, if there is one.
#[derive(Debug)]
pub struct Input(Option<Reader>);

impl Input {
    /// Finds it, with the events that say "there is something". `fresh`: what is in it already is
    /// not wanted.
    #[must_use]
    pub fn find(me: &Partition, fresh: bool) -> (Self, u64) {
        let object = me.objects_of(ObjectKind::InputIn).next();
        let mut input = Self(object.and_then(|object| Reader::new(object.memory())));
        let mut rest = [0; 32];
        // At most as much as it holds, whatever its writer claims.
        for _ in 0..1 << 12 {
            if !fresh || input.take(&mut rest) == 0 {
                break;
            }
        }
        (input, object.and_then(|object| 1u64.checked_shl(object.event)).unwrap_or(0))
    }

    /// Takes bytes: how many.
    pub fn take(&mut self, into: &mut [u8]) -> usize {
        let Some(ring) = self.0.as_mut() else { return 0 };
        let peeked = ring.peek(into).bytes;
        ring.take(peeked);
        peeked
    }
}
