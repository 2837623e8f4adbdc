// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The audit: every invariant of the crate's head, over the whole pool. Not in an image.
//!
//! It reads what the hardware would read and counts anew; nothing here uses the code that it judges, but
//! for the lookup of a frame's name.

use crate::Region;
use crate::descriptor::{Descriptor, Kind, State};
use crate::tables::{KERNEL_SLOTS, Memory, Tables};
use parzelle_paging::ENTRIES;

const P: u64 = 1;
const RW: u64 = 2;
const US: u64 = 4;
const A: u64 = 0x20;
const D: u64 = 0x40;
const NX: u64 = 1 << 63;
const FRAME: u64 = 0x000f_ffff_ffff_f000;

/// An invariant that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its number in the crate's head.
    pub invariant: u8,
    /// The table at which that shows.
    pub table: u32,
    /// The entry, or what was counted.
    pub index: usize,
}

impl<M: Memory> Tables<'_, M> {
    /// Frames of the pool: words that [`audit`](Self::audit) needs.
    #[must_use]
    pub const fn frames(&self) -> usize {
        self.set.descriptors.len()
    }

    /// Tables that are in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.set.descriptors.iter().filter(|table| table.state != State::Free).count()
    }

    /// Checks all invariants; `counts` has a word for each frame of the pool.
    ///
    /// # Errors
    /// The first that doesn't hold.
    pub fn audit(&self, counts: &mut [u32]) -> Result<(), Finding> {
        counts.fill(0);
        // The empty user root is the service's own.
        self.count(counts, 0)?;
        for (number, table) in (0u32..).zip(self.set.descriptors.iter()) {
            for index in 0..ENTRIES {
                self.audit_entry(number, table, index, self.memory.entry(number, index), counts)?;
            }
        }
        for roots in self.set.roots.iter() {
            for (number, kind) in [(roots[0], Kind::Kernel), (roots[1], Kind::User)] {
                if number != 0 {
                    self.count(counts, number)?;
                    let table = self.set.descriptors.get(number as usize);
                    let good = table.is_some_and(|table| table.kind == Some(kind) && table.state == State::Ready);
                    check(good, 4, number, 0)?;
                }
            }
        }
        // While a reset goes on, counts and references are not kept.
        if self.resetting.is_none() {
            for ((number, table), count) in (0u32..).zip(self.set.descriptors.iter()).zip(counts.iter()) {
                check(table.refs == *count, 3, number, *count as usize)?;
            }
        }
        self.audit_names()
    }

    fn audit_entry(
        &self,
        number: u32,
        table: &Descriptor,
        index: usize,
        word: u64,
        counts: &mut [u32],
    ) -> Result<(), Finding> {
        let used = table.state != State::Free;
        check(word == 0 || used && table.lines >> (index / 8) & 1 == 1, 5, number, index)?;
        check(used || table.refs == 0 && table.lines == 0, 5, number, index)?;
        if table.level == 4 && KERNEL_SLOTS.contains(&index) {
            let slots = table.kind.map(|kind| self.set.slots[kind as usize]);
            let due = slots.map_or(0, |slots| slots[index - KERNEL_SLOTS.start]);
            return check(word == due || word == 0 && table.state == State::Dying, 4, number, index);
        }
        if word == 0 {
            return Ok(());
        }
        let base = P | US | A;
        if table.level == 1 {
            let place = word & FRAME;
            let holds = |region: &&Region| place.wrapping_sub(region.physical) < region.bytes;
            let region = self.set.regions.iter().find(holds);
            let finding = Finding { invariant: 1, table: number, index };
            let region = region.ok_or(finding)?;
            check(word & RW == 0 || region.may == RW, 1, number, index)?;
            check(word & NX != 0 || region.base & NX == 0, 1, number, index)?;
            check(word & !(FRAME | RW | NX | D) == base && (word & RW == 0) == (word & D == 0), 7, number, index)
        } else {
            let child = ((word & FRAME).wrapping_sub(self.set.pool) >> 12) as u32;
            let below = self.set.descriptors.get(child as usize);
            let kept = |below: &Descriptor| matches!(below.state, State::Ready) && below.level + 1 == table.level;
            check(self.resetting.is_some() || below.is_some_and(kept), 2, number, index)?;
            check(word & !(FRAME | RW | NX) == base, 7, number, index)?;
            self.count(counts, child)
        }
    }

    /// Names, the free list, generations.
    fn audit_names(&self) -> Result<(), Finding> {
        let tables = (0u32..).zip(self.set.descriptors.iter()).skip(1);
        for (number, table) in tables.clone().filter(|(_, table)| table.state != State::Free) {
            check(self.set.names.get(table.link as usize) == Some(&number), 6, number, table.link as usize)?;
        }
        let named = self.set.names.iter().filter(|number| **number != 0).count();
        let free = tables.clone().filter(|(_, table)| table.state == State::Free).count();
        check(named + free + 1 == self.set.descriptors.len(), 6, 0, named)?;
        let (mut next, mut before, mut met) = (self.free.0, 0, 0);
        while let Some(table) = self.set.descriptors.get(next as usize).filter(|_| next != 0 && met <= free) {
            check(table.state == State::Free, 6, next, met)?;
            check(before <= table.place && table.place <= self.set.tlb.generation(), 6, next, met)?;
            check(table.link != 0 || self.free.1 == next, 6, next, met)?;
            (next, before, met) = (table.link, table.place, met + 1);
        }
        check(met == free, 6, 0, met)
    }

    fn count(&self, counts: &mut [u32], number: u32) -> Result<(), Finding> {
        let count = counts.get_mut(number as usize);
        let finding = Finding { invariant: 2, table: number, index: 0 };
        *count.ok_or(finding)? += 1;
        Ok(())
    }
}

fn check(holds: bool, invariant: u8, table: u32, index: usize) -> Result<(), Finding> {
    if holds { Ok(()) } else { Err(Finding { invariant, table, index }) }
}
