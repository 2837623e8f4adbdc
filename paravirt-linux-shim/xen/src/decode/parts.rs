// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Parts of requests: what to flush, and where answers go.

use core::fmt;
use core::marker::PhantomData;

use zerocopy::{Immutable, IntoBytes};

use crate::abi::Errno;
use crate::abi::mmu::uvmf;
use crate::memory::Arguments;

/// Whose TLBs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// The caller's.
    Here,
    /// Those of the vCPUs in a mask at this address.
    Mask(u64),
    /// All of the domain's.
    Everywhere,
}

/// What to flush after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Nothing.
    Nothing,
    /// The address.
    Page(Where),
    /// Everything.
    All(Where),
}

impl Flush {
    /// Reads the flags of `update_va_mapping`. None: both kinds at once.
    #[must_use]
    pub const fn from_flags(flags: u64) -> Option<Self> {
        let place = match flags & !uvmf::KIND {
            0 => Where::Here,
            uvmf::ALL => Where::Everywhere,
            mask => Where::Mask(mask),
        };
        match flags & uvmf::KIND {
            0 => Some(Self::Nothing),
            uvmf::TLB_FLUSH => Some(Self::All(place)),
            uvmf::INVLPG => Some(Self::Page(place)),
            _ => None,
        }
    }
}

/// Where in the guest an answer goes.
pub struct Out<T> {
    address: u64,
    kind: PhantomData<fn(T)>,
}

impl<T> Out<T> {
    pub(super) const fn new(address: u64) -> Self {
        Self { address, kind: PhantomData }
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }
}

impl<T: IntoBytes + Immutable> Out<T> {
    /// Writes the answer.
    ///
    /// # Errors
    /// [`Errno::Fault`].
    pub fn put(&self, memory: &impl Arguments, value: &T) -> Result<(), Errno> {
        memory.put(self.address, value)
    }
}

// Derived ones would ask the same of T.
impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Out<T> {}
impl<T> PartialEq for Out<T> {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}
impl<T> Eq for Out<T> {}
impl<T> fmt::Debug for Out<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Out({:#x})", self.address)
    }
}
