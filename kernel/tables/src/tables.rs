// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The service's state, its boundary to memory, and the one way in which an entry gets into a table.

use crate::descriptor::{Descriptor, LINE, State};
use crate::entry::{ADDRESS, LARGE, PAGE_BITS, PRESENT, frame, leaf, locate, reference};
use crate::{Error, Setup};
use parzelle_paging::{ENTRIES, LongMode};

/// Root entries that are the kernel's (and, in a root of [`Kind::Kernel`](crate::Kind::Kernel), the shim's).
pub const KERNEL_SLOTS: core::ops::Range<usize> = LongMode::KERNEL_SLOTS;
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
        let level = self.descriptor(number)?.level;
        let present = entry & PRESENT != 0;
        if level == ROOT && KERNEL_SLOTS.contains(&index) {
            return if present { Err(Error::Reserved) } else { Ok(()) };
        }
        let mut child = None;
        let word = match level {
            _ if !present => 0,
            1 => {
                let (physical, region) = locate(self.set.regions, frame(entry)).ok_or(Error::NotYours)?;
                leaf(entry, physical, region)
            }
            _ if entry & MUST_BE_ZERO != 0 => return Err(Error::Malformed),
            _ => {
                let number = self.linkable(frame(entry), level - 1)?;
                child = Some(number);
                reference(entry, self.physical(number))
            }
        };
        let line = 1 << (index / LINE);
        let table = self.descriptor_mut(number)?;
        if word == 0 && table.lines & line == 0 {
            return Ok(());
        }
        table.lines |= line;
        let old = if level == 1 { 0 } else { memory.entry(number, index) };
        // Take before dropping: it may be the same.
        if let Some(child) = child {
            self.take(child)?;
        }
        memory.set_entry(number, index, word);
        self.drop_child(old);
        Ok(())
    }

    /// Counts one more reference to a table. There are less than 2³² entries to come from.
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
