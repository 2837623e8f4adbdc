// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the tool has laid out for the guest: its memory and its files, as slices.

use core::slice;
use core::sync::atomic::{AtomicBool, Ordering};

use parzelle_rt::{Partition, Volatile};
use parzelle_shim_board::map::Range;
use parzelle_shim_board::xen::FRAME;
use parzelle_xen::memory::Frames;

use crate::frame::Frame;

/// The guest's memory.
#[derive(Debug)]
pub struct GuestRam {
    memory: Volatile,
    /// Where the guest sees it.
    pub at: Range,
}

impl GuestRam {
    /// All of it, before the guest runs for the first time.
    pub fn bytes(&mut self) -> &mut [u8] {
        let (address, bytes) = (self.memory.address(), self.memory.len());
        // SAFETY: the tool maps the guest's memory there, writable and for nothing else (condition
        // of `GuestInfo`); this is its only owner (`Files::take`), borrowed exclusively, and
        // `Shared`, without which no vCPU runs the guest, needs it for itself.
        unsafe { slice::from_raw_parts_mut(address as *mut u8, bytes as usize) }
    }

    /// A part of it, from a guest physical address on.
    #[inline]
    pub(crate) fn part(&self, address: u64, bytes: u64) -> Option<Volatile> {
        self.memory.part(address.checked_sub(self.at.start)?, bytes)
    }

    /// Reads a double word at an aligned guest physical address. Afterwards as well: what is read
    /// may be anything.
    #[must_use]
    pub fn read(&self, address: u64) -> Option<u64> {
        self.memory.load_u64(address.checked_sub(self.at.start)?)
    }
}

#[cfg(test)]
impl GuestRam {
    /// Memory of a test, for good.
    pub(crate) fn of_test(at: Range) -> Self {
        extern crate std;
        let words = std::vec![0u64; at.size as usize / 8 + 512].leak();
        let address = (words.as_mut_ptr() as u64).next_multiple_of(FRAME);
        // SAFETY: leaked, and reached only through the range from here on.
        Self { memory: unsafe { Volatile::new(address, at.size) }, at }
    }
}

impl Frames for GuestRam {
    type Page = Frame;

    #[inline]
    fn page(&self, frame: u64) -> Option<Frame> {
        let memory = self.part(frame.checked_mul(FRAME)?, FRAME)?;
        // SAFETY: in the guest's memory, which is mapped there for good and to which there are no
        // references any more: `bytes` needs it exclusively, and frames are for those who share it.
        Some(unsafe { Frame::at(memory.address()) })
    }
}

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
    pub cmdline: &'static str,
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
        // SAFETY: the tool maps the guest's memory there for as long as the partition runs, and
        // nothing else lies in it.
        let memory = unsafe { Volatile::new(info.ram, info.ram_bytes) };
        Some(Self {
            ram: GuestRam { memory, at: Range { start: info.ram_guest, size: info.ram_bytes } },
            kernel: file(info.kernel, info.kernel_bytes),
            initrd: file(info.initrd, info.initrd_bytes),
            cmdline: me.text(info.cmdline, info.cmdline_bytes),
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
