// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Device registers in memory.

/// A page of 32-bit registers of one device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers(*mut u32);

// SAFETY: it is an address; who may write when is the business of the device's owner.
unsafe impl Send for Registers {}
// SAFETY: see above.
unsafe impl Sync for Registers {}

impl Registers {
    /// Names the page at virtual address `base`.
    ///
    /// # Safety
    /// In every root that the kernel uses from now on, a page of registers is mapped there as
    /// device memory, and reading and writing them as the device's manual says is harmless.
    pub(crate) const unsafe fn new(base: u64) -> Registers {
        Registers(base as *mut u32)
    }

    /// Reads the register at byte `offset` (below 4096).
    pub(crate) fn read(self, offset: u16) -> u32 {
        let at = self.0.wrapping_byte_add(usize::from(offset & 0xffc));
        // SAFETY: in the page, by the contract of `new`.
        unsafe { at.read_volatile() }
    }

    /// Writes the register at byte `offset` (below 4096).
    pub(crate) fn write(self, offset: u16, value: u32) {
        let at = self.0.wrapping_byte_add(usize::from(offset & 0xffc));
        // SAFETY: in the page, by the contract of `new`.
        unsafe { at.write_volatile(value) };
    }
}
