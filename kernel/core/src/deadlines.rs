// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! When the vCPUs of a queue want to be woken: a binary heap that knows where each vCPU lies in
//! it, so that a deadline can be moved or dropped in O(log n) steps.

use crate::machine::Arena;
use core::cell::Cell;
use parzelle_abi::NEVER;

#[derive(Clone, Copy)]
struct Entry {
    time: u64,
    slot: u32,
}

/// The deadlines of the slots of a queue; at most one per slot.
pub(crate) struct Deadlines {
    heap: &'static [Cell<Entry>],
    /// Where each slot lies in the heap, or [`ABSENT`].
    place: &'static [Cell<u32>],
    length: Cell<usize>,
    earliest: Cell<u64>,
}

const ABSENT: u32 = u32::MAX;

impl Deadlines {
    /// Takes room for `capacity` slots from the arena.
    pub(crate) fn new(arena: &mut impl Arena, capacity: usize) -> Option<Deadlines> {
        Some(Deadlines {
            heap: arena.take(capacity, |_, _| Some(Cell::new(Entry { time: NEVER, slot: 0 })))?,
            place: arena.take(capacity, |_, _| Some(Cell::new(ABSENT)))?,
            length: Cell::new(0),
            earliest: Cell::new(NEVER),
        })
    }

    /// The earliest deadline.
    pub(crate) fn earliest(&self) -> u64 {
        self.earliest.get()
    }

    /// Takes the slot with the earliest deadline if that is not after `now`.
    pub(crate) fn take_due(&self, now: u64) -> Option<usize> {
        if self.earliest() > now || self.length.get() == 0 {
            return None;
        }
        let slot = self.heap.first()?.get().slot as usize;
        self.set(slot, NEVER);
        Some(slot)
    }

    /// Sets the deadline of a slot; [`NEVER`] drops it. Tells whether that was a change.
    pub(crate) fn set(&self, slot: usize, time: u64) -> bool {
        let Some(home) = self.place.get(slot) else { return false };
        let changes = home.get() != ABSENT || time != NEVER;
        if changes {
            self.change(home, Entry { time, slot: slot as u32 });
            self.earliest.set(self.time(0));
        }
        changes
    }

    fn change(&self, home: &Cell<u32>, entry: Entry) {
        let (place, length) = (home.get() as usize, self.length.get());
        let (place, entry) = if home.get() == ABSENT {
            self.length.set(length + 1);
            (length, entry)
        } else if entry.time != NEVER {
            (place, entry)
        } else {
            // The last one takes the place of the one that goes.
            self.length.set(length - 1);
            home.set(ABSENT);
            match self.heap.get(length - 1) {
                Some(last) if place < length - 1 => (place, last.get()),
                _ => return,
            }
        };
        self.put(place, entry);
        self.sink(self.rise(place));
    }

    fn time(&self, place: usize) -> u64 {
        if place < self.length.get() { self.heap.get(place).map_or(NEVER, |entry| entry.get().time) } else { NEVER }
    }

    fn put(&self, place: usize, entry: Entry) {
        if let (Some(cell), Some(home)) = (self.heap.get(place), self.place.get(entry.slot as usize)) {
            cell.set(entry);
            home.set(place as u32);
        }
    }

    /// Exchanges two entries if they are in the wrong order; tells whether they were.
    fn order(&self, above: usize, below: usize) -> bool {
        let wrong = self.time(below) < self.time(above);
        if wrong && let (Some(first), Some(second)) = (self.heap.get(above), self.heap.get(below)) {
            let (first, second) = (first.get(), second.get());
            self.put(above, second);
            self.put(below, first);
        }
        wrong
    }

    fn rise(&self, mut place: usize) -> usize {
        while place > 0 && self.order((place - 1) / 2, place) {
            place = (place - 1) / 2;
        }
        place
    }

    fn sink(&self, mut place: usize) {
        while 2 * place + 1 < self.length.get() {
            let left = 2 * place + 1;
            let least = if self.time(left + 1) < self.time(left) { left + 1 } else { left };
            if !self.order(place, least) {
                return;
            }
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
            let heap = Deadlines::new(&mut Heap::default(), 20).unwrap();
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
