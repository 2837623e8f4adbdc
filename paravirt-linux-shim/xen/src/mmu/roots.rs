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
    /// Roots were set.
    pub(super) roots: bool,
    /// Something was changed that is used at once.
    pub(super) drain: bool,
    /// This vCPU's TLB.
    pub(super) here: bool,
    /// Those of others, as a mask.
    pub(super) others: u64,
}

impl Due {
    pub(super) const fn any(&self) -> bool {
        self.roots || self.drain || self.here || self.others != 0
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
        if due.here || due.others != 0 {
            self.take_removed();
            // The kernel takes what is queued first.
            self.service.flush_all(due.others | if due.here { self.service.here() } else { 0 });
        } else if due.drain && self.service.queued() > 0 {
            self.service.drain_all();
        }
        result
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
        self.vcpu.due.roots = true;
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
        if !core::mem::take(&mut self.vcpu.due.roots) {
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
        self.vcpu.due.here = false;
        self.vcpu.told = self.vcpu.roots;
        old.into_iter().flatten().for_each(|frame| _ = self.release(frame));
        Ok(())
    }

    /// Notes a flush.
    ///
    /// # Errors
    /// [`Errno::Fault`]: a mask that is not there.
    pub fn flush(&mut self, what: Flush, arguments: &impl Arguments) -> Result<(), Errno> {
        let (Flush::Page(place) | Flush::All(place)) = what else { return Ok(()) };
        let all = u64::MAX >> (64 - self.mmu.vcpus.clamp(1, 64));
        match place {
            Where::Here => self.vcpu.due.here = true,
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
