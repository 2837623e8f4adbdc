// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Reading the kernel's trace rings, where the description gives the right `trace`.

use core::mem::offset_of;
use core::sync::atomic::{Ordering::Acquire, fence};

use parzelle_abi::info::ObjectKind;
use parzelle_abi::trace::{TraceHeader, TraceRecord};
use zerocopy::IntoBytes;

use crate::device::memory;
use crate::mem::Volatile;
use crate::partition::Partition;

/// A reader of one core's trace.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    ring: Volatile,
    core: u32,
    next: u64,
}

impl Trace {
    /// The core.
    pub fn core(&self) -> u32 {
        self.core
    }

    /// Hands every record since the last call to `each`; returns how many were overwritten before
    /// they could be read.
    pub fn drain(&mut self, mut each: impl FnMut(TraceRecord)) -> u64 {
        let mut lost = 0;
        let capacity = self.capacity();
        while capacity != 0 && self.next < self.written() {
            fence(Acquire);
            // A slot that the writer may be at is as good as lost.
            let oldest = (self.written() + 1).saturating_sub(capacity);
            if self.next < oldest {
                lost += oldest - self.next;
                self.next = oldest;
            }
            let mut record = TraceRecord::default();
            let bytes = size_of::<TraceRecord>() as u64;
            let at = size_of::<TraceHeader>() as u64 + self.next % capacity * bytes;
            self.ring.read(at, record.as_mut_bytes());
            fence(Acquire);
            if self.written() < self.next + capacity {
                each(record);
            } else {
                lost += 1;
            }
            self.next += 1;
        }
        lost
    }

    /// How many records were written.
    fn written(&self) -> u64 {
        self.ring.load_u64(offset_of!(TraceHeader, next) as u64).unwrap_or(0)
    }

    /// How many records the ring holds: what it says, but never more than its memory.
    fn capacity(&self) -> u64 {
        let says = self.ring.load_u64(offset_of!(TraceHeader, capacity) as u64).unwrap_or(0);
        let room = self.ring.len().saturating_sub(size_of::<TraceHeader>() as u64);
        says.min(room / size_of::<TraceRecord>() as u64)
    }
}

impl Partition {
    /// The traces that it may read, from the oldest record on.
    pub fn traces(&self) -> impl Iterator<Item = Trace> + use<> {
        self.objects_of(ObjectKind::Trace).map(|object| Trace { ring: memory(object), core: object.number, next: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::tests::range;

    #[test]
    fn records_come_in_order_and_losses_are_counted() {
        let ring = range(64 + 4 * 16);
        ring.store_u64(8, 4).unwrap();
        let mut trace = Trace { ring, core: 0, next: 0 };
        let write = |n: u64| {
            ring.store_u64(64 + n % 4 * 16, n).unwrap();
            ring.store_u64(0, n + 1).unwrap();
        };
        let (mut seen, mut count) = ([0; 8], 0);
        let mut keep = |record: TraceRecord| {
            seen[count] = record.time;
            count += 1;
        };
        write(0);
        write(1);
        assert_eq!(trace.drain(&mut keep), 0);
        (2..9).for_each(write);
        assert_eq!(trace.drain(&mut keep), 4);
        assert_eq!(seen[..count], [0, 1, 6, 7, 8]);
    }
}
