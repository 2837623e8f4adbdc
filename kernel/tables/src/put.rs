// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The one way in which an entry of the guest's gets into a table: through the checks.

use crate::Error;
use crate::descriptor::{Descriptor, LINE, State};
use crate::entry::{LARGE, PRESENT, Region, frame, leaf, reference};
use crate::fill::{ELEMENT, EMPTY, LEAVES, OTHER, REFERENCE, REPLACED, SINGLE, STEP};
use crate::tables::{KERNEL_SLOTS, Memory, ROOT, Tables};
use core::ops::Range;
use parzelle_paging::ENTRIES;

impl<M: Memory> Tables<'_, M> {
    /// Writes one entry, given by the caller and not by the guest's memory.
    ///
    /// # Errors
    /// The entry is refused, and the old one stays.
    pub fn write(&mut self, frame: u64, index: u64, entry: u64) -> Result<(), Error> {
        let number = self.live(frame)?;
        let index = usize::try_from(index).ok().filter(|index| *index < ENTRIES).ok_or(Error::OutOfRange)?;
        if self.descriptor(number)?.level != 1 {
            return self.put_reference(number, index, entry);
        }
        let word = leaf(self.set.regions, entry)?;
        if self.descriptor_mut(number)?.uses(index, word) {
            self.memory.set_entry(number, index, word);
        }
        Ok(())
    }

    /// Makes an entry of a frame's table what the guest's memory says now; absent, if that is refused. `None`, and nothing
    /// done, if there is no such table. That of a leaf is the commonest of all: it looks at nothing twice.
    #[inline]
    pub(crate) fn synchronise_one(&mut self, frame: u64, index: usize, spent: &mut usize) -> Option<Result<(), Error>> {
        let number = *self.set.names.get(self.clip(frame) as usize).filter(|_| self.resetting.is_none())?;
        // The first of the pool has no name.
        let table = self.set.descriptors.get_mut(number as usize).filter(|_| number != 0)?;
        if table.state == State::Dying {
            return None;
        }
        *spent += ELEMENT;
        if table.level != 1 {
            *spent += SINGLE;
            return Some(self.synchronise_reference(number, index));
        }
        let word = leaf(self.set.regions, self.memory.guest(table.place + (index as u64) * 8));
        if table.uses(index, word.unwrap_or(0)) {
            self.memory.set_entry(number, index, word.unwrap_or(0));
        }
        Some(word.map(|_| ()))
    }

    /// The same above level 1.
    #[inline(never)]
    fn synchronise_reference(&mut self, number: u32, index: usize) -> Result<(), Error> {
        let entry = self.memory.guest(self.descriptor(number)?.place + (index as u64) * 8);
        let result = self.put_reference(number, index, entry);
        if result.is_err() {
            let _ = self.put_reference(number, index, 0);
        }
        result
    }

    /// Makes lines of a table what the guest's memory says now, as many as a step that has done `spent` so far has room
    /// for: entries that are refused become absent. Returns what is left of the lines. The first line of a
    /// step is always done.
    #[inline(never)]
    pub(crate) fn synchronise(&mut self, number: u32, lines: u64, spent: &mut usize) -> (Result<(), Error>, u64) {
        match self.descriptor(number) {
            Ok(table) if table.level == 1 => self.synchronise_leaves(number, lines, spent),
            Ok(_) => self.synchronise_references(number, lines, spent),
            Err(error) => (Err(error), 0),
        }
    }

    /// The same on level 1. The hottest loop of all: most leaves are in the first of the regions, and who has another
    /// finds its line put off, if it isn't the first of the step.
    #[inline(always)]
    fn synchronise_leaves(&mut self, number: u32, lines: u64, spent: &mut usize) -> (Result<(), Error>, u64) {
        let Self { set, memory, .. } = self;
        let none = Region::new(0, 0, 0, false, false);
        let (regions, first) = (set.regions, set.regions.first().copied().unwrap_or(none));
        let Some(table) = set.descriptors.get_mut(number as usize) else { return (Err(Error::NoTable), 0) };
        let (mut left, mut result, mut others) = (lines, Ok(()), *spent <= ELEMENT);
        while left != 0 && (others || *spent + LEAVES <= STEP) {
            let line = left.trailing_zeros();
            let (mut present, mut slow, mut refused) = (0, 0, Ok(()));
            let words: [u64; LINE] = core::array::from_fn(|index| {
                let entry = memory.guest(table.place + u64::from(line) * 64 + index as u64 * 8);
                let word = first.leaf(entry).unwrap_or_else(|| {
                    slow += OTHER;
                    if others { other_leaf(regions, entry, &mut refused) } else { 0 }
                });
                present |= word;
                word
            });
            if slow > 0 && !others {
                break;
            }
            for (index, word) in words.into_iter().enumerate() {
                memory.set_entry(number, line as usize * LINE + index, word);
            }
            table.lines |= u64::from(present != 0) << line;
            result = result.and(refused);
            *spent += LEAVES + slow;
            others = false;
            left &= left - 1;
        }
        (result, left)
    }

    /// The same above level 1.
    #[inline(always)]
    fn synchronise_references(&mut self, number: u32, lines: u64, spent: &mut usize) -> (Result<(), Error>, u64) {
        let (mut left, mut result) = (lines, Ok(()));
        while left != 0 {
            let line = left.trailing_zeros() as usize;
            let used = self.is_used(number, line * LINE);
            let each = if used { REPLACED } else { REFERENCE };
            if *spent > ELEMENT && *spent + EMPTY + LINE * each > STEP {
                break;
            }
            let (done, count) = self.synchronise_some(number, line * LINE..(line + 1) * LINE);
            result = result.and(done);
            *spent += EMPTY + count * each;
            left &= left - 1;
        }
        (result, left)
    }

    /// Whether there may be references so far in the line of an entry, above level 1.
    pub(crate) fn is_used(&self, number: u32, index: usize) -> bool {
        self.descriptor(number).is_ok_and(|table| table.level > 1 && table.lines >> (index / LINE) & 1 != 0)
    }

    /// Makes some entries of a line above level 1 what the guest's memory says now. Also, how many of them were not
    /// simply absent.
    #[inline(always)]
    pub(crate) fn synchronise_some(&mut self, number: u32, entries: Range<usize>) -> (Result<(), Error>, usize) {
        let (mut result, mut count, mut present) = (Ok(()), 0, 0);
        let Ok(&Descriptor { level, place, lines, .. }) = self.descriptor(number) else { return (result, count) };
        let line = entries.start / LINE;
        let used = lines >> line & 1 != 0;
        // These slots begin and end with a line.
        let reserved = level == ROOT && KERNEL_SLOTS.contains(&(line * LINE));
        for index in entries {
            let entry = self.memory.guest(place + (index as u64) * 8);
            // Most are absent, and were.
            if entry & PRESENT == 0 && (!used || reserved) {
                continue;
            }
            count += 1;
            let word = if reserved { Err(Error::Reserved) } else { self.refer(level - 1, entry) };
            let word = word.unwrap_or_else(|error| {
                result = result.and(Err(error));
                0
            });
            if used && !reserved {
                self.replace(number, index, word);
            } else if word != 0 {
                self.memory.set_entry(number, index, word);
                present = 1;
            }
        }
        if present != 0
            && let Ok(table) = self.descriptor_mut(number)
        {
            table.lines |= present << line;
        }
        (result, count)
    }

    /// Puts a reference into a table of a level above 1, or nothing. If it is refused, keeps the old one.
    fn put_reference(&mut self, number: u32, index: usize, entry: u64) -> Result<(), Error> {
        let level = self.descriptor(number)?.level;
        if level == ROOT && KERNEL_SLOTS.contains(&index) {
            return if entry & PRESENT == 0 { Ok(()) } else { Err(Error::Reserved) };
        }
        let word = self.refer(level - 1, entry)?;
        if self.descriptor_mut(number)?.uses(index, word) {
            self.replace(number, index, word);
        }
        Ok(())
    }

    /// Puts a reference, or nothing, where there may be one.
    #[inline(always)]
    fn replace(&mut self, number: u32, index: usize, word: u64) {
        let old = self.memory.entry(number, index);
        self.memory.set_entry(number, index, word);
        self.drop_child(old);
    }

    /// Makes a reference to a table of this level of a present entry, and counts it; before an old one is dropped,
    /// since it may be the same.
    #[inline(always)]
    fn refer(&mut self, level: u8, entry: u64) -> Result<u64, Error> {
        if entry & PRESENT == 0 {
            return Ok(0);
        }
        // Reserved, whatever the guest believes of large pages.
        if entry & LARGE != 0 {
            return Err(Error::Malformed);
        }
        // As `named`; whoever comes here has found another table by that.
        let child = *self.set.names.get(self.clip(frame(entry)) as usize).ok_or(Error::NoTable)?;
        if child == 0 {
            return Err(Error::NoTable);
        }
        self.take(child, level)?;
        Ok(reference(entry, self.physical(child)))
    }
}

/// A leaf that is not in the first of the regions; nothing, if it is refused.
#[cold]
#[inline(never)]
fn other_leaf(regions: &[Region], entry: u64, refused: &mut Result<(), Error>) -> u64 {
    leaf(regions, entry).unwrap_or_else(|error| {
        *refused = Err(error);
        0
    })
}
