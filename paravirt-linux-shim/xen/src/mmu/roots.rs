// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Roots, flushes, and what is due before the guest goes on.

use super::entry::ROOT;
use super::service::Calls;
use super::{Service, Turn};
use crate::abi::Errno;
use crate::decode::{Flush, Where};
use crate::memory::{Arguments, Frames};

/// What is due in [`Turn::commit`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Due {
    /// Of what is this vCPU's own, [`Self::ROOTS`] and so on.
    own: u64,
    /// The TLBs of others, as a mask.
    others: u64,
}

impl Due {
    /// Roots were set.
    pub(super) const ROOTS: u64 = 1 << 0;
    /// Something was changed that is used at once.
    pub(super) const DRAIN: u64 = 1 << 1;
    /// This vCPU's TLB.
    pub(super) const HERE: u64 = 1 << 2;

    #[inline(always)]
    pub(super) const fn any(&self) -> bool {
        self.own | self.others != 0
    }

    #[inline(always)]
    pub(super) const fn set(&mut self, what: u64, is: bool) {
        self.own |= if is { what } else { 0 };
    }

    const fn has(&self, what: u64) -> bool {
        self.own & what != 0
    }

    /// Whether it was; it is no more.
    const fn take(&mut self, what: u64) -> bool {
        let has = self.has(what);
        self.own &= !what;
        has
    }
}

impl<S: Service, F: Frames> Turn<'_, '_, S, F> {
    /// Does what is due before the guest's kernel goes on: at the end of each hypercall (of a multicall:
    /// at its end) and each store. Costs nothing if nothing is.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: the roots that were set can't be; the vCPU goes on with the old ones.
    pub fn commit(&mut self) -> Result<(), Errno> {
        if !self.vcpu.due.any() {
            return Ok(());
        }
        let result = self.tell_roots();
        let due = core::mem::take(&mut self.vcpu.due);
        let here = due.has(Due::HERE);
        if here || due.others != 0 {
            self.take_removed();
            // The kernel takes what is queued first.
            self.service.flush_all(due.others | if here { self.service.here() } else { 0 });
        } else if due.has(Due::DRAIN) && self.service.queued() > 0 {
            self.service.drain_all();
        }
        result
    }

    /// Whether something waits for [`Self::commit`].
    #[inline]
    #[must_use]
    pub const fn is_due(&self) -> bool {
        self.vcpu.due.any()
    }

    /// Flushes this vCPU's TLB at once.
    #[inline]
    pub fn flush_here(&mut self) {
        self.take_removed();
        let here = self.service.here();
        self.service.flush_all(here);
    }

    /// Makes all that this vCPU has changed hold for all: before it tells others (an event to another
    /// vCPU), and before a return to the guest's kernel that isn't the end of a hypercall.
    pub fn drain(&mut self) {
        if self.service.queued() > 0 {
            self.service.drain_all();
        }
    }

    /// Sets the root of the kernel (`NEW_BASEPTR`) or the user programs (`NEW_USER_BASEPTR`; 0: none).
    ///
    /// # Errors
    /// [`Errno::Invalid`]: that is no root; [`Errno::NoMemory`]: the pool is used up.
    pub(super) fn set_root(&mut self, which: usize, frame: Option<u64>) -> Result<(), Errno> {
        if let Some(frame) = frame {
            self.ensure(frame, ROOT)?;
        }
        let root = self.vcpu.roots.get_mut(which).ok_or(Errno::Invalid)?;
        let old = core::mem::replace(root, frame);
        self.vcpu.due.set(Due::ROOTS, true);
        if let Some(old) = old {
            self.release(old);
        }
        Ok(())
    }

    /// Sets both roots at once, as a switch of processes does, and tells the kernel. None: that is not all that there
    /// is to do, and nothing is done.
    #[inline]
    pub fn switch(&mut self, kernel: u64, user: u64) -> Option<()> {
        let book = &self.mmu.book;
        if self.vcpu.due.any() || book.level(kernel) != ROOT || book.level(user) != ROOT {
            return None;
        }
        self.take_removed();
        self.service.set_roots(Some(kernel), Some(user)).ok()?;
        let [first, second] = core::mem::replace(&mut self.vcpu.told, [Some(kernel), Some(user)]);
        self.vcpu.roots = self.vcpu.told;
        if let Some(frame) = first {
            self.release(frame);
        }
        if let Some(frame) = second {
            self.release(frame);
        }
        Some(())
    }

    /// Tells the kernel of roots that were set, and gives up the old ones.
    pub(super) fn tell_roots(&mut self) -> Result<(), Errno> {
        if !self.vcpu.due.take(Due::ROOTS) {
            return Ok(());
        }
        self.take_removed();
        let old = self.vcpu.told;
        let [kernel, user] = self.vcpu.roots;
        if let Err(error) = self.service.set_roots(kernel, user) {
            let refused = core::mem::replace(&mut self.vcpu.roots, old);
            refused.into_iter().flatten().for_each(|frame| _ = self.release(frame));
            return Err(self.refusal(error));
        }
        // It empties this vCPU's TLB.
        self.vcpu.due.take(Due::HERE);
        self.vcpu.told = self.vcpu.roots;
        old.into_iter().flatten().for_each(|frame| _ = self.release(frame));
        Ok(())
    }

    /// Notes a flush of all vCPUs.
    pub(super) fn flush_everywhere(&mut self) {
        self.vcpu.due.set(Due::HERE, true);
        if self.mmu.vcpus > 1 {
            self.vcpu.due.others |= u64::MAX >> (64 - self.mmu.vcpus.clamp(1, 64));
        }
    }

    /// Notes a flush.
    ///
    /// # Errors
    /// [`Errno::Fault`]: a mask that is not there.
    pub fn flush(&mut self, what: Flush, arguments: &impl Arguments) -> Result<(), Errno> {
        let (Flush::Page(place) | Flush::All(place)) = what else { return Ok(()) };
        let all = u64::MAX >> (64 - self.mmu.vcpus.clamp(1, 64));
        match place {
            Where::Here => self.vcpu.due.set(Due::HERE, true),
            Where::Everywhere => self.vcpu.due.others |= all,
            Where::Mask(address) => {
                let mut mask = [0; 8];
                let bytes = self.mmu.vcpus.clamp(1, 64).div_ceil(8) as usize;
                arguments.read(address, mask.get_mut(..bytes).unwrap_or_default())?;
                self.vcpu.due.others |= u64::from_le_bytes(mask) & all;
            }
        }
        Ok(())
    }
}
