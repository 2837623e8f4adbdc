// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The vCPU page of the current vCPU: shared with the partition, which may write it at any moment
//! from another core. So each word is read once and written once, volatile, and no reference to
//! the page exists.

use crate::context::{Context, GENERAL, SYSCALL, base};
use crate::instructions as cpu;
use core::mem::offset_of;
use parzelle_abi::PAGE;
use parzelle_abi::vcpu_page::{FRAME, HEAD, VcpuHead};
use parzelle_abi::x86_64::Frame;
use parzelle_core::machine::Upcall;
use zerocopy::IntoBytes;

/// The page.
#[derive(Clone, Copy)]
pub(crate) struct VcpuPage(*mut u64);

impl VcpuPage {
    /// Names the page at `address`.
    ///
    /// # Safety
    /// While the value is used, a page of a partition's memory is mapped there, writable, and Rust
    /// holds no reference to it.
    pub(crate) unsafe fn new(address: u64) -> VcpuPage {
        VcpuPage(address as *mut u64)
    }

    /// The word at `offset` (a multiple of 8 in the page; it is made one).
    fn word(self, offset: u64) -> *mut u64 {
        self.0.wrapping_byte_add((offset & (PAGE - 8)) as usize)
    }

    /// Reads the word at `offset`.
    pub(crate) fn read(self, offset: u64) -> u64 {
        // SAFETY: in the page, by the contract of `new`.
        unsafe { self.word(offset).read_volatile() }
    }

    /// Writes it.
    pub(crate) fn write(self, offset: u64, value: u64) {
        // SAFETY: in the page, by the contract of `new`.
        unsafe { self.word(offset).write_volatile(value) };
    }

    /// Zeroes head and frame.
    pub(crate) fn clear(self) {
        // SAFETY: the page, by the contract of `new`; a part of it.
        unsafe { cpu::zero(self.0, (FRAME as usize + size_of::<Frame>()) / 8) };
    }

    /// Writes the head.
    pub(crate) fn set_head(self, head: &VcpuHead) {
        let (words, _) = head.as_bytes().as_chunks();
        for (index, word) in words.iter().enumerate() {
            self.set(8 * index, u64::from_le_bytes(*word));
        }
    }

    /// Whether upcalls are masked.
    pub(crate) fn masked(self) -> bool {
        self.read(HEAD + offset_of!(VcpuHead, masked) as u64) != 0
    }

    /// Writes the head's word at offset `field`.
    pub(crate) fn set(self, field: usize, value: u64) {
        self.write(HEAD + field as u64, value);
    }

    /// Writes what an upcall handler is told, and masks upcalls.
    pub(crate) fn set_upcall(self, upcall: &Upcall) {
        self.set(offset_of!(VcpuHead, reason), upcall.reason as u64);
        self.set(offset_of!(VcpuHead, events), upcall.events);
        if let Some(fault) = &upcall.fault {
            self.set(offset_of!(VcpuHead, error), fault.error as u64);
            self.set(offset_of!(VcpuHead, syndrome), fault.syndrome);
            self.set(offset_of!(VcpuHead, address), fault.address);
        }
        self.set(offset_of!(VcpuHead, masked), 1);
    }

    /// Writes the interrupted frame.
    pub(crate) fn set_frame(self, registers: &Context, [tls, gs]: [u64; 2]) {
        let general = core::ptr::from_ref(registers).cast();
        // SAFETY: the page, by the contract of `new`; a part of it.
        unsafe { cpu::copy(self.word(FRAME).cast(), general, GENERAL) };
        let write = |field: usize, value| self.write(FRAME + field as u64, value);
        if registers.vector == SYSCALL {
            // What the processor leaves in rcx and r11.
            write(offset_of!(Frame, rcx), registers.rip);
            write(offset_of!(Frame, r) + 8 * (11 - 8), registers.rflags);
        }
        write(offset_of!(Frame, sp), registers.rsp);
        write(offset_of!(Frame, pc), registers.rip);
        write(offset_of!(Frame, flags), registers.rflags);
        write(offset_of!(Frame, tls), tls);
        write(offset_of!(Frame, gs), gs);
    }

    /// Reads the frame, each word once: anything may stand there. Returns the bases to load.
    pub(crate) fn frame(self, registers: &mut Context) -> [u64; 2] {
        let general = core::ptr::from_mut(registers).cast();
        // SAFETY: a part of the page, by the contract of `new`, to words of the kernel's own.
        unsafe { cpu::copy(general, self.word(FRAME).cast(), GENERAL) };
        let read = |field: usize| self.read(FRAME + field as u64);
        registers.leave_for(read(offset_of!(Frame, pc)), read(offset_of!(Frame, sp)), read(offset_of!(Frame, flags)));
        [base(read(offset_of!(Frame, tls))), base(read(offset_of!(Frame, gs)))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parzelle_abi::health::ErrorId;
    use parzelle_abi::vcpu_page::UpcallReason;
    use parzelle_core::machine::Fault;

    #[test]
    fn words_go_where_the_interface_says() {
        let mut memory = vec![0xffu64; 512];
        // SAFETY: the vector is a page long and outlives the value.
        let page = unsafe { VcpuPage::new(memory.as_mut_ptr() as u64) };
        page.clear();
        page.set_upcall(&Upcall {
            entry: 1,
            stack: 2,
            reason: UpcallReason::Fault,
            events: 5,
            fault: Some(Fault { error: ErrorId::MemoryViolation, syndrome: 14, address: 99 }),
        });
        assert!(page.masked());
        page.set(offset_of!(VcpuHead, masked), 0);
        let registers = Context { rip: 7, rsp: 3, r: [2; 8], vector: SYSCALL, ..Context::default() };
        page.set_frame(&registers, [8, 9]);
        let mut back = Context { ss: 5, ..Context::default() };
        assert_eq!(page.frame(&mut back), [8, 9]);
        assert_eq!((back.rip, back.rsp, back.ss), (7, 3, 0x2b));
        assert_eq!(&memory[..6], [0, 1, 5, 5, 14, 99]);
        assert_eq!(memory[FRAME as usize / 8 + size_of::<Frame>() / 8 - 1], 9);
        assert_eq!(memory[FRAME as usize / 8 + size_of::<Frame>() / 8], 0xff, "not the kernel's");
    }
}
