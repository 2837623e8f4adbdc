// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The service's state, its boundary to memory, and how tables are found and counted.

use crate::descriptor::{Descriptor, State};
use crate::entry::{ADDRESS, PAGE_BITS, PRESENT};
use crate::{Error, Setup};
use core::ops::Range;
use parzelle_paging::LongMode;

/// Root entries that are the kernel's (and, in a root of [`Kind::Kernel`](crate::Kind::Kernel), the shim's).
pub const KERNEL_SLOTS: Range<usize> = LongMode::KERNEL_SLOTS;
/// How many.
pub(crate) const SLOTS: usize = KERNEL_SLOTS.end - KERNEL_SLOTS.start;
/// The level of a root.
pub(crate) const ROOT: u8 = 4;

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
pub struct Tables<'a, M> {
    pub(crate) set: Setup<'a>,
    pub(crate) memory: M,
    /// First and last of the free list; 0: empty.
    pub(crate) free: (u32, u32),
    /// The next table to be reset, while that goes on.
    pub(crate) resetting: Option<u32>,
}

impl<M: Memory> Tables<'_, M> {
    /// Finds the table for a guest frame.
    #[inline]
    pub(crate) fn named(&self, frame: u64) -> Result<u32, Error> {
        if self.resetting.is_some() {
            return Err(Error::Resetting);
        }
        let name = self.set.names.get(self.clip(frame) as usize);
        name.copied().filter(|number| *number != 0).ok_or(Error::NoTable)
    }

    /// A frame that a caller named; one that has no name stays so, and becomes 0 for a processor that runs ahead of
    /// the check, which must not reach beyond the names either.
    #[inline]
    pub(crate) fn clip(&self, frame: u64) -> u64 {
        let length = self.set.names.len() as u64;
        // All ones if the frame is below the length, computed without a branch.
        let mask = core::hint::black_box((frame.wrapping_sub(length).cast_signed() >> 63).cast_unsigned());
        if frame < length { frame & mask } else { u64::MAX }
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

    /// Counts one more reference to a table, if it can be linked as one of this level. (There are
    /// less than 2³² entries to come from.)
    #[inline]
    pub(crate) fn take(&mut self, number: u32, level: u8) -> Result<(), Error> {
        let table = self.descriptor_mut(number)?;
        table.linkable(level)?;
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
