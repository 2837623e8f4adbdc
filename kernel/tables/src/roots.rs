// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Roots: which tables a vCPU's two contexts run under.

use crate::Error;
use crate::descriptor::{Kind, LINE};
use crate::tables::{KERNEL_SLOTS, Memory, ROOT, Tables};

/// The roots of a vCPU, as tables of the pool. 0: none was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roots {
    pub(crate) kernel: u32,
    pub(crate) user: u32,
}

impl Tables<'_> {
    /// Sets both roots of a vCPU: the frames of level-4 tables, or none. Returns what CR3 has to hold for
    /// the host and the guest context; without a user root that is an empty one, so nobody has
    /// to test for it.
    ///
    /// The caller loads them before it gives up the lock: from now on the old ones may be destroyed.
    ///
    /// # Errors
    /// The caller has no such vCPU; a frame has no root ready, or one of the other kind. Nothing has changed then.
    pub fn set_roots(
        &mut self,
        memory: &mut impl Memory,
        vcpu: usize,
        kernel: Option<u64>,
        user: Option<u64>,
    ) -> Result<[u64; 2], Error> {
        let old = *self.set.roots.get(vcpu).ok_or(Error::OutOfRange)?;
        let kernel = self.root(kernel, Kind::Kernel)?;
        let user = self.root(user, Kind::User)?;
        if kernel == user && kernel != 0 {
            return Err(Error::WrongKind);
        }
        for (number, kind) in [(kernel, Kind::Kernel), (user, Kind::User)] {
            if number != 0 {
                self.take(number, ROOT)?;
                self.set_kind(memory, number, kind);
            }
        }
        for number in [old.kernel, old.user] {
            if number != 0 {
                self.release(number as usize);
            }
        }
        if let Some(roots) = self.set.roots.get_mut(vcpu) {
            *roots = Roots { kernel, user };
        }
        Ok(self.roots(vcpu))
    }

    /// What CR3 has to hold for the host and the guest context of a vCPU.
    #[must_use]
    pub fn roots(&self, vcpu: usize) -> [u64; 2] {
        let Roots { kernel, user } = self.set.roots.get(vcpu).copied().unwrap_or_default();
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
    pub(crate) fn set_kind(&mut self, memory: &mut impl Memory, number: u32, kind: Kind) {
        if let Ok(table) = self.descriptor_mut(number)
            && table.kind.is_none()
        {
            table.kind = Some(kind);
            table.lines |= 0b11 << (KERNEL_SLOTS.start / LINE);
            for (index, word) in KERNEL_SLOTS.zip(self.set.slots[kind as usize]) {
                memory.set_entry(number, index, word);
            }
        }
    }
}
