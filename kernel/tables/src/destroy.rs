// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Destroying tables, and resetting all of them when the partition restarts.

use crate::descriptor::{Descriptor, LINE, State, first_line};
use crate::tables::{Memory, Tables};
use crate::{Error, Progress, Roots, Tlb};

/// Entries that a step clears, at most.
pub const CLEAR: usize = 4 * LINE;

impl Tables<'_> {
    /// Destroys a table that nothing refers to, [`CLEAR`] entries at a time; what it refers to loses a
    /// reference each. So parents go before their children. From the first step on nobody can link it.
    ///
    /// # Errors
    /// There is none, or it is in use.
    pub fn destroy(&mut self, tlb: &Tlb<'_>, memory: &mut impl Memory, frame: u64) -> Result<Progress, Error> {
        let number = self.named(frame)?;
        let table = self.descriptor_mut(number)?;
        if table.refs > 0 {
            return Err(Error::InUse);
        }
        if table.state != State::Dying {
            table.state = State::Dying;
            table.todo = table.lines;
        }
        let mut budget = CLEAR;
        if !self.clear(memory, number, &mut budget) {
            return Ok(Progress::Again);
        }
        self.forget(tlb, number);
        Ok(Progress::Done)
    }

    /// Takes everything from the guest, one step at a time: the partition restarts. Called when no core is in
    /// a root of it, and until it is done; meanwhile all else is refused.
    pub fn reset(&mut self, tlb: &Tlb<'_>, memory: &mut impl Memory) -> Progress {
        let mut budget = CLEAR;
        let mut number = match self.resetting {
            Some(number) => number,
            None => {
                self.set.roots.fill(Roots::default());
                1
            }
        };
        while let Some(table) = self.set.descriptors.get_mut(number as usize) {
            self.resetting = Some(number);
            if budget == 0 {
                return Progress::Again;
            }
            if table.state != State::Free {
                if table.state != State::Dying {
                    table.todo = table.lines;
                }
                table.state = State::Dying;
                if !self.clear(memory, number, &mut budget) {
                    return Progress::Again;
                }
                self.forget(tlb, number);
            }
            budget = budget.saturating_sub(1);
            number += 1;
        }
        self.resetting = None;
        Progress::Done
    }

    /// Clears a dying table, as far as the budget of entries goes; whether it is clear.
    fn clear(&mut self, memory: &mut impl Memory, number: u32, budget: &mut usize) -> bool {
        let Ok(&Descriptor { level, mut todo, .. }) = self.descriptor(number) else {
            return true;
        };
        while let Some(line) = first_line(todo).filter(|_| *budget > 0) {
            for index in line {
                // In a reset the tables go in any order, and all counts with them.
                if level > 1 && self.resetting.is_none() {
                    self.drop_child(memory.entry(number, index));
                }
                memory.set_entry(number, index, 0);
            }
            todo &= todo.wrapping_sub(1);
            *budget = budget.saturating_sub(LINE);
        }
        if let Ok(table) = self.descriptor_mut(number) {
            table.todo = todo;
        }
        todo == 0
    }

    /// Takes the name from a table that is clear, and gives it back.
    fn forget(&mut self, tlb: &Tlb<'_>, number: u32) {
        let frame = self.descriptor(number).map_or(0, |table| table.link);
        if let Some(name) = self.set.names.get_mut(frame as usize) {
            *name = 0;
        }
        self.give_back(number, tlb.generation());
    }

    /// Puts a table at the end of the free list.
    pub(crate) fn give_back(&mut self, number: u32, generation: u64) {
        let (first, last) = self.free;
        if let Ok(table) = self.descriptor_mut(number) {
            *table = Descriptor { place: generation, ..Descriptor::default() };
        }
        if first == 0 {
            self.free = (number, number);
            return;
        }
        if let Ok(last) = self.descriptor_mut(last) {
            last.link = number;
        }
        self.free = (first, number);
    }
}
