// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The one way in which an entry of the guest's gets into a table: through the checks.

use crate::Error;
use crate::descriptor::{Descriptor, LINE, State};
use crate::entry::{LARGE, PRESENT, frame, leaf, reference};
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
            return self.put_reference(number, index, entry, true);
        }
        let word = leaf(self.set.regions, entry)?;
        if self.descriptor_mut(number)?.uses(index, word) {
            self.memory.set_entry(number, index, word);
        }
        Ok(())
    }

    /// Makes an entry of a frame's table of level 1 what the guest's memory says now; absent, if that is
    /// refused. `None`, and nothing done, if there is no such table, or one of another level. The commonest of all:
    /// it looks at nothing twice.
    #[inline]
    pub(crate) fn synchronise_leaf(&mut self, frame: u64, index: usize) -> Option<Result<(), Error>> {
        let number = *self.set.names.get(self.clip(frame) as usize).filter(|_| self.resetting.is_none())?;
        // The first of the pool has no name: it has no level either.
        let table = self.set.descriptors.get_mut(number as usize)?;
        if table.level != 1 || table.state == State::Dying {
            return None;
        }
        let word = leaf(self.set.regions, self.memory.guest(table.place + (index as u64) * 8));
        if table.uses(index, word.unwrap_or(0)) {
            self.memory.set_entry(number, index, word.unwrap_or(0));
        }
        Some(word.map(|_| ()))
    }

    /// Makes entries of one line what the guest's memory says now; absent, if that is refused. How many gave work:
    /// those that the guest has, refused or not. The hottest loop of all: what it needs to know of the table it
    /// learns once.
    #[inline(never)]
    pub(crate) fn synchronise(&mut self, number: u32, entries: Range<usize>) -> (Result<(), Error>, usize) {
        let &Descriptor { level, place, lines, .. } = match self.descriptor(number) {
            Ok(table) => table,
            Err(error) => return (Err(error), 0),
        };
        let line = 1 << (entries.start / LINE);
        let used = lines & line != 0;
        let (mut present, mut result, mut worked) = (false, Ok(()), 0);
        if level != 1 {
            for index in entries {
                let entry = self.memory.guest(place + (index as u64) * 8);
                // Most are absent, and were.
                if used || entry & PRESENT != 0 {
                    result = result.and(self.put_reference(number, index, entry, false));
                    worked += 1;
                }
            }
            return (result, worked);
        }
        for index in entries {
            let entry = self.memory.guest(place + (index as u64) * 8);
            worked += usize::from(entry & PRESENT != 0 || used);
            let word = leaf(self.set.regions, entry).unwrap_or_else(|error| {
                result = Err(error);
                0
            });
            if word != 0 || used {
                present |= word != 0;
                self.memory.set_entry(number, index, word);
            }
        }
        if present && let Ok(table) = self.descriptor_mut(number) {
            table.lines = lines | line;
        }
        (result, worked)
    }

    /// Puts a reference into a table of a level above 1, or nothing. If it is refused: keeps the old
    /// one, or puts nothing.
    #[inline(always)]
    fn put_reference(&mut self, number: u32, index: usize, entry: u64, keep: bool) -> Result<(), Error> {
        let level = self.descriptor(number)?.level;
        if level == ROOT && KERNEL_SLOTS.contains(&index) {
            return if entry & PRESENT == 0 { Ok(()) } else { Err(Error::Reserved) };
        }
        let word = if entry & PRESENT == 0 { Ok(0) } else { self.refer(level - 1, entry) };
        let new = word.unwrap_or(0);
        if (word.is_ok() || !keep) && self.descriptor_mut(number)?.uses(index, new) {
            let old = self.memory.entry(number, index);
            self.memory.set_entry(number, index, new);
            self.drop_child(old);
        }
        word.map(|_| ())
    }

    /// Makes a reference to a table of this level, and counts it; before an old one is dropped, since it
    /// may be the same.
    #[inline]
    fn refer(&mut self, level: u8, entry: u64) -> Result<u64, Error> {
        // Reserved, whatever the guest believes of large pages.
        if entry & LARGE != 0 {
            return Err(Error::Malformed);
        }
        let child = self.named(frame(entry))?;
        self.take(child, level)?;
        Ok(reference(entry, self.physical(child)))
    }
}
