// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The first instructions and the jump to the program.

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

    /// Ends in a fault.
    pub(crate) fn give_up() -> ! {
        // SAFETY: raises an invalid-opcode exception, which the kernel takes.
        unsafe { asm!("ud2", options(noreturn)) }
    }
}

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::give_up;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::give_up;
