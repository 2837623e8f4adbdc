// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Physical memory while the kernel boots.

use crate::instructions as cpu;
use crate::layout::{BOOT_WINDOW, common};

/// Memory that firmware and image have left for us to read.
pub(crate) trait Physical {
    /// The bytes at `address`; `None` where nothing can be read.
    fn bytes(&self, address: u64, length: u64) -> Option<&'static [u8]>;
}

/// The first 4 GiB, as the boot root shows them in the common window.
pub(crate) struct BootWindow(());

impl BootWindow {
    /// Takes the window.
    ///
    /// # Safety
    /// The boot root is loaded, and no other core runs.
    pub(crate) const unsafe fn new() -> BootWindow {
        BootWindow(())
    }

    /// Zeroes memory; whether it lies in the window is told.
    ///
    /// # Safety
    /// Nobody else uses the memory, and there are no references to it.
    pub(crate) unsafe fn zero(&self, address: u64, bytes: u64) -> bool {
        if !in_window(address, bytes) {
            return false;
        }
        // SAFETY: mapped; the rest is the caller's promise.
        unsafe { cpu::zero(common(address) as *mut u64, (bytes / 8) as usize) };
        true
    }

    /// Copies code or data to physical memory; whether it lies in the window is told.
    ///
    /// # Safety
    /// As [`BootWindow::zero`].
    pub(crate) unsafe fn put(&self, address: u64, bytes: &[u8]) -> bool {
        if !in_window(address, bytes.len() as u64) {
            return false;
        }
        // SAFETY: mapped; the rest is the caller's promise.
        unsafe { cpu::copy(common(address) as *mut u8, bytes.as_ptr(), bytes.len()) };
        true
    }
}

fn in_window(address: u64, bytes: u64) -> bool {
    address.checked_add(bytes).is_some_and(|end| end <= BOOT_WINDOW)
}

impl Physical for BootWindow {
    fn bytes(&self, address: u64, length: u64) -> Option<&'static [u8]> {
        if address == 0 || !in_window(address, length) {
            return None;
        }
        let at = common(address) as *const u8;
        // SAFETY: mapped by the boot root; what is read so (firmware tables, the image) nobody
        // writes while the kernel boots.
        Some(unsafe { core::slice::from_raw_parts(at, length as usize) })
    }
}
