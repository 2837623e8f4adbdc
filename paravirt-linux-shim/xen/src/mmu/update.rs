// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Entries change.

use super::entry::{ACCESSED, DIRTY, PRESENT, frame, index, is_for_kernel, is_installed, is_reserved, load};
use super::service::Calls;
use super::{Mode, Service, Turn};
use crate::abi::mmu::{MmuUpdate, UPDATE_KIND, UpdateKind};
use crate::abi::{Errno, PAGE};
use crate::instruction::Width;
use crate::memory::{Frames, Page};

/// How many entries [`Removed`] holds.
const REMOVED: usize = 64;

/// Entries that were taken away and may still be in some vCPU's queue, on guests with several vCPUs.
#[derive(Debug)]
pub(super) struct Removed {
    count: usize,
    at: [u64; REMOVED],
}

impl Default for Removed {
    fn default() -> Self {
        Self { count: 0, at: [0; REMOVED] }
    }
}

impl<S: Service, F: Frames> Turn<'_, '_, S, F> {
    /// Does one entry of an `mmu_update`.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: what was to be written can't be, and the old entry stays;
    /// [`Errno::NoMemory`]: the pool is used up.
    #[inline(always)]
    pub fn update(&mut self, update: &MmuUpdate) -> Result<(), Errno> {
        const NORMAL: u64 = UpdateKind::Normal as u64;
        const PRESERVE: u64 = UpdateKind::PreserveAccessedDirty as u64;
        let (at, kind) = (update.ptr & !7, update.ptr & UPDATE_KIND);
        let level = self.mmu.book.level(at / PAGE);
        // Nearly all of them.
        if matches!(kind, NORMAL | PRESERVE) && level <= 1 {
            let page = self.page(at / PAGE)?;
            let old = page.load64((at % PAGE) as usize);
            let new = update.val | if kind == PRESERVE { old & (ACCESSED | DIRTY) } else { 0 };
            if level == 0 {
                page.store64((at % PAGE) as usize, new);
                return Ok(());
            }
            return self.put_leaf(&page, at, old, new);
        }
        self.update_otherwise(update)
    }

    #[inline(never)]
    fn update_otherwise(&mut self, update: &MmuUpdate) -> Result<(), Errno> {
        let at = update.ptr & !7;
        match UpdateKind::from_number(update.ptr & UPDATE_KIND) {
            Some(UpdateKind::Normal | UpdateKind::NoTranslate) => self.write(at, update.val),
            Some(UpdateKind::PreserveAccessedDirty) => {
                let page = self.page(at / PAGE)?;
                let old = page.load64((at % PAGE) as usize);
                self.put(&page, at, old, update.val | old & (ACCESSED | DIRTY))
            }
            Some(UpdateKind::MachineToPhysical) => {
                let known = self.service.set_machine_to_physical(at / PAGE, update.val);
                if known { Ok(()) } else { Err(Errno::Invalid) }
            }
            None => Err(Errno::NoSystem),
        }
    }

    /// Writes the lowest entry for an address, in the tables of the kernel's root
    /// (`update_va_mapping`, without its flush).
    ///
    /// # Errors
    /// As [`Self::update`]; also, there is no table for this address.
    pub fn update_address(&mut self, address: u64, entry: u64) -> Result<(), Errno> {
        let mut table = self.vcpu.root(Mode::Kernel).ok_or(Errno::Invalid)?;
        for level in [4, 3, 2] {
            let slot = index(address, level);
            let entry = load(&self.page(table)?, slot);
            if entry & PRESENT == 0 || is_reserved(level, slot) {
                return Err(Errno::Invalid);
            }
            table = frame(entry);
        }
        self.write(table * PAGE + index(address, 1) * 8, entry)
    }

    /// Writes into a table for the guest, whose store there has faulted ([`super::Fault::Store`]).
    /// `change` makes what is to be written of what is there, both of `width`; none: nothing.
    ///
    /// # Errors
    /// As [`Self::update`]: the guest gets the fault. And a store across two entries is none.
    pub fn store(&mut self, at: u64, width: Width, change: impl FnOnce(u64) -> Option<u64>) -> Result<(), Errno> {
        let (entry, shift) = (at & !7, at % 8 * 8);
        if shift + u64::from(width.bits()) > 64 {
            return Err(Errno::Invalid);
        }
        let page = self.page(at / PAGE)?;
        let old = page.load64((entry % PAGE) as usize);
        let Some(part) = change(width.cut(old >> shift)) else { return Ok(()) };
        let new = old & !(width.cut(u64::MAX) << shift) | width.cut(part) << shift;
        self.put(&page, entry, old, new)
    }

    /// Exchanges an entry of a table, which one of the guest's kernel has at this address, read-only: a write there
    /// faults for no other reason. What was there; none: it isn't so, and nothing is done.
    #[inline]
    pub fn exchange(&mut self, address: u64, new: u64) -> Option<u64> {
        let at = self.in_table(address).filter(|at| at.is_multiple_of(8))?;
        let page = self.page(at / PAGE).ok()?;
        let old = page.load64((at % PAGE) as usize);
        match self.mmu.book.level(at / PAGE) {
            0 => return None,
            1 => self.put_leaf(&page, at, old, new),
            level => self.put_reference(&page, at, level, old, new),
        }
        .ok()?;
        Some(old)
    }

    /// Writes an entry at a physical address.
    fn write(&mut self, at: u64, new: u64) -> Result<(), Errno> {
        let page = self.page(at / PAGE)?;
        let old = page.load64((at % PAGE) as usize);
        self.put(&page, at, old, new)
    }

    /// Writes an entry, or into memory that is no table: the guest's, and notes it for the kernel's.
    pub(super) fn put(&mut self, page: &F::Page, at: u64, old: u64, new: u64) -> Result<(), Errno> {
        let level = self.mmu.book.level(at / PAGE);
        let place = (at % PAGE) as usize;
        if level > 1 {
            return self.put_reference(page, at, level, old, new);
        }
        if level == 0 {
            page.store64(place, new);
            return Ok(());
        }
        self.put_leaf(page, at, old, new)
    }

    /// The same on level 1.
    #[inline(always)]
    fn put_leaf(&mut self, page: &F::Page, at: u64, old: u64, new: u64) -> Result<(), Errno> {
        if new & PRESENT != 0 && frame(new) >= self.mmu.book.frames() {
            return Err(Errno::Invalid);
        }
        page.store64((at % PAGE) as usize, new);
        let (had, has) = (is_installed(old), is_installed(new));
        if had || has {
            self.service.push(at);
            self.vcpu.due.drain |= is_for_kernel(new);
            if had && self.mmu.vcpus > 1 {
                self.remove(at);
            }
        }
        Ok(())
    }

    /// The same above level 1.
    #[inline(never)]
    fn put_reference(&mut self, page: &F::Page, at: u64, level: u8, old: u64, new: u64) -> Result<(), Errno> {
        if is_reserved(level, at % PAGE / 8) {
            let absent = new & PRESENT == 0;
            return absent.then(|| page.store64((at % PAGE) as usize, new)).ok_or(Errno::Invalid);
        }
        if new & PRESENT != 0 {
            self.link(new, level)?;
        }
        page.store64((at % PAGE) as usize, new);
        if (old | new) & PRESENT != 0 {
            self.service.push(at);
            self.vcpu.due.drain |= is_for_kernel(new);
            if self.mmu.vcpus > 1 && old & PRESENT != 0 {
                self.remove(at);
            }
        }
        self.unlink(old);
        Ok(())
    }

    /// Notes that an entry was taken away, for others that change their roots.
    #[cold]
    fn remove(&mut self, at: u64) {
        if self.mmu.removed.count == REMOVED {
            self.take_removed();
            self.service.drain_all();
        }
        let removed = &mut self.mmu.removed;
        if let Some(slot) = removed.at.get_mut(removed.count) {
            *slot = at;
            removed.count += 1;
        }
    }

    /// Takes over what others may still have queued. It holds for all when this queue is empty.
    pub(super) fn take_removed(&mut self) {
        let count = core::mem::take(&mut self.mmu.removed.count);
        for slot in 0..count {
            if let Some(at) = self.mmu.removed.at.get(slot).copied() {
                self.service.push(at);
            }
        }
    }
}
