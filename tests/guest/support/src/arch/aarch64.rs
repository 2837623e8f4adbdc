// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! aarch64: system calls by `svc`, the virtual counter.

use std::arch::{asm, global_asm};

global_asm!(
    ".global guest_attempt, guest_attempt_landing, guest_load, guest_store, guest_call",
    ".global guest_breakpoint, guest_undefined",
    "guest_attempt:",
    "stp x29, x30, [sp, #-96]!",
    "stp x19, x20, [sp, #16]",
    "stp x21, x22, [sp, #32]",
    "stp x23, x24, [sp, #48]",
    "stp x25, x26, [sp, #64]",
    "stp x27, x28, [sp, #80]",
    "adrp x9, guest_attempt_stack",
    "mov x10, sp",
    "str x10, [x9, :lo12:guest_attempt_stack]",
    "mov x9, x0",
    "mov x0, x1",
    "mov x1, x2",
    "blr x9",
    "mov x1, #0",
    "b 1f",
    "guest_attempt_landing:",
    "adrp x9, guest_attempt_stack",
    "ldr x10, [x9, :lo12:guest_attempt_stack]",
    "mov sp, x10",
    "mov x0, #0",
    "mov x1, #1",
    "1:",
    "ldp x19, x20, [sp, #16]",
    "ldp x21, x22, [sp, #32]",
    "ldp x23, x24, [sp, #48]",
    "ldp x25, x26, [sp, #64]",
    "ldp x27, x28, [sp, #80]",
    "ldp x29, x30, [sp], #96",
    "ret",
    "guest_load: ldrb w0, [x0]",
    "ret",
    "guest_store: strb w1, [x0]",
    "mov x0, #0",
    "ret",
    "guest_call: br x0",
    "guest_breakpoint: brk #0",
    "ret",
    "guest_undefined: udf #0",
    "ret",
    ".local guest_attempt_stack",
    ".comm guest_attempt_stack, 8, 8",
);

/// A function that returns 42, as machine code.
pub const RETURNS_42: [u8; 8] = [0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6];

/// Bytes of a breakpoint instruction that a handler has to skip.
pub const BREAKPOINT_BYTES: usize = 4;

/// The counter that all clocks are made of.
#[must_use]
#[inline]
pub fn counter() -> u64 {
    let ticks: u64;
    // SAFETY: reads a register that Linux lets programs read; the barrier keeps its place.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack)) };
    ticks
}

/// Makes one system call, with no detour.
///
/// # Safety
///
/// What the call asks of its arguments.
#[inline]
pub unsafe fn call(number: libc::c_long, arguments: [usize; 4]) -> isize {
    let result: isize;
    // SAFETY: the caller's; the kernel keeps all registers but the result's.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") arguments[0] => result, in("x1") arguments[1],
             in("x2") arguments[2], in("x3") arguments[3], options(nostack));
    }
    result
}

/// Where an interrupted program was.
#[must_use]
pub fn place(context: &libc::ucontext_t) -> usize {
    context.uc_mcontext.pc as usize
}

/// Lets an interrupted program go on elsewhere.
pub fn set_place(context: &mut libc::ucontext_t, place: usize) {
    context.uc_mcontext.pc = place as u64;
}

/// Makes instructions that were written as data visible to execution (Arm ARM, B2.4.4).
pub(crate) fn publish(address: usize, bytes: usize) {
    for line in (address & !15..address + bytes).step_by(16) {
        // SAFETY: memory of the caller's mapping, which it has just written.
        unsafe { asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", "dsb ish", "isb", in(reg) line, options(nostack)) };
    }
}
