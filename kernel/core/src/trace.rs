// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The trace ring's writer.

use parzelle_abi::trace::{TraceHeader, TraceKind, TraceRecord};

/// A core's ring; without one, records go nowhere.
pub(crate) struct Trace {
    ring: Option<(&'static mut TraceHeader, &'static mut [TraceRecord])>,
    slot: usize,
}

impl Trace {
    /// Begins an empty ring.
    pub(crate) fn new(ring: Option<(&'static mut TraceHeader, &'static mut [TraceRecord])>) -> Trace {
        let mut trace = Trace { ring, slot: 0 };
        if let Some((header, records)) = &mut trace.ring {
            **header = TraceHeader { next: 0, capacity: records.len() as u64, reserved: [0; 6] };
        }
        trace
    }

    /// Writes a record, over the oldest when the ring is full.
    #[inline]
    pub(crate) fn write(&mut self, time: u64, kind: TraceKind, subject: u32, value: u64) {
        let Some((header, records)) = &mut self.ring else { return };
        let Some(record) = records.get_mut(self.slot) else { return };
        let value = value.min(u64::from(u32::MAX)) as u32;
        *record = TraceRecord { time, kind: kind as u16, subject: subject as u16, value };
        // The reader looks at `next` first: the record has to be there before.
        core::sync::atomic::fence(core::sync::atomic::Ordering::Release);
        header.next = header.next.wrapping_add(1);
        self.slot += 1;
        if self.slot == records.len() {
            self.slot = 0;
        }
    }
}
