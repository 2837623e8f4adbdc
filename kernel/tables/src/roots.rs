// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Roots: which tables a vCPU's two contexts run under.

use crate::Error;
use crate::descriptor::{Kind, LINE};
use crate::tables::{KERNEL_SLOTS, Memory, ROOT, Tables};

impl<M: Memory> Tables<'_, M> {
    /// Sets both roots of a vCPU, by [`Kind`]: the frames of level-4 tables, or none. Returns what CR3 has to
    /// hold for the host and the guest context; without a user root that is an empty one, so nobody
    /// has to test for it.
    ///
    /// The caller loads them before it gives up the lock: from now on the old ones may be destroyed.
    ///
    /// # Errors
    /// The caller has no such vCPU; a frame has no root ready, or one of the other kind. Nothing has changed then.
    pub fn set_roots(&mut self, vcpu: usize, frames: [Option<u64>; 2]) -> Result<[u64; 2], Error> {
        let old = *self.set.roots.get(vcpu).ok_or(Error::OutOfRange)?;
        let new = [self.root(frames[0], Kind::Kernel)?, self.root(frames[1], Kind::User)?];
        if new[0] == new[1] && new[0] != 0 {
            return Err(Error::WrongKind);
        }
        for (number, kind) in new.into_iter().zip([Kind::Kernel, Kind::User]).filter(|(number, _)| *number != 0) {
            self.take(number, ROOT)?;
            self.set_kind(number, kind);
        }
        old.into_iter().filter(|number| *number != 0).for_each(|number| self.release(number as usize));
        if let Some(roots) = self.set.roots.get_mut(vcpu) {
            *roots = new;
        }
        Ok(self.roots(vcpu))
    }

    /// What CR3 has to hold for the host and the guest context of a vCPU.
    #[must_use]
    pub fn roots(&self, vcpu: usize) -> [u64; 2] {
        let [kernel, user] = self.set.roots.get(vcpu).copied().unwrap_or_default();
        [if kernel == 0 { self.set.host } else { self.physical(kernel) }, self.physical(user)]
    }

    /// Finds a root that may serve as one of this kind; 0 for none.
    fn root(&self, frame: Option<u64>, kind: Kind) -> Result<u32, Error> {
        let Some(frame) = frame else {
            return if self.resetting.is_some() { Err(Error::Resetting) } else { Ok(0) };
        };
        let number = self.named(frame)?;
        let table = self.descriptor(number)?;
        table.linkable(ROOT)?;
        if table.kind.is_none_or(|is| is == kind) { Ok(number) } else { Err(Error::WrongKind) }
    }

    /// Gives a root its kind, if it has none: fills the kernel's slots.
    pub(crate) fn set_kind(&mut self, number: u32, kind: Kind) {
        let slots = &self.set.slots[kind as usize];
        if let Some(table) = self.set.descriptors.get_mut(number as usize).filter(|table| table.kind.is_none()) {
            table.kind = Some(kind);
            table.lines |= 0b11 << (KERNEL_SLOTS.start / LINE);
            KERNEL_SLOTS.zip(slots).for_each(|(index, word)| self.memory.set_entry(number, index, *word));
        }
    }
}
