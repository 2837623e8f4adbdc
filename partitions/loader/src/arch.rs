// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The first instructions, the jump to the program, and the loops that move memory.

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    use core::arch::{asm, naked_asm};

    /// x0 = information pages, x1 = vCPU page, the stack is set. Goes to the program with the same.
    ///
    /// # Safety
    /// Only the kernel goes here.
    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    #[unsafe(link_section = ".text._start")]
    unsafe extern "C" fn _start() -> ! {
        naked_asm!(
            "mov x19, x0",
            "mov x20, x1",
            "mov x29, xzr",
            "bl {load}",
            "mov x2, x0",
            "mov x0, x19",
            "mov x1, x20",
            "dsb ish",
            "isb",
            "br x2",
            load = sym crate::load,
        )
    }

    /// Copies blocks of 64 bytes.
    ///
    /// # Safety
    /// `blocks × 64` bytes are readable from `from` and writable from `to` on, both aligned to 8.
    pub(crate) unsafe fn copy_blocks(to: u64, from: u64, blocks: u64) {
        if blocks == 0 {
            return;
        }
        // SAFETY: touches what the caller vouches for.
        unsafe {
            asm!(
                "2:",
                "ldp {a}, {b}, [{from}], #64",
                "ldp {c}, {d}, [{from}, #-48]",
                "ldp {e}, {f}, [{from}, #-32]",
                "ldp {g}, {h}, [{from}, #-16]",
                "stp {a}, {b}, [{to}], #64",
                "stp {c}, {d}, [{to}, #-48]",
                "stp {e}, {f}, [{to}, #-32]",
                "stp {g}, {h}, [{to}, #-16]",
                "subs {n}, {n}, #1",
                "b.ne 2b",
                to = inout(reg) to => _, from = inout(reg) from => _, n = inout(reg) blocks => _,
                a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
                e = out(reg) _, f = out(reg) _, g = out(reg) _, h = out(reg) _,
                options(nostack),
            );
        }
    }

    /// Zeroes blocks of 64 bytes.
    ///
    /// # Safety
    /// `blocks × 64` bytes are writable from `to` on, aligned to 8.
    pub(crate) unsafe fn zero_blocks(to: u64, blocks: u64) {
        if blocks == 0 {
            return;
        }
        // SAFETY: touches what the caller vouches for.
        unsafe {
            asm!(
                "2:",
                "stp xzr, xzr, [{to}], #64",
                "stp xzr, xzr, [{to}, #-48]",
                "stp xzr, xzr, [{to}, #-32]",
                "stp xzr, xzr, [{to}, #-16]",
                "subs {n}, {n}, #1",
                "b.ne 2b",
                to = inout(reg) to => _, n = inout(reg) blocks => _,
                options(nostack),
            );
        }
    }

    /// Ends in a fault.
    pub(crate) fn give_up() -> ! {
        // SAFETY: raises a debug exception, which the kernel takes.
        unsafe { asm!("brk #0", options(noreturn)) }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use core::arch::{asm, naked_asm};

    /// rdi = information pages, rsi = vCPU page, the stack is set. Goes to the program with the
    /// same.
    ///
    /// # Safety
    /// Only the kernel goes here.
    #[unsafe(naked)]
    #[unsafe(no_mangle)]
    #[unsafe(link_section = ".text._start")]
    unsafe extern "C" fn _start() -> ! {
        naked_asm!(
            "mov rbx, rdi",
            "mov r12, rsi",
            "mov r13, rsp",
            "xor ebp, ebp",
            "and rsp, -16",
            "call {load}",
            "mov rdi, rbx",
            "mov rsi, r12",
            "mov rsp, r13",
            "jmp rax",
            load = sym crate::load,
        )
    }

    /// Copies blocks of 64 bytes.
    ///
    /// # Safety
    /// `blocks × 64` bytes are readable from `from` and writable from `to` on.
    pub(crate) unsafe fn copy_blocks(to: u64, from: u64, blocks: u64) {
        // SAFETY: touches what the caller vouches for; the direction flag is clear at the start.
        unsafe {
            asm!(
                "rep movsq",
                inout("rdi") to => _, inout("rsi") from => _, inout("rcx") blocks * 8 => _,
                options(nostack, preserves_flags),
            );
        }
    }

    /// Zeroes blocks of 64 bytes.
    ///
    /// # Safety
    /// `blocks × 64` bytes are writable from `to` on.
    pub(crate) unsafe fn zero_blocks(to: u64, blocks: u64) {
        // SAFETY: as above.
        unsafe {
            asm!(
                "rep stosq",
                inout("rdi") to => _, inout("rcx") blocks * 8 => _, in("rax") 0u64,
                options(nostack, preserves_flags),
            );
        }
    }

    /// Ends in a fault.
    pub(crate) fn give_up() -> ! {
        // SAFETY: raises an invalid-opcode exception, which the kernel takes.
        unsafe { asm!("ud2", options(noreturn)) }
    }
}

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{copy_blocks, give_up, zero_blocks};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{copy_blocks, give_up, zero_blocks};
