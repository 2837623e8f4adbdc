// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The queue of changed entries in the vCPU page, emptied at the kernel's next entry.
//!
//! The shim writes the guest's own table and notes where; it needs no kernel call for that. The page is
//! the partition's, so whatever stands in the queue is only a hint where to look.

use crate::descriptor::LINE;
use crate::entry::{ADDRESS, PAGE_BITS};
use crate::fill::{ELEMENT, REPLACED, SINGLE};
use crate::tables::{Memory, Tables};
use crate::{Error, Progress, STEP};
use parzelle_paging::ENTRIES;

/// Elements in a vCPU page, at most.
pub const QUEUE: usize = 64;

/// Entries of half a line.
const HALF: usize = LINE / 2;

/// Where [`Element`] has its count.
const COUNT: u32 = 52;

/// Entries that have changed.
///
/// ```text
///   63..61  60.........52 51..........12 11....3 2..0
///   ignored entries - 1   guest frame    index   ignored
/// ```
/// So the address of an entry, in the guest's view of physical memory, is an element for this entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element(pub u64);

impl Element {
    /// Entries of a frame's table, from `index` on.
    #[must_use]
    pub const fn new(frame: u64, index: usize, count: usize) -> Element {
        let count = count.wrapping_sub(1) as u64 % ENTRIES as u64;
        Element(count << COUNT | frame << PAGE_BITS & ADDRESS | (index as u64 % ENTRIES as u64) << 3)
    }

    const fn frame(self) -> u64 {
        (self.0 & ADDRESS) >> PAGE_BITS
    }

    /// Whether it is one entry: what it takes to read that is little, beside any other call.
    #[must_use]
    pub const fn is_one(self) -> bool {
        (self.0 >> COUNT).is_multiple_of(ENTRIES as u64)
    }

    const fn index(self) -> usize {
        (self.0 >> 3) as usize % ENTRIES
    }

    /// The entries, clipped to the table.
    fn entries(self) -> core::ops::Range<usize> {
        let first = self.index();
        let count = (self.0 >> COUNT) as usize % ENTRIES + 1;
        first..ENTRIES.min(first + count)
    }

    /// Their lines.
    fn lines(self) -> u64 {
        let entries = self.entries();
        u64::MAX << (entries.start / LINE) & u64::MAX >> (63 - (entries.end - 1) / LINE)
    }
}

/// The queue in the current vCPU's page. Both sides treat it as a stack: order doesn't matter.
pub trait Queue {
    /// Reads, once, how many elements there are.
    fn count(&self) -> u64;
    /// Writes how many are left.
    fn set_count(&mut self, count: u64);
    /// Reads element `slot`, below [`QUEUE`].
    fn element(&self, slot: usize) -> u64;
    /// Writes it: what is left of it.
    fn set_element(&mut self, slot: usize, element: u64);
}

impl<M: Memory> Tables<'_, M> {
    /// Does what the queue says, a [`STEP`] at a time. Elements for frames without a table are dropped.
    /// [`Progress::Again`] with an empty queue: that was a reference, and beside it there is no room for a step.
    ///
    /// # Errors
    /// An entry was refused: it is absent in the kernel's table, whatever was there before. The rest of the
    /// step is done, and more may be left: call again.
    #[inline]
    pub fn drain(&mut self, queue: &mut impl Queue) -> Result<Progress, Error> {
        let count = queue.count().min(QUEUE as u64) as usize;
        // Mostly it is one.
        if count == 1 {
            let mut spent = 0;
            let element = Element(queue.element(0));
            if element.is_one()
                && let Some(done) = self.synchronise_one(element.frame(), element.index(), &mut spent)
            {
                queue.set_count(0);
                return done.map(|()| Progress::of(spent == ELEMENT));
            }
        }
        self.drain_step(queue, count)
    }

    #[inline(never)]
    fn drain_step(&mut self, queue: &mut impl Queue, mut count: usize) -> Result<Progress, Error> {
        let (mut spent, mut result) = (0, Ok(()));
        while count > 0 && spent + ELEMENT + SINGLE <= STEP {
            let element = Element(queue.element(count - 1));
            if element.is_one()
                && let Some(done) = self.synchronise_one(element.frame(), element.index(), &mut spent)
            {
                result = result.and(done);
                count -= 1;
                continue;
            }
            let Ok(number) = self.live(element.frame()) else {
                count -= 1;
                spent += ELEMENT;
                continue;
            };
            let entries = element.entries();
            // Whole lines: who reads what hasn't changed does no harm. But where there may be references so far, half of one
            // at a time; what is left then begins with the other half.
            if self.is_used(number, entries.start) {
                if spent > 0 && spent + ELEMENT + HALF * REPLACED > STEP {
                    break;
                }
                let second = entries.start % LINE == HALF;
                let start = entries.start / LINE * LINE + if second { HALF } else { 0 };
                let (end, last) = (start + HALF, entries.end.next_multiple_of(LINE));
                result = result.and(self.synchronise_some(number, start..end).0);
                spent += ELEMENT + HALF * REPLACED;
                if end < last {
                    queue.set_element(count - 1, Element::new(element.frame(), end, last - end).0);
                } else {
                    count -= 1;
                }
                continue;
            }
            spent += ELEMENT;
            let (done, left) = self.synchronise(number, element.lines(), &mut spent);
            result = result.and(done);
            if left == 0 {
                count -= 1;
            } else {
                let first = left.trailing_zeros() as usize * LINE;
                let end = entries.end.next_multiple_of(LINE);
                queue.set_element(count - 1, Element::new(element.frame(), first, end - first).0);
                break;
            }
        }
        queue.set_count(count as u64);
        result.map(|()| Progress::of(count == 0))
    }
}
