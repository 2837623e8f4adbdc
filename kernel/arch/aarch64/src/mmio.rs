// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Registers of devices, and memory at physical addresses, which EL2 maps one to one.

use core::ptr;
use zerocopy::{FromBytes, IntoBytes};

/// A block of device registers. The type of what is read or written decides its width, and must be
/// named.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mmio(usize);

impl Mmio {
    /// Names the block.
    ///
    /// # Safety
    /// From `base` on there are registers as the user of this value believes, mapped as device
    /// memory for EL2, and no partition has them.
    pub(crate) const unsafe fn new(base: u64) -> Mmio {
        Mmio(base as usize)
    }

    /// A block `offset` bytes further on, of the same device.
    pub(crate) const fn at(self, offset: usize) -> Mmio {
        Mmio(self.0 + offset)
    }

    /// Reads a register.
    pub(crate) fn read<T: FromBytes>(self, offset: usize) -> T {
        // SAFETY: see `new`; every value of a word is valid.
        unsafe { ptr::read_volatile((self.0 + offset) as *const T) }
    }

    /// Writes a register.
    pub(crate) fn write<T: IntoBytes>(self, offset: usize, value: T) {
        // SAFETY: see `new`.
        unsafe { ptr::write_volatile((self.0 + offset) as *mut T, value) }
    }

    /// Waits until bits of a register are clear; not for ever: then it is taken as it is.
    pub(crate) fn settle(self, offset: usize, bits: u32) {
        const PATIENCE: u32 = 1_000_000;
        (0..PATIENCE).any(|_| self.read::<u32>(offset) & bits == 0);
    }
}
