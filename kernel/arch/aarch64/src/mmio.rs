// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Registers of devices, and memory at physical addresses, which EL2 maps one to one.

use core::ptr;

/// A block of 32-bit device registers.
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
    #[inline(always)]
    pub(crate) fn read(self, offset: usize) -> u32 {
        // SAFETY: see `new`.
        unsafe { ptr::read_volatile((self.0 + offset) as *const u32) }
    }

    /// Waits until bits of a register are clear; not for ever: then it is taken as it is.
    pub(crate) fn settle(self, offset: usize, bits: u32) {
        const PATIENCE: u32 = 1_000_000;
        for _ in 0..PATIENCE {
            if self.read(offset) & bits == 0 {
                return;
            }
        }
    }

    /// Writes a register.
    #[inline(always)]
    pub(crate) fn write(self, offset: usize, value: u32) {
        // SAFETY: see `new`.
        unsafe { ptr::write_volatile((self.0 + offset) as *mut u32, value) }
    }

    /// Writes one byte of a register that allows it.
    #[inline(always)]
    pub(crate) fn write_byte(self, offset: usize, value: u8) {
        // SAFETY: see `new`.
        unsafe { ptr::write_volatile((self.0 + offset) as *mut u8, value) }
    }

    /// Writes a register of 64 bits.
    #[inline(always)]
    pub(crate) fn write_long(self, offset: usize, value: u64) {
        // SAFETY: see `new`.
        unsafe { ptr::write_volatile((self.0 + offset) as *mut u64, value) }
    }

    /// Reads a register of 64 bits.
    #[inline(always)]
    pub(crate) fn read_long(self, offset: usize) -> u64 {
        // SAFETY: see `new`.
        unsafe { ptr::read_volatile((self.0 + offset) as *const u64) }
    }
}
