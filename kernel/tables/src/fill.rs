// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Creating tables, and reading the guest's.
//!
//! Whoever creates a table has just scanned it and says which lines have something in them; only
//! those are read. A table that is read again keeps serving meanwhile: each entry is valid by itself.

use crate::descriptor::{Descriptor, LINE, State, first_line};
use crate::entry::{PAGE_BITS, locate};
use crate::tables::{Memory, ROOT, Tables};
use crate::{Error, Progress, Tlb};

/// Entries that a step reads, at most: a line. Some 500 instructions for leaves, 1,000 for references.
pub const STEP: usize = LINE;

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
        let link = u32::try_from(frame).map_err(|_| Error::NotYours)?;
        let (place, _) = locate(self.set.regions, frame << PAGE_BITS).ok_or(Error::NotYours)?;
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
        let todo = self.descriptor(number)?.todo;
        let result = first_line(todo).map_or(Ok(()), |line| self.synchronise(memory, number, line));
        let todo = todo & todo.wrapping_sub(1);
        let table = self.descriptor_mut(number)?;
        table.todo = todo;
        if todo == 0 {
            table.state = State::Ready;
        }
        result.map(|()| if todo == 0 { Progress::Done } else { Progress::Again })
    }
}
