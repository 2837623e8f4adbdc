// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Physical memory while the kernel boots.

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

    /// Where the window shows a physical range, if it does.
    pub(crate) fn at(&self, address: u64, bytes: u64) -> Option<u64> {
        address.checked_add(bytes).filter(|&end| end <= BOOT_WINDOW).map(|_| common(address))
    }
}

impl Physical for BootWindow {
    fn bytes(&self, address: u64, length: u64) -> Option<&'static [u8]> {
        let at = self.at(address, length).filter(|_| address != 0)? as *const u8;
        // SAFETY: mapped by the boot root; what is read so (firmware tables, the image) nobody
        // writes while the kernel boots.
        Some(unsafe { core::slice::from_raw_parts(at, length as usize) })
    }
}
