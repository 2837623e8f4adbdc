// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Creating tables, and reading the guest's.
//!
//! Whoever creates a table has just scanned it and says which lines have something in them; only
//! those are read. A table that is read again keeps serving meanwhile: each entry is valid by itself.

use crate::descriptor::{Descriptor, State};
use crate::entry::{PAGE_BITS, locate};
use crate::tables::{Memory, ROOT, Tables};
use crate::{Error, Progress};

/// How much a step of reading does, at most, but for one line, which is always done; a unit is some 15 instructions.
pub const STEP: usize = 54;
/// What a line of leaves counts.
pub(crate) const LEAVES: usize = 18;
/// What one of them counts besides that isn't in the first of the regions.
pub(crate) const OTHER: usize = 5;
/// What a line above level 1 counts as such.
pub(crate) const EMPTY: usize = 8;
/// What a reference counts where none was so far, and where there may have been one.
pub(crate) const REFERENCE: usize = 4;
pub(crate) const REPLACED: usize = 6;
/// What an element of the queue counts as such, or one that is a single leaf; and what one counts besides that is a
/// single reference.
pub(crate) const ELEMENT: usize = 9;
pub(crate) const SINGLE: usize = 9;

impl<M: Memory> Tables<'_, M> {
    /// Creates a table of this level for a guest frame, and begins to fill it: as [`fill`](Self::fill).
    ///
    /// # Errors
    /// Besides those of `fill`: the frame is none of the partition's, has a table, or there is no free table.
    pub fn create(&mut self, frame: u64, level: u64, lines: u64) -> Result<Progress, Error> {
        let level = u8::try_from(level).ok().filter(|level| (1..=ROOT).contains(level)).ok_or(Error::OutOfRange)?;
        match self.named(frame) {
            Err(Error::NoTable) => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(Error::Exists),
        }
        let frame = self.clip(frame);
        let link = u32::try_from(frame).map_err(|_| Error::NotYours)?;
        let (place, _) = locate(self.set.regions, frame << PAGE_BITS).ok_or(Error::NotYours)?;
        let name = self.set.names.get_mut(link as usize).ok_or(Error::NotYours)?;
        let (number, last) = self.free;
        let table = self.set.descriptors.get_mut(number as usize).filter(|_| number != 0).ok_or(Error::PoolEmpty)?;
        // The oldest of all: if this can't be reused, none can.
        let (freed, tlb) = (table.place, self.set.tlb);
        if !tlb.all_passed(freed + 1) {
            return Ok(Progress::Flush(if tlb.generation() > freed { freed + 1 } else { tlb.round() }));
        }
        self.free = if table.link == 0 { (0, 0) } else { (table.link, last) };
        *table = Descriptor { state: State::Filling, level, link, place, todo: lines, ..Descriptor::default() };
        *name = number;
        self.read_lines(number)
    }

    /// Reads lines of the guest's table (again) and goes on with those not read so far, a [`STEP`]
    /// at a time.
    ///
    /// # Errors
    /// An entry was refused: it is absent in the kernel's table, whatever was there before. The rest of the
    /// step is done, and more may be left: call again with no lines.
    pub fn fill(&mut self, frame: u64, lines: u64) -> Result<Progress, Error> {
        let number = self.live(frame)?;
        self.descriptor_mut(number)?.todo |= lines;
        self.read_lines(number)
    }

    /// One step of reading.
    fn read_lines(&mut self, number: u32) -> Result<Progress, Error> {
        let todo = self.descriptor(number)?.todo;
        let (result, todo) = self.synchronise(number, todo, &mut 0);
        let table = self.descriptor_mut(number)?;
        table.todo = todo;
        if todo == 0 {
            table.state = State::Ready;
        }
        result.map(|()| Progress::of(todo == 0))
    }
}
