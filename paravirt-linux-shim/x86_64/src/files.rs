// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the tool has laid out for the guest: its memory and its files.

use core::slice;
use core::sync::atomic::{AtomicBool, Ordering};

use parzelle_rt::Partition;
use parzelle_xen::abi::PAGE;

use crate::ram::GuestRam;

/// The guest's memory and files.
#[derive(Debug)]
pub struct Files {
    /// Its memory.
    pub ram: GuestRam,
    /// The kernel's file.
    pub kernel: &'static [u8],
    /// The initrd, or nothing.
    pub initrd: &'static [u8],
    /// The command line.
    pub command_line: &'static str,
    /// The core of each vCPU.
    pub cores: [u8; 8],
}

/// Handed out already: there is one owner of the memory.
static TAKEN: AtomicBool = AtomicBool::new(false);

impl Files {
    /// Finds them by the information pages. `None` in a partition without a guest, and the second
    /// time.
    pub fn take() -> Option<Self> {
        let me = Partition::get();
        let info = me.guest()?;
        if TAKEN.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: the tool maps the guest's memory there, writable and for nothing else, for as long
        // as the partition runs (condition of `GuestInfo`).
        let ram = unsafe {
            GuestRam::new(info.ram, info.ram_bytes / PAGE, parzelle_shim_backends::devices::grant_frames(&me))
        };
        Some(Self {
            ram,
            kernel: file(info.kernel, info.kernel_bytes),
            initrd: file(info.initrd, info.initrd_bytes),
            command_line: me.text(info.cmdline, info.cmdline_bytes),
            cores: info.cores,
        })
    }
}

/// A file of the image; empty if there is none.
fn file(address: u64, bytes: u64) -> &'static [u8] {
    if address == 0 {
        return &[];
    }
    // SAFETY: the information pages name files that are mapped read-only from the image, for good.
    unsafe { slice::from_raw_parts(address as *const u8, bytes as usize) }
}
