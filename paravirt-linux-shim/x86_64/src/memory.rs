// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's memory by its virtual addresses: the host context is the guest kernel's address
//! space, so it is there, or faults (`guarded`).
//!
//! ```text
//!   copy ──fault──► can the fault be mended? ──no──► Errno::Fault
//!     ▲             (accessed, dirty bit)  │ yes
//!     └────────────────────────────────────┘
//! ```

use parzelle_abi::x86_64::SHIM_END;
use parzelle_xen::abi::{Errno, PAGE};
use parzelle_xen::memory::Arguments;

use crate::guarded::{self, Missing};

/// Tries of a copy: each page of an argument may fault once for its accessed and once for its dirty
/// bit. Arguments are short; nobody who needs more is honest.
const TRIES: u32 = 16;

/// The addresses that the guest's kernel uses now.
#[derive(Clone, Copy, Debug)]
pub struct Memory<M> {
    mend: M,
    /// The machine-to-physical table, which the guest may read although it lies in our part.
    readable: (u64, u64),
}

impl<M: Fn() -> bool> Memory<M> {
    /// `mend`: tries to make the access that has just faulted possible.
    pub const fn new(mend: M, readable: (u64, u64)) -> Self {
        Self { mend, readable }
    }

    /// Repeats what fails for as long as that can be mended.
    fn mending<T>(&self, mut once: impl FnMut() -> Result<T, Missing>) -> Result<T, Errno> {
        for _ in 0..TRIES {
            match once() {
                Ok(value) => return Ok(value),
                Err(Missing) if (self.mend)() => {}
                Err(Missing) => break,
            }
        }
        Err(Errno::Fault)
    }

    /// Reads an aligned word at once.
    ///
    /// # Errors
    /// [`Errno::Fault`].
    pub fn load(&self, address: u64) -> Result<u64, Errno> {
        is_the_guests(address, 8)?;
        // SAFETY: the guest's memory.
        self.mending(|| unsafe { guarded::load(address) })
    }

    /// Writes `new` to an aligned word if `expected` is there; what was there.
    ///
    /// # Errors
    /// [`Errno::Fault`].
    pub fn exchange(&self, address: u64, expected: u64, new: u64) -> Result<u64, Errno> {
        is_the_guests(address, 8)?;
        // SAFETY: the guest's memory.
        self.mending(|| unsafe { guarded::exchange(address, expected, new) })
    }
}

impl<M: Fn() -> bool> Arguments for Memory<M> {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Errno> {
        let end = address.saturating_add(into.len() as u64);
        if !(self.readable.0 <= address && end <= self.readable.1) {
            is_the_guests(address, into.len() as u64)?;
        }
        // SAFETY: the guest's memory.
        self.mending(|| unsafe { guarded::read(address, into) })
    }

    fn write(&self, address: u64, from: &[u8]) -> Result<(), Errno> {
        is_the_guests(address, from.len() as u64)?;
        // SAFETY: the guest's memory.
        self.mending(|| unsafe { guarded::write(address, from) })
    }
}

/// Refuses what is the shim's and the kernel's, and what no address is.
///
/// # Errors
/// [`Errno::Fault`].
#[inline]
pub fn is_the_guests(address: u64, bytes: u64) -> Result<(), Errno> {
    const LOWER_END: u64 = 1 << 47;
    let end = address.checked_add(bytes).ok_or(Errno::Fault)?;
    let lower = end <= LOWER_END;
    let upper = address >= SHIM_END && end <= u64::MAX - PAGE;
    if lower || upper { Ok(()) } else { Err(Errno::Fault) }
}
