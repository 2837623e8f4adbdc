// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The service's state, its boundary to memory, and the one way in which an entry gets into a table.

use crate::descriptor::{Descriptor, LINE, State};
use crate::entry::{ADDRESS, LARGE, PAGE_BITS, PRESENT, frame, leaf, reference};
use crate::{Error, Setup};
use core::ops::Range;
use parzelle_paging::{ENTRIES, LongMode};

/// Root entries that are the kernel's (and, in a root of [`Kind::Kernel`](crate::Kind::Kernel), the shim's).
pub const KERNEL_SLOTS: Range<usize> = LongMode::KERNEL_SLOTS;
/// How many.
pub(crate) const SLOTS: usize = KERNEL_SLOTS.end - KERNEL_SLOTS.start;
/// The level of a root.
pub(crate) const ROOT: u8 = 4;
/// Bits of an entry above level 1 that the processor wants to be zero, whatever the guest believes.
const MUST_BE_ZERO: u64 = LARGE;

/// The kernel's window onto physical memory. The service asks for nothing but what it has proved.
pub trait Memory {
    /// Reads entry `index` of the pool's frame number `table`.
    fn entry(&self, table: u32, index: usize) -> u64;

    /// Writes that entry, as one store of 64 bits.
    fn set_entry(&mut self, table: u32, index: usize, word: u64);

    /// Reads 8 bytes of the partition's memory, once; `physical` is a multiple of 8 in one of its regions.
    fn guest(&self, physical: u64) -> u64;
}

/// The page tables of one partition. Used by one core at a time; every operation is bounded.
#[derive(Debug)]
pub struct Tables<'a> {
    pub(crate) set: Setup<'a>,
    /// First and last of the free list; 0: empty.
    pub(crate) free: (u32, u32),
    /// The next table to be reset, while that goes on.
    pub(crate) resetting: Option<u32>,
}

impl Tables<'_> {
    /// Writes one entry, given by the caller and not by the guest's memory.
    ///
    /// # Errors
    /// The entry is refused, and the old one stays.
    pub fn write(&mut self, memory: &mut impl Memory, frame: u64, index: u64, entry: u64) -> Result<(), Error> {
        let number = self.live(frame)?;
        let index = usize::try_from(index).ok().filter(|index| *index < ENTRIES).ok_or(Error::OutOfRange)?;
        self.put(memory, number, index, entry)
    }

    /// Finds the table for a guest frame.
    #[inline]
    pub(crate) fn named(&self, frame: u64) -> Result<u32, Error> {
        if self.resetting.is_some() {
            return Err(Error::Resetting);
        }
        let name = usize::try_from(frame).ok().and_then(|frame| self.set.names.get(frame));
        name.copied().filter(|number| *number != 0).ok_or(Error::NoTable)
    }

    /// Finds the table for a guest frame that isn't being destroyed.
    #[inline]
    pub(crate) fn live(&self, frame: u64) -> Result<u32, Error> {
        let number = self.named(frame)?;
        let live = self.descriptor(number)?.state != State::Dying;
        if live { Ok(number) } else { Err(Error::NoTable) }
    }

    #[inline]
    pub(crate) fn descriptor(&self, number: u32) -> Result<&Descriptor, Error> {
        self.set.descriptors.get(number as usize).ok_or(Error::NoTable)
    }

    #[inline]
    pub(crate) fn descriptor_mut(&mut self, number: u32) -> Result<&mut Descriptor, Error> {
        self.set.descriptors.get_mut(number as usize).ok_or(Error::NoTable)
    }

    /// Where a table lies.
    pub(crate) const fn physical(&self, number: u32) -> u64 {
        self.set.pool + ((number as u64) << PAGE_BITS)
    }

    /// Finds a table that can be linked: ready, and of this level.
    #[inline]
    pub(crate) fn linkable(&self, frame: u64, level: u8) -> Result<u32, Error> {
        let number = self.live(frame)?;
        let table = self.descriptor(number)?;
        if table.level != level {
            return Err(Error::WrongLevel);
        }
        if table.state == State::Ready { Ok(number) } else { Err(Error::NotReady) }
    }

    /// Checks an entry of the guest's and puts what comes of it into a table.
    #[inline]
    pub(crate) fn put(&mut self, memory: &mut impl Memory, number: u32, index: usize, entry: u64) -> Result<(), Error> {
        let word = match self.descriptor(number)?.level {
            1 => leaf(self.set.regions, entry)?,
            _ => return self.put_reference(memory, number, index, entry, true),
        };
        if self.descriptor_mut(number)?.uses(index, word) {
            memory.set_entry(number, index, word);
        }
        Ok(())
    }

    /// Makes an entry what the guest's memory says now; absent, if that is refused.
    #[inline]
    pub(crate) fn synchronise_one(&mut self, memory: &mut impl Memory, number: u32, index: usize) -> Result<(), Error> {
        let regions = self.set.regions;
        let table = self.descriptor_mut(number)?;
        if table.level != 1 {
            return self.synchronise(memory, number, index..index + 1);
        }
        let word = leaf(regions, memory.guest(table.place + (index as u64) * 8));
        if table.uses(index, word.unwrap_or(0)) {
            memory.set_entry(number, index, word.unwrap_or(0));
        }
        word.map(|_| ())
    }

    /// Makes entries of one line what the guest's memory says now; absent, if that is refused. The
    /// hottest loop of all: what it needs to know of the table it learns once.
    #[inline(never)]
    pub(crate) fn synchronise(
        &mut self,
        memory: &mut impl Memory,
        number: u32,
        entries: Range<usize>,
    ) -> Result<(), Error> {
        let &Descriptor { level, place, lines, .. } = self.descriptor(number)?;
        if level != 1 {
            return self.synchronise_references(memory, number, place, entries);
        }
        let line = 1 << (entries.start / LINE);
        let (regions, mut used, mut result) = (self.set.regions, lines & line != 0, Ok(()));
        for index in entries {
            let entry = memory.guest(place + (index as u64) * 8);
            let word = leaf(regions, entry).unwrap_or_else(|error| {
                result = Err(error);
                0
            });
            if word == 0 && !used {
                continue;
            }
            used = true;
            memory.set_entry(number, index, word);
        }
        if used {
            self.descriptor_mut(number)?.lines = lines | line;
        }
        result
    }

    /// The same above level 1.
    #[inline(never)]
    fn synchronise_references(
        &mut self,
        memory: &mut impl Memory,
        number: u32,
        place: u64,
        entries: Range<usize>,
    ) -> Result<(), Error> {
        let mut result = Ok(());
        for index in entries {
            let entry = memory.guest(place + (index as u64) * 8);
            result = result.and(self.put_reference(memory, number, index, entry, false));
        }
        result
    }

    /// Puts a reference into a table of a level above 1, or nothing. If it is refused: keeps the old
    /// one, or puts nothing.
    #[inline(never)]
    fn put_reference(
        &mut self,
        memory: &mut impl Memory,
        number: u32,
        index: usize,
        entry: u64,
        keep: bool,
    ) -> Result<(), Error> {
        let level = self.descriptor(number)?.level;
        if level == ROOT && KERNEL_SLOTS.contains(&index) {
            return if entry & PRESENT == 0 { Ok(()) } else { Err(Error::Reserved) };
        }
        let word = if entry & PRESENT == 0 { Ok(0) } else { self.refer(level - 1, entry) };
        if word.is_ok() || !keep {
            let new = word.unwrap_or(0);
            if self.descriptor_mut(number)?.uses(index, new) {
                let old = memory.entry(number, index);
                memory.set_entry(number, index, new);
                self.drop_child(old);
            }
        }
        word.map(|_| ())
    }

    /// Makes a reference to a table of this level, and counts it; before an old one is dropped, since it
    /// may be the same. There are less than 2³² entries to come from.
    #[inline]
    fn refer(&mut self, level: u8, entry: u64) -> Result<u64, Error> {
        if entry & MUST_BE_ZERO != 0 {
            return Err(Error::Malformed);
        }
        let child = self.linkable(frame(entry), level)?;
        self.take(child)?;
        Ok(reference(entry, self.physical(child)))
    }

    /// Counts one more reference to a table.
    #[inline]
    pub(crate) fn take(&mut self, number: u32) -> Result<(), Error> {
        let table = self.descriptor_mut(number)?;
        table.refs = table.refs.checked_add(1).ok_or(Error::InUse)?;
        Ok(())
    }

    /// Counts one reference less.
    #[inline]
    pub(crate) fn release(&mut self, number: usize) {
        if let Some(table) = self.set.descriptors.get_mut(number) {
            table.refs = table.refs.saturating_sub(1);
        }
    }

    /// Gives up the reference that an entry above level 1 was. The kernel's slots lead out of the pool: no
    /// table of it loses anything by them.
    #[inline]
    pub(crate) fn drop_child(&mut self, old: u64) {
        if old & PRESENT != 0 {
            self.release(((old & ADDRESS).wrapping_sub(self.set.pool) >> PAGE_BITS) as usize);
        }
    }
}
