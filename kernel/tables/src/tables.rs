// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The service's state, its boundary to memory, and the one way in which an entry gets into a table.

use crate::descriptor::{Descriptor, Kind, LINE, State};
use crate::entry::{ADDRESS, LARGE, PAGE_BITS, PRESENT, REGIONS, Region, frame, leaf, locate, reference};
use crate::{Error, Roots};
use parzelle_paging::{ENTRIES, LongMode};

/// Root entries that are the kernel's (and, in a root of [`Kind::Kernel`], the shim's).
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

/// What boot gives, as the plan says.
#[derive(Debug)]
pub struct Setup<'a> {
    /// Where the pool begins. All of it is zero. Its first frame serves as the empty user root.
    pub pool: u64,
    /// One for each frame of the pool.
    pub descriptors: &'a mut [Descriptor],
    /// One for each guest frame that may be a table.
    pub names: &'a mut [u32],
    /// The guest's memory, at most [`REGIONS`]; none of it in the pool.
    pub regions: &'a [Region],
    /// One for each vCPU of the partition.
    pub roots: &'a mut [Roots],
    /// What stands in [`KERNEL_SLOTS`], by [`Kind`].
    pub slots: [[u64; SLOTS]; 2],
    /// The root of a host context that has not set one: physical address.
    pub host: u64,
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

impl<'a> Tables<'a> {
    /// Begins with all tables free. Not bounded: boot is not.
    ///
    /// # Errors
    /// [`Error::Setup`]: addresses are no multiples of 4 KiB, the pool has no frame, or a region
    /// touches it or wraps around.
    pub fn new(setup: Setup<'a>, memory: &mut impl Memory) -> Result<Self, Error> {
        let bytes = (setup.descriptors.len() as u64) << PAGE_BITS;
        let end = setup.pool.checked_add(bytes).filter(|end| *end & !ADDRESS == 0).ok_or(Error::Setup)?;
        let fits = |region: &Region| {
            let stop = region.count.checked_mul(1 << PAGE_BITS).and_then(|bytes| region.physical.checked_add(bytes));
            region.physical & !ADDRESS == 0
                && stop.is_some_and(|stop| stop & !ADDRESS == 0 && (stop <= setup.pool || region.physical >= end))
        };
        let numbered = u32::try_from(setup.descriptors.len()).is_ok_and(|count| count > 0);
        let few = setup.regions.len() <= REGIONS;
        if !numbered || !few || setup.pool & !ADDRESS != 0 || !setup.regions.iter().all(fits) {
            return Err(Error::Setup);
        }
        setup.names.fill(0);
        setup.roots.fill(Roots::default());
        setup.descriptors.fill(Descriptor::default());
        let mut tables = Self { set: setup, free: (0, 0), resetting: None };
        for number in 1..tables.set.descriptors.len() as u32 {
            tables.give_back(number, 0);
        }
        let empty = Descriptor { state: State::Ready, level: ROOT, refs: 1, ..Descriptor::default() };
        if let Some(first) = tables.set.descriptors.first_mut() {
            *first = empty;
        }
        tables.set_kind(memory, 0, Kind::User);
        Ok(tables)
    }

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
    pub(crate) fn release(&mut self, number: u32) {
        if let Ok(table) = self.descriptor_mut(number) {
            table.refs = table.refs.saturating_sub(1);
        }
    }

    /// Gives up the reference that an entry above level 1 was.
    #[inline]
    pub(crate) fn drop_child(&mut self, old: u64) {
        if old & PRESENT != 0 {
            self.release(((old & ADDRESS).wrapping_sub(self.set.pool) >> PAGE_BITS) as u32);
        }
    }
}
