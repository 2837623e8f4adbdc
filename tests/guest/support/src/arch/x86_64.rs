// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! x86-64: system calls by `syscall`, the time-stamp counter.

use std::arch::{asm, global_asm, x86_64};

global_asm!(
    ".global guest_attempt, guest_attempt_landing, guest_load, guest_store, guest_call",
    ".global guest_breakpoint, guest_undefined",
    "guest_attempt:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "mov [rip + guest_attempt_stack], rsp",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "sub rsp, 8",
    "call rax",
    "add rsp, 8",
    "xor edx, edx",
    "jmp 2f",
    "guest_attempt_landing:",
    "mov rsp, [rip + guest_attempt_stack]",
    "cld",
    "xor eax, eax",
    "mov edx, 1",
    "2:",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    "guest_load: movzx eax, byte ptr [rdi]",
    "ret",
    "guest_store: mov byte ptr [rdi], sil",
    "xor eax, eax",
    "ret",
    "guest_call: jmp rdi",
    "guest_breakpoint: int3",
    "ret",
    "guest_undefined: ud2",
    "ret",
    ".local guest_attempt_stack",
    ".comm guest_attempt_stack, 8, 8",
);

/// A function that returns 42, as machine code.
pub const RETURNS_42: [u8; 6] = [0xb8, 42, 0, 0, 0, 0xc3];

/// Bytes of a breakpoint instruction that a handler has to skip: the processor has done so already.
pub const BREAKPOINT_BYTES: usize = 0;

/// The counter that all clocks are made of.
#[must_use]
#[inline]
pub fn counter() -> u64 {
    // SAFETY: an instruction that Linux lets programs use.
    unsafe { x86_64::_rdtsc() }
}

/// Makes one system call, with no detour.
///
/// # Safety
///
/// What the call asks of its arguments.
#[inline]
pub unsafe fn call(number: libc::c_long, arguments: [usize; 4]) -> isize {
    let result: isize;
    // SAFETY: the caller's; the kernel keeps all registers but rcx, r11 and the result's.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") arguments[0], in("rsi") arguments[1],
             in("rdx") arguments[2], in("r10") arguments[3], out("rcx") _, out("r11") _, options(nostack));
    }
    result
}

/// Where an interrupted program was.
#[must_use]
pub fn place(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize
}

/// Lets an interrupted program go on elsewhere, with 64 bits: it may have been interrupted with 32.
pub fn set_place(context: &mut libc::ucontext_t, place: usize) {
    let selectors = &mut context.uc_mcontext.gregs[libc::REG_CSGSFS as usize];
    *selectors = *selectors & !0xffff | 0x33;
    context.uc_mcontext.gregs[libc::REG_RIP as usize] = place as i64;
}

/// Makes instructions that were written as data visible to execution: the processor sees to it.
pub(crate) fn publish(_address: usize, _bytes: usize) {}
