// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's memory as its hypercalls name it: by addresses of its kernel, through its own page
//! tables, and by frames.
//!
//! The arguments lie on stacks of kernel threads, which are mapped page by page: each page is looked
//! up for itself.

use parzelle_abi::aarch64::Guest;
use parzelle_rt::Volatile;
use parzelle_shim_board::exit::walk::Tables;
use parzelle_shim_board::xen::FRAME;
use parzelle_xen::abi::Errno;
use parzelle_xen::memory::{Arguments, Frames};

use crate::files::GuestRam;
use crate::frame::Frame;

/// The memory of a guest, as it was when it left.
#[derive(Clone, Copy, Debug)]
pub struct Space<'a> {
    ram: &'a GuestRam,
    tables: Tables,
}

impl<'a> Space<'a> {
    /// As a vCPU sees it that has left by a hypercall.
    #[must_use]
    pub fn new(ram: &'a GuestRam, guest: &Guest) -> Self {
        let [control, lower, upper] = guest.translation;
        Self { ram, tables: Tables { control, roots: [lower, upper] } }
    }

    /// The memory at an address of the guest's kernel, up to the end of its page.
    #[inline]
    fn page(&self, address: u64, bytes: usize) -> Result<Volatile, Errno> {
        let place = self.tables.walk(address, |at| self.ram.read(at)).ok_or(Errno::Fault)?;
        let bytes = (FRAME - place % FRAME).min(bytes as u64);
        self.ram.part(place, bytes).ok_or(Errno::Fault)
    }
}

impl Arguments for Space<'_> {
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Errno> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let memory = self.page(address.wrapping_add(done as u64), rest.len())?;
            let part = rest.get_mut(..memory.len() as usize).ok_or(Errno::Fault)?;
            memory.read(0, part).ok_or(Errno::Fault)?;
            done += part.len();
        }
        Ok(())
    }

    fn write(&self, address: u64, from: &[u8]) -> Result<(), Errno> {
        let mut done = 0;
        while let Some(rest) = from.get(done..).filter(|rest| !rest.is_empty()) {
            let memory = self.page(address.wrapping_add(done as u64), rest.len())?;
            let part = rest.get(..memory.len() as usize).ok_or(Errno::Fault)?;
            memory.write(0, part).ok_or(Errno::Fault)?;
            done += part.len();
        }
        Ok(())
    }
}

impl Frames for Space<'_> {
    type Page = Frame;

    fn page(&self, frame: u64) -> Option<Frame> {
        self.ram.page(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parzelle_shim_board::map::Range;
    use parzelle_xen::memory::Page;

    const RAM: Range = Range { start: 0x4000_0000, size: 8 * FRAME };

    /// Two pages that lie side by side for the guest's kernel, and the other way round in its memory.
    fn mapped(ram: &GuestRam) -> Space<'_> {
        let put = |frame: u64, index: u64, value: u64| {
            ram.page(RAM.start / FRAME + frame).unwrap().store64(8 * index as usize, value);
        };
        put(0, 0, (RAM.start + FRAME) | 3);
        put(1, 4, (RAM.start + 6 * FRAME) | 3);
        put(1, 5, (RAM.start + 3 * FRAME) | 3);
        put(1, 6, 0x9000_0000 | 3);
        // 4 KiB granules, 25 bits: two levels.
        Space { ram, tables: Tables { control: 39, roots: [RAM.start, 0] } }
    }

    #[test]
    fn arguments_may_cross_pages() {
        let ram = GuestRam::of_test(RAM);
        let space = mapped(&ram);
        let address = 5 * FRAME - 3;
        space.write(address, &[1, 2, 3, 4, 5, 6, 7]).unwrap();
        assert_eq!(ram.page(RAM.start / FRAME + 6).unwrap().load8(4095), 3);
        assert_eq!(ram.page(RAM.start / FRAME + 3).unwrap().load32(0), 0x0706_0504);
        assert_eq!(space.get::<[u8; 7]>(address), Ok([1, 2, 3, 4, 5, 6, 7]));
        space.write(address, &[]).unwrap();
    }

    #[test]
    fn what_is_not_there_is_a_fault() {
        let ram = GuestRam::of_test(RAM);
        let space = mapped(&ram);
        for address in [0, 4 * FRAME - 1, 6 * FRAME - 1, 6 * FRAME, 7 * FRAME, u64::MAX, 1 << 47] {
            assert_eq!(space.get::<[u8; 2]>(address), Err(Errno::Fault), "{address:#x}");
        }
        for frame in [0, RAM.start / FRAME - 1, RAM.start / FRAME + 8, u64::MAX] {
            assert!(space.ram.page(frame).is_none());
        }
    }
}
