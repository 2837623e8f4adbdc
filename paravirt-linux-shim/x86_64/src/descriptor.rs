// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Segments: those of the guest's GDT and LDT that user programs can load.
//!
//! ```text
//!   guest's GDT   0 … 3 │ 4 user32 │ 5, 6 user │ 7 … 11 │ 12 – 14 TLS │ 15 CPU number
//!   processor's          same       same                 copied        copied
//! ```
//! The processor's GDT is the kernel's, which takes single segments after a look at them.

use parzelle_xen::abi::{Errno, PAGE};
use parzelle_xen::memory::{Arguments, Frames, Page};

use crate::calls::set_descriptor;
use crate::run::Runner;

/// The segment of 32-bit programs.
const USER32: u64 = 4;
/// 32-bit code, flat, privilege 3, accessed.
const CODE32: u64 = 0x00cf_fb00_0000_ffff;
/// The segment whose limit is the processor's number, for `getcpu`; and for the assembly, to which it tells the vCPU.
const NUMBER: u64 = 15;
/// Its selector.
pub(crate) const NUMBER_SELECTOR: u64 = NUMBER << 3 | 3;
/// Data, expand-down, privilege 3, accessed; a limit in bytes.
const DATA: u64 = 0x0040_f500_0000_0000;
/// The first of the guest's own segments.
const OWN: u64 = 12;
/// Entries of the LDT count from here.
const LDT: u64 = 1 << 16;
/// The most that an LDT can have.
const LDT_ENTRIES_MAX: u64 = 8192;
/// The most that the kernel takes.
const LDT_ENTRIES: u64 = parzelle_abi::x86_64::LDT_ENTRIES;

impl Runner {
    /// The segments that every guest has.
    pub fn first_segments(&mut self) {
        // A kernel that refuses it has 64-bit programs only.
        let _ = set_descriptor(USER32, CODE32);
        self.copy_segment(NUMBER, 0);
    }

    /// `set_gdt`.
    ///
    /// # Errors
    /// [`Errno::Fault`]; [`Errno::Invalid`]: a frame that is not the guest's.
    pub fn set_gdt(&mut self, frames: u64, entries: u16) -> Result<u64, Errno> {
        let first = if entries == 0 { None } else { Some(self.space.get::<u64>(frames)?) };
        self.use_gdt(first).map(|()| 0)
    }

    /// Makes that frame the first of the GDT.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: it is not the guest's.
    pub fn use_gdt(&mut self, first: Option<u64>) -> Result<(), Errno> {
        if let Some(first) = first {
            let page = self.space.page(first).ok_or(Errno::Invalid)?;
            for index in OWN..OWN + 4 {
                self.copy_segment(index, page.load64(index as usize * 8));
            }
        }
        self.vcpu.gdt = first;
        Ok(())
    }

    /// `update_descriptor`.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: not the guest's memory, or not a descriptor's place.
    pub fn update_descriptor(&mut self, at: u64, descriptor: u64) -> Result<u64, Errno> {
        let page = self.space.page(at / PAGE).filter(|_| at.is_multiple_of(8)).ok_or(Errno::Invalid)?;
        page.store64((at % PAGE) as usize, descriptor);
        if self.vcpu.gdt == Some(at / PAGE) {
            self.copy_segment(at % PAGE / 8, descriptor);
        }
        Ok(0)
    }

    /// Hands one of the guest's own segments to the kernel, if that has another. One that it does
    /// not take is none, and whoever loads it faults.
    ///
    /// The number's segment always tells the vCPU's. From 5.14 on Linux forgets it on all but its first processor when
    /// it is a guest of Xen's, and tells programs that they are on processor 123.
    fn copy_segment(&mut self, index: u64, descriptor: u64) {
        let number = DATA | u64::from(self.vcpu.index);
        let descriptor = if index == NUMBER { number } else { descriptor };
        let slot = index.checked_sub(OWN).and_then(|slot| self.vcpu.segments.get_mut(slot as usize));
        if let Some(slot) = slot
            && *slot != descriptor
        {
            *slot = descriptor;
            if !set_descriptor(index, descriptor) {
                let _ = set_descriptor(index, 0);
            }
        }
    }

    /// `MMUEXT_SET_LDT`.
    ///
    /// # Errors
    /// [`Errno::Fault`]; [`Errno::Invalid`]: more entries than there can be.
    ///
    /// The kernel has room for the first 512 of 8192: who loads another faults.
    pub fn set_ldt(&mut self, address: u64, entries: u64) -> Result<(), Errno> {
        if entries > LDT_ENTRIES_MAX {
            return Err(Errno::Invalid);
        }
        let entries = entries.min(LDT_ENTRIES);
        for index in 0..entries {
            let descriptor: u64 = self.space.get(address.wrapping_add(index * 8))?;
            if !set_descriptor(LDT + index, descriptor) {
                let _ = set_descriptor(LDT + index, 0);
            }
        }
        for index in entries..self.vcpu.ldt_entries {
            let _ = set_descriptor(LDT + index, 0);
        }
        self.vcpu.ldt_entries = entries;
        Ok(())
    }
}
