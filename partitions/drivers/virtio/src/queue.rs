// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A split virtqueue (virtio 1.2, 2.7) whose requests have fixed places.
//!
//! ```text
//!   slot        0        1        2
//!   descriptors ├─┬─┬─┬─┼─┬─┬─┬─┼─┬─┬─┬─┤ …   CHAIN of them per slot: no free list
//!   available   idx, ring of first descriptors         we write
//!   used        idx, ring of (first descriptor, bytes)  the device writes
//! ```
//! What the device writes is checked: an id that is none, or that of a slot which isn't under way,
//! is skipped. Nothing that it writes lets the driver read or write anywhere else, or loop.
//!
//! Order: a device sees memory as another core does (VIRTIO_F_ORDER_PLATFORM is not needed for the
//! devices that this serves), so fences of the program are enough.

use core::sync::atomic::{Ordering, fence};

use crate::dma::{Dma, Region};

/// Bytes of a descriptor.
const DESCRIPTOR: u64 = 16;
/// Flag of a descriptor: another one follows.
const NEXT: u16 = 1;
/// Flag of a descriptor: the device writes there.
const WRITE: u16 = 2;

/// Memory of a request, by its address for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Where it lies.
    pub bus: u64,
    /// Its bytes, at least one.
    pub bytes: u32,
    /// Whether the device writes it; else it reads it.
    pub is_written: bool,
}

impl Buffer {
    /// Memory that the device reads.
    pub fn read(bus: u64, bytes: u32) -> Self {
        Self { bus, bytes, is_written: false }
    }

    /// Memory that the device writes.
    pub fn written(bus: u64, bytes: u32) -> Self {
        Self { bus, bytes, is_written: true }
    }
}

/// A queue of `SLOTS` requests of up to `CHAIN` buffers each. Their product is the queue's size: a
/// power of two.
#[derive(Debug)]
pub struct Queue<const SLOTS: usize, const CHAIN: usize> {
    region: Region,
    is_busy: [bool; SLOTS],
    /// What we have made available, and what of it the device was told of.
    available: u16,
    told: u16,
    /// What we have seen used.
    used: u16,
}

impl<const SLOTS: usize, const CHAIN: usize> Queue<SLOTS, CHAIN> {
    /// Descriptors of the queue.
    pub const SIZE: u16 = {
        assert!((SLOTS * CHAIN).is_power_of_two() && SLOTS * CHAIN <= 1 << 15);
        (SLOTS * CHAIN) as u16
    };
    /// Where the available ring lies: flags, index, entries of 2 bytes.
    const AVAILABLE: u64 = DESCRIPTOR * Self::SIZE as u64;
    /// Where the used ring lies, aligned to 4: flags, index, entries of 8 bytes.
    const USED: u64 = Self::AVAILABLE + 4 + 2 * Self::SIZE as u64 + 4;
    /// Bytes of the whole.
    const BYTES: u64 = Self::USED + 4 + 8 * Self::SIZE as u64 + 4;

    /// Places a queue; `None` without memory for it.
    pub fn new(dma: &mut Dma) -> Option<Self> {
        let region = dma.zeroed(Self::BYTES, 4096)?;
        let queue = Self { region, is_busy: [false; SLOTS], available: 0, told: 0, used: 0 };
        // All but the last of a chain lead to the next one, for good.
        for index in 0..Self::SIZE {
            queue.region.memory.store_u16(DESCRIPTOR * u64::from(index) + 14, index + 1);
        }
        Some(queue)
    }

    /// Addresses of descriptors, available and used ring for the device.
    pub fn places(&self) -> [u64; 3] {
        [self.region.bus, self.region.bus + Self::AVAILABLE, self.region.bus + Self::USED]
    }

    /// Asks the device not to interrupt for this queue: somebody looks from time to time anyway.
    pub fn be_quiet(&mut self) {
        self.region.memory.store_u16(Self::AVAILABLE, 1);
    }

    /// Makes a request available. `None`, and nothing happens, if the slot is none or under way, or
    /// there are too many buffers or none.
    #[must_use]
    pub fn begin(&mut self, slot: usize, buffers: &[Buffer]) -> Option<()> {
        let is_busy = self.is_busy.get_mut(slot).filter(|is_busy| !**is_busy)?;
        if buffers.is_empty() || buffers.len() > CHAIN {
            return None;
        }
        *is_busy = true;
        let memory = &self.region.memory;
        let first = slot * CHAIN;
        for (at, buffer) in buffers.iter().enumerate() {
            let place = DESCRIPTOR * (first + at) as u64;
            let next = if at + 1 < buffers.len() { NEXT } else { 0 };
            let write = if buffer.is_written { WRITE } else { 0 };
            memory.store_u64(place, buffer.bus)?;
            memory.store_u32(place + 8, buffer.bytes)?;
            memory.store_u16(place + 12, next | write)?;
        }
        let entry = u64::from(self.available % Self::SIZE);
        memory.store_u16(Self::AVAILABLE + 4 + 2 * entry, first as u16)?;
        self.available = self.available.wrapping_add(1);
        // The device must see all of the above before the index.
        fence(Ordering::Release);
        memory.store_u16(Self::AVAILABLE + 2, self.available)
    }

    /// Whether the device has to be told of what was begun since the last time.
    pub fn must_tell(&mut self) -> bool {
        if self.told == self.available {
            return false;
        }
        self.told = self.available;
        // The index must be seen before we look whether the device wants to hear of it.
        fence(Ordering::SeqCst);
        self.region.memory.load_u16(Self::USED).is_some_and(|flags| flags & 1 == 0)
    }

    /// Takes a request that has ended: its slot, and how many bytes the device says to have written.
    pub fn finished(&mut self) -> Option<(usize, u32)> {
        let memory = &self.region.memory;
        // At most as many wrong ones as the ring has entries: then the caller goes on with others.
        for _ in 0..Self::SIZE {
            if memory.load_u16(Self::USED + 2)? == self.used {
                return None;
            }
            // What the device wrote before the index is seen behind it.
            fence(Ordering::Acquire);
            let entry = Self::USED + 4 + 8 * u64::from(self.used % Self::SIZE);
            let (id, bytes) = (memory.load_u32(entry)? as usize, memory.load_u32(entry + 4)?);
            self.used = self.used.wrapping_add(1);
            let slot = id / CHAIN;
            let Some(is_busy) = self.is_busy.get_mut(slot) else { continue };
            if id.is_multiple_of(CHAIN) && core::mem::replace(is_busy, false) {
                return Some((slot, bytes));
            }
        }
        None
    }

    /// Whether a slot is under way.
    pub fn is_busy(&self, slot: usize) -> bool {
        self.is_busy.get(slot).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use parzelle_rt::Volatile;
    use std::vec::Vec;

    type Small = Queue<4, 2>;

    fn queue() -> Small {
        let words = std::vec![0u64; 2048].leak();
        // SAFETY: leaked, aligned, reached only through the range.
        let memory = unsafe { Volatile::new(words.as_mut_ptr() as u64, 16384) };
        Queue::new(&mut Dma::new(Region { memory, bus: 0x1000_0000 })).unwrap()
    }

    /// A device: takes what is available from `seen` on, as chains of buffers.
    fn look(queue: &Small, seen: &mut u16) -> Vec<Vec<Buffer>> {
        let memory = &queue.region.memory;
        let mut chains = Vec::new();
        while *seen != memory.load_u16(Small::AVAILABLE + 2).unwrap() {
            let entry = Small::AVAILABLE + 4 + 2 * u64::from(*seen % Small::SIZE);
            let mut index = memory.load_u16(entry).unwrap();
            let mut chain = Vec::new();
            loop {
                let at = DESCRIPTOR * u64::from(index);
                let flags = memory.load_u16(at + 12).unwrap();
                let (bus, bytes) = (memory.load_u64(at).unwrap(), memory.load_u32(at + 8).unwrap());
                chain.push(Buffer { bus, bytes, is_written: flags & WRITE != 0 });
                if flags & NEXT == 0 {
                    break;
                }
                index = memory.load_u16(at + 14).unwrap();
            }
            chains.push(chain);
            *seen = seen.wrapping_add(1);
        }
        chains
    }

    fn end(queue: &Small, index: &mut u16, id: u32) {
        let memory = &queue.region.memory;
        let entry = Small::USED + 4 + 8 * u64::from(*index % Small::SIZE);
        memory.store_u32(entry, id).unwrap();
        memory.store_u32(entry + 4, 7).unwrap();
        *index = index.wrapping_add(1);
        memory.store_u16(Small::USED + 2, *index).unwrap();
    }

    #[test]
    fn requests_go_and_come_back_a_hundred_thousand_times() {
        let (mut queue, mut seen, mut index) = (queue(), 0, 0);
        for round in 0..100_000u64 {
            let slot = (round % 4) as usize;
            let buffers = [Buffer::read(round, 16), Buffer::written(round + 1, 512)];
            let count = 1 + (round % 2) as usize;
            queue.begin(slot, &buffers[..count]).unwrap();
            assert_eq!(queue.begin(slot, &buffers), None);
            assert_eq!(look(&queue, &mut seen), [&buffers[..count]]);
            assert!(queue.must_tell() && !queue.must_tell());
            assert_eq!(queue.finished(), None);
            end(&queue, &mut index, slot as u32 * 2);
            assert_eq!(queue.finished(), Some((slot, 7)));
        }
    }

    #[test]
    fn a_device_that_lies_is_not_believed() {
        let (mut queue, mut index) = (queue(), 0);
        queue.begin(1, &[Buffer::read(0, 1)]).unwrap();
        for id in [0, 3, 4, 8, u32::MAX] {
            end(&queue, &mut index, id);
        }
        assert_eq!(queue.finished(), None);
        end(&queue, &mut index, 2);
        end(&queue, &mut index, 2);
        assert_eq!(queue.finished(), Some((1, 7)));
        assert_eq!(queue.finished(), None);
        // An index far ahead: bounded work, nothing comes of it.
        queue.region.memory.store_u16(Small::USED + 2, index.wrapping_sub(1)).unwrap();
        assert_eq!(queue.finished(), None);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let mut queue = queue();
        assert_eq!(queue.begin(4, &[Buffer::read(0, 1)]), None);
        assert_eq!(queue.begin(0, &[]), None);
        assert_eq!(queue.begin(0, &[Buffer::read(0, 1); 3]), None);
        assert!(!queue.must_tell() && !queue.is_busy(0));
    }
}
