// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! When the vCPUs of a queue want to be woken: a binary heap that knows where each vCPU lies in
//! it, so that a deadline can be moved or dropped in O(log n) steps.

use crate::machine::Arena;
use parzelle_abi::NEVER;

#[derive(Clone, Copy)]
struct Entry {
    time: u64,
    slot: u32,
}

/// The deadlines of the slots of a queue; at most one per slot.
pub(crate) struct Deadlines {
    heap: &'static mut [Entry],
    /// Where each slot lies in the heap, or `ABSENT`.
    place: &'static mut [u32],
    length: usize,
}

const ABSENT: u32 = u32::MAX;

impl Deadlines {
    /// Takes room for `capacity` slots from the arena.
    pub(crate) fn new(arena: &mut impl Arena, capacity: usize) -> Option<Deadlines> {
        Some(Deadlines {
            heap: arena.take(capacity, |_, _| Some(Entry { time: NEVER, slot: 0 }))?,
            place: arena.take(capacity, |_, _| Some(ABSENT))?,
            length: 0,
        })
    }

    /// The earliest deadline.
    #[inline]
    pub(crate) fn earliest(&self) -> u64 {
        if self.length == 0 { NEVER } else { self.heap.first().map_or(NEVER, |entry| entry.time) }
    }

    /// Takes the slot with the earliest deadline if that is not after `now`.
    pub(crate) fn take_due(&mut self, now: u64) -> Option<usize> {
        if self.earliest() > now || self.length == 0 {
            return None;
        }
        let slot = self.heap.first()?.slot as usize;
        self.set(slot, NEVER);
        Some(slot)
    }

    /// Sets the deadline of a slot; [`NEVER`] drops it.
    pub(crate) fn set(&mut self, slot: usize, time: u64) {
        let Some(&place) = self.place.get(slot) else { return };
        match (place == ABSENT, time == NEVER) {
            (true, true) => {}
            (true, false) => {
                let last = self.length;
                self.length += 1;
                self.put(last, Entry { time, slot: slot as u32 });
                self.rise(last);
            }
            (false, false) => {
                let place = place as usize;
                self.put(place, Entry { time, slot: slot as u32 });
                let place = self.rise(place);
                self.sink(place);
            }
            (false, true) => {
                let place = place as usize;
                self.length -= 1;
                if let Some(home) = self.place.get_mut(slot) {
                    *home = ABSENT;
                }
                if place < self.length
                    && let Some(&last) = self.heap.get(self.length)
                {
                    self.put(place, last);
                    let place = self.rise(place);
                    self.sink(place);
                }
            }
        }
    }

    #[inline]
    fn time(&self, place: usize) -> u64 {
        if place < self.length { self.heap.get(place).map_or(NEVER, |entry| entry.time) } else { NEVER }
    }

    #[inline]
    fn put(&mut self, place: usize, entry: Entry) {
        if let (Some(cell), Some(home)) = (self.heap.get_mut(place), self.place.get_mut(entry.slot as usize)) {
            *cell = entry;
            *home = place as u32;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        if let (Some(&first), Some(&second)) = (self.heap.get(a), self.heap.get(b)) {
            self.put(a, second);
            self.put(b, first);
        }
    }

    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.time(parent) <= self.time(place) {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        place
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let least = if self.time(left + 1) < self.time(left) { left + 1 } else { left };
            if self.time(least) >= self.time(place) {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::fake::Heap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_like_a_list_of_times(steps in proptest::collection::vec((0usize..20, 0u64..50, any::<bool>()), 1..300)) {
            let mut heap = Deadlines::new(&mut Heap::default(), 20).unwrap();
            let mut model = [NEVER; 20];
            for (slot, time, drop) in steps {
                let time = if drop { NEVER } else { time };
                heap.set(slot, time);
                model[slot] = time;
                prop_assert_eq!(heap.earliest(), *model.iter().min().unwrap());
                if time % 7 == 0 {
                    match heap.take_due(time) {
                        Some(slot) => { prop_assert!(model[slot] <= time && model[slot] == *model.iter().min().unwrap()); model[slot] = NEVER; }
                        None => prop_assert!(model.iter().all(|&due| due > time || due == NEVER)),
                    }
                }
            }
        }
    }
}
