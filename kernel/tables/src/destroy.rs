// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Destroying tables, and resetting all of them when the partition restarts.

use crate::descriptor::{Descriptor, LINE, State, first_line};
use crate::tables::{Memory, Tables};
use crate::{Error, Progress};

/// References that a step clears, at most; of leaves four times as many. Half as many of both, where the partition restarts,
/// since more is done in that entry to the kernel.
pub const CLEAR: usize = 4 * LINE;

impl<M: Memory> Tables<'_, M> {
    /// Destroys a table that nothing refers to, [`CLEAR`] of its entries at a time; what it refers to loses a
    /// reference each. So parents go before their children. From the first step on nobody can link it.
    ///
    /// # Errors
    /// There is none, or it is in use.
    pub fn destroy(&mut self, frame: u64) -> Result<Progress, Error> {
        let number = self.named(frame)?;
        if self.descriptor(number)?.refs > 0 {
            return Err(Error::InUse);
        }
        self.clear(number, CLEAR / LINE)
    }

    /// Takes everything from the guest, one step at a time: the partition restarts. Called when no core is in
    /// a root of it, and until it is done; meanwhile all else is refused.
    pub fn reset(&mut self) -> Progress {
        let number = self.resetting.unwrap_or(1);
        // Tables go in any order: what is gone loses no more references.
        self.set.roots.fill([0; 2]);
        let clear = match self.descriptor(number).map(|table| table.state) {
            Err(_) => {
                self.resetting = None;
                return Progress::Done;
            }
            Ok(State::Free) => true,
            Ok(_) => self.clear(number, CLEAR / LINE / 2) == Ok(Progress::Done),
        };
        self.resetting = Some(number + u32::from(clear));
        Progress::Again
    }

    /// Clears so many lines of a table, or four times as many of leaves; when it is clear, takes its name and gives it back.
    fn clear(&mut self, number: u32, lines: usize) -> Result<Progress, Error> {
        let table = self.descriptor_mut(number)?;
        let mut todo = if table.state == State::Dying { table.todo } else { table.lines };
        let (references, frame) = (table.level > 1, table.link);
        table.state = State::Dying;
        for _ in 0..lines * if references { 1 } else { 4 } {
            let Some(line) = first_line(todo) else { break };
            for index in line {
                if references {
                    self.drop_child(self.memory.entry(number, index));
                }
                self.memory.set_entry(number, index, 0);
            }
            todo &= todo.wrapping_sub(1);
        }
        self.descriptor_mut(number)?.todo = todo;
        if todo == 0 {
            if let Some(name) = self.set.names.get_mut(frame as usize) {
                *name = 0;
            }
            self.give_back(number, self.set.tlb.generation());
        }
        Ok(Progress::of(todo == 0))
    }

    /// Puts a table at the end of the free list.
    pub(crate) fn give_back(&mut self, number: u32, generation: u64) {
        let (first, last) = self.free;
        if first != 0
            && let Ok(last) = self.descriptor_mut(last)
        {
            last.link = number;
        }
        if let Ok(table) = self.descriptor_mut(number) {
            *table = Descriptor { place: generation, ..Descriptor::default() };
        }
        self.free = (if first == 0 { number } else { first }, number);
    }
}
