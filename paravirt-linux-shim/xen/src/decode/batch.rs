// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Arrays in guest memory, taken entry by entry, and calls that are left in the middle.
//!
//! The shim may be asked to let events in while a batch lasts. It then writes the registers (or the
//! entry of the multicall) of [`Batch::rest`] and sets the guest back onto its call instruction:
//! the guest executes it again with what is left. Nothing else has to be remembered.

use core::fmt;
use core::marker::PhantomData;

use zerocopy::{FromBytes, IntoBytes};

use super::Call;
use crate::abi::mmu::MulticallEntry;
use crate::abi::{Errno, Hypercall};
use crate::memory::Arguments;

/// In a count: this call goes on with a batch. (Xen uses the same bit for the same.)
const CONTINUED: u32 = 1 << 31;

/// What a batch can consist of.
pub trait Entry: FromBytes + IntoBytes {
    /// The call that takes it.
    const CALL: Hypercall;
}

impl Entry for crate::abi::mmu::MmuUpdate {
    const CALL: Hypercall = Hypercall::MmuUpdate;
}
impl Entry for crate::abi::mmu::MmuextOp {
    const CALL: Hypercall = Hypercall::MmuextOp;
}

/// An array of entries.
pub struct Batch<T> {
    address: u64,
    count: u32,
    /// Where to write how many were done; 0: nowhere.
    done: u64,
    continued: bool,
    kind: PhantomData<fn() -> T>,
}

impl<T> Batch<T> {
    /// An array at this address, as the arguments of the call say; `done`: where to write how many were done,
    /// 0 for nowhere.
    #[must_use]
    pub const fn new(address: u64, count: u32, done: u64) -> Self {
        Self { address, count: count & !CONTINUED, done, continued: count & CONTINUED != 0, kind: PhantomData }
    }

    /// How many entries are left to do.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Tells the guest how many of this batch were done, if it wants to know.
    ///
    /// # Errors
    /// [`Errno::Fault`].
    #[inline]
    pub fn report(&self, memory: &impl Arguments, done: u32) -> Result<(), Errno> {
        if self.done == 0 {
            return Ok(());
        }
        let before = if self.continued { memory.get::<u32>(self.done)? } else { 0 };
        memory.put(self.done, &before.wrapping_add(done))
    }
}

impl<T: Entry> Batch<T> {
    /// Copies an entry.
    ///
    /// # Errors
    /// [`Errno::Fault`]; [`Errno::Invalid`]: there is no such entry.
    pub fn entry(&self, memory: &impl Arguments, index: u32) -> Result<T, Errno> {
        if index >= self.count {
            return Err(Errno::Invalid);
        }
        memory.get(self.at(index))
    }

    /// Leaves the batch after `done` entries: reports them, and makes the call for the rest.
    ///
    /// # Errors
    /// [`Errno::Fault`].
    pub fn rest(&self, memory: &impl Arguments, done: u32, call: &Call) -> Result<Call, Errno> {
        let done = done.min(self.count);
        self.report(memory, done)?;
        let mut call = *call;
        call.number = T::CALL.number().into();
        call.arguments[0] = self.at(done);
        call.arguments[1] = u64::from((self.count - done) | CONTINUED);
        Ok(call)
    }

    /// Where an entry is.
    #[must_use]
    #[inline]
    pub fn at(&self, index: u32) -> u64 {
        self.address.wrapping_add(u64::from(index) * size_of::<T>() as u64)
    }
}

// Derived ones would ask the same of T.
impl<T> Clone for Batch<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Batch<T> {}
impl<T> PartialEq for Batch<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.address, self.count, self.done, self.continued)
            == (other.address, other.count, other.done, other.continued)
    }
}
impl<T> Eq for Batch<T> {}
impl<T> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} at {:#x})", self.count, self.address)
    }
}

/// The calls of a multicall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MulticallBatch {
    address: u64,
    count: u32,
}

impl MulticallBatch {
    pub(super) const fn new(address: u64, count: u32) -> Self {
        Self { address, count }
    }

    /// How many calls are left.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Copies a call, to be decoded by [`Call::decode_entry`].
    ///
    /// # Errors
    /// [`Errno::Fault`], which ends the multicall; [`Errno::Invalid`]: there is no such call.
    pub fn call(&self, memory: &impl Arguments, index: u32) -> Result<Call, Errno> {
        if index >= self.count {
            return Err(Errno::Invalid);
        }
        let MulticallEntry { op, args, .. } = memory.get(self.at(index))?;
        Ok(Call { number: op, arguments: args })
    }

    /// Writes the result of a call.
    ///
    /// # Errors
    /// [`Errno::Fault`].
    pub fn answer(&self, memory: &impl Arguments, index: u32, result: u64) -> Result<(), Errno> {
        const RESULT: u64 = core::mem::offset_of!(MulticallEntry, result) as u64;
        memory.put(self.at(index).wrapping_add(RESULT), &result)
    }

    /// Leaves the multicall before call `index`, which continues as `call` if it was begun, and
    /// makes the multicall for the rest.
    ///
    /// # Errors
    /// [`Errno::Fault`].
    pub fn rest(&self, memory: &impl Arguments, index: u32, begun: Option<&Call>) -> Result<Call, Errno> {
        const ARGUMENTS: u64 = core::mem::offset_of!(MulticallEntry, args) as u64;
        let index = index.min(self.count);
        if let Some(call) = begun {
            memory.put(self.at(index).wrapping_add(ARGUMENTS), &call.arguments)?;
        }
        let [address, count] = [self.at(index), u64::from(self.count - index)];
        Ok(Call { number: Hypercall::Multicall.number().into(), arguments: [address, count, 0, 0, 0, 0] })
    }

    fn at(&self, index: u32) -> u64 {
        self.address.wrapping_add(u64::from(index) * size_of::<MulticallEntry>() as u64)
    }
}
