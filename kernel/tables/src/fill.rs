// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Creating tables, and reading the guest's.
//!
//! Whoever creates a table has just scanned it and says which lines have something in them; only
//! those are read. A table that is read again keeps serving meanwhile: each entry is valid by itself.

use crate::descriptor::{Descriptor, LINE, State, first_line};
use crate::entry::locate;
use crate::tables::{Memory, ROOT, Tables};
use crate::{Error, Progress, Tlb};

/// Entries that a step looks at, at most: two lines.
pub const STEP: usize = 2 * LINE;

impl Tables<'_> {
    /// Creates a table of this level for a guest frame, and begins to fill it: as [`fill`](Self::fill).
    ///
    /// # Errors
    /// Besides those of `fill`: the frame is none of the partition's, has a table, or there is no free table.
    pub fn create(
        &mut self,
        tlb: &Tlb<'_>,
        memory: &mut impl Memory,
        frame: u64,
        level: u64,
        lines: u64,
    ) -> Result<Progress, Error> {
        let level = u8::try_from(level).ok().filter(|level| (1..=ROOT).contains(level)).ok_or(Error::OutOfRange)?;
        match self.named(frame) {
            Err(Error::NoTable) => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(Error::Exists),
        }
        let (place, _) = locate(self.set.regions, frame).ok_or(Error::NotYours)?;
        let link = u32::try_from(frame).map_err(|_| Error::NotYours)?;
        if self.set.names.get(link as usize).is_none() {
            return Err(Error::NotYours);
        }
        let (number, _) = self.free;
        if number == 0 {
            return Err(Error::PoolEmpty);
        }
        let &Descriptor { place: freed, link: next, .. } = self.descriptor(number)?;
        // The oldest of all: if this can't be reused, none can.
        if !tlb.all_passed(freed + 1) {
            return Ok(Progress::Flush(if tlb.generation() > freed { freed + 1 } else { tlb.round() }));
        }
        self.free = if next == 0 { (0, 0) } else { (next, self.free.1) };
        let table = Descriptor { state: State::Filling, level, link, place, todo: lines, ..Descriptor::default() };
        *self.descriptor_mut(number)? = table;
        if let Some(name) = self.set.names.get_mut(link as usize) {
            *name = number;
        }
        self.read_lines(memory, number)
    }

    /// Reads lines of the guest's table (again) and goes on with those not read so far, [`STEP`]
    /// entries at a time.
    ///
    /// # Errors
    /// An entry was refused: it is absent in the kernel's table, whatever was there before. The rest of the
    /// step is done, and more may be left: call again with no lines.
    pub fn fill(&mut self, memory: &mut impl Memory, frame: u64, lines: u64) -> Result<Progress, Error> {
        let number = self.live(frame)?;
        self.descriptor_mut(number)?.todo |= lines;
        self.read_lines(memory, number)
    }

    /// One step of reading.
    fn read_lines(&mut self, memory: &mut impl Memory, number: u32) -> Result<Progress, Error> {
        let mut todo = self.descriptor(number)?.todo;
        let mut result = Ok(());
        for _ in 0..STEP / LINE {
            for index in first_line(todo).into_iter().flatten() {
                result = result.and(self.synchronise(memory, number, index));
            }
            todo &= todo.wrapping_sub(1);
        }
        let table = self.descriptor_mut(number)?;
        table.todo = todo;
        if todo == 0 {
            table.state = State::Ready;
        }
        result.map(|()| if todo == 0 { Progress::Done } else { Progress::Again })
    }

    /// Makes an entry what the guest's memory says now; absent, if that is refused.
    #[inline]
    pub(crate) fn synchronise(&mut self, memory: &mut impl Memory, number: u32, index: usize) -> Result<(), Error> {
        let entry = memory.guest(self.descriptor(number)?.place + (index as u64) * 8);
        let result = self.put(memory, number, index, entry);
        if result.is_err() {
            self.put(memory, number, index, 0)?;
        }
        result
    }
}
