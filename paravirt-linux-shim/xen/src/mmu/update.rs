// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Entries change.

use super::entry::{ACCESSED, DIRTY, PRESENT, frame, index, is_for_kernel, is_installed, is_reserved, load};
use super::roots::Due;
use super::service::{Calls, QUEUE};
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

impl Removed {
    /// Whether it holds any.
    pub(super) const fn any(&self) -> bool {
        self.count > 0
    }
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

    /// As [`Self::update`], for what nearly all of them are: a leaf, and nobody else to think of. Whether something is due
    /// now. `None`: nothing has been done.
    #[inline(always)]
    pub fn update_leaf(&mut self, update: &MmuUpdate) -> Option<bool> {
        const PRESERVE: u64 = UpdateKind::PreserveAccessedDirty as u64;
        let (at, kind) = (update.ptr & !7, update.ptr & UPDATE_KIND);
        if kind & 1 != 0 || self.mmu.book.level(at / PAGE) != 1 || self.service.queued() >= QUEUE || self.mmu.vcpus > 1
        {
            return None;
        }
        let page = self.memory.page(at / PAGE)?;
        let old = page.load64((at % PAGE) as usize);
        let new = update.val | if kind == PRESERVE { old & (ACCESSED | DIRTY) } else { 0 };
        if new & PRESENT != 0 && frame(new) >= self.mmu.book.frames() {
            return None;
        }
        page.store64((at % PAGE) as usize, new);
        if is_installed(old) || is_installed(new) {
            self.service.push(at);
            self.vcpu.due.set(Due::DRAIN, is_for_kernel(new));
        }
        Some(self.vcpu.due.any())
    }

    /// Does entries of an `mmu_update` until one is refused: how many were done, and why that was.
    ///
    /// Most of them are next to each other: what is to be known of a table is looked up once, and they are
    /// noted together.
    pub fn update_all(&mut self, updates: &[MmuUpdate]) -> (usize, Result<(), Errno>) {
        let mut done = 0;
        while let Some(update) = updates.get(done) {
            let table = update.ptr / PAGE;
            let left = updates.get(done..).unwrap_or_default();
            let some = match (self.mmu.book.level(table), self.page(table)) {
                (0, Ok(page)) => plain(&page, table, left),
                // With others to think of, one by one.
                (1, Ok(page)) if self.mmu.vcpus == 1 => match self.leaves(&page, table, left) {
                    (some, Ok(())) => some,
                    (some, result) => return (done + some, result),
                },
                _ => 0,
            };
            // Other kinds of updates, and other tables.
            if some == 0 {
                if let Err(error) = self.update(update) {
                    return (done, Err(error));
                }
                done += 1;
            }
            done += some;
        }
        (done, Ok(()))
    }

    /// Those at the beginning that are ordinary, for one table of level 1.
    #[inline(never)]
    fn leaves(&mut self, page: &F::Page, table: u64, updates: &[MmuUpdate]) -> (usize, Result<(), Errno>) {
        let frames = self.mmu.book.frames();
        // Entries of the kernel's to be read: from where on, up to where.
        let (mut first, mut end, mut done, mut for_kernel) = (0, 0, 0, false);
        let mut result = Ok(());
        for (place, old, new) in ordinary(page, table, updates) {
            if new & PRESENT != 0 && frame(new) >= frames {
                result = Err(Errno::Invalid);
                break;
            }
            page.store64(place as usize, new);
            done += 1;
            if is_installed(new) {
                if is_for_kernel(new) {
                    for_kernel = true;
                }
            } else if !is_installed(old) {
                continue;
            }
            if place != end {
                self.push_some(table, first, end);
                first = place;
            }
            end = place + 8;
        }
        self.push_some(table, first, end);
        self.vcpu.due.set(Due::DRAIN, for_kernel);
        (done, result)
    }

    #[inline(never)]
    fn push_some(&mut self, table: u64, first: u64, end: u64) {
        if first != end {
            self.service.push_run(table * PAGE + first, (end - first) / 8);
        }
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
            self.vcpu.due.set(Due::DRAIN, is_for_kernel(new));
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
            self.mmu.book.remember_entry(at / PAGE, at % PAGE / 8);
        }
        page.store64((at % PAGE) as usize, new);
        if (old | new) & PRESENT != 0 {
            self.service.push(at);
            self.vcpu.due.set(Due::DRAIN, is_for_kernel(new));
            if self.mmu.vcpus > 1 && old & PRESENT != 0 {
                self.remove(at);
            }
        }
        if old & PRESENT != 0 {
            self.unlink(old);
        }
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

/// The ordinary ones among updates, as long as they are that and for one frame: where in it, what is there, what is to
/// be. Each is looked at when its turn comes: one may be for the same entry as the one before.
#[inline(always)]
fn ordinary(page: &impl Page, frame: u64, updates: &[MmuUpdate]) -> impl Iterator<Item = (u64, u64, u64)> {
    updates.iter().map_while(move |update| {
        let offset = update.ptr.wrapping_sub(frame * PAGE);
        // The kinds are 0 (normal), 1, and 2 (preserves bits).
        if offset >= PAGE || offset & 1 != 0 {
            return None;
        }
        let place = offset & !7;
        let old = page.load64(place as usize);
        Some((place, old, update.val | if offset & 2 != 0 { old & (ACCESSED | DIRTY) } else { 0 }))
    })
}

const _: () = assert!(UpdateKind::Normal as u64 == 0 && UpdateKind::PreserveAccessedDirty as u64 == 2);

/// Those at the beginning that are ordinary, for a frame that is no table: how many.
#[inline]
fn plain(page: &impl Page, frame: u64, updates: &[MmuUpdate]) -> usize {
    ordinary(page, frame, updates).map(|(place, _, new)| page.store64(place as usize, new)).count()
}
