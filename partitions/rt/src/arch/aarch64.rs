// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! aarch64.
//!
//! ```text
//!   upcall stack, as the kernel enters          x0 = reason, x1 = events
//!   ┌──────────────┬─────────┐ top
//!   │ Head         │         │
//!   └──────────────┴─────────┘
//!   ▲ sp             the trampoline puts the FP registers below, then calls Rust
//! ```

use core::arch::naked_asm;

pub use parzelle_abi::aarch64::Frame;

use crate::start::parzelle_rt_start;
use crate::upcall::parzelle_rt_upcall;

/// What a C function expects the stack pointer to be off a multiple of 16 by, when it begins.
pub const ENTRY_STACK_BIAS: u64 = 0;

/// The FP/SIMD registers.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct FpState {
    /// q0–q31.
    pub q: [u128; 32],
    /// FPCR, FPSR.
    pub control: [u64; 2],
}

impl FpState {
    /// The state in which a program starts: zeros (round to nearest, no traps).
    pub const fn new() -> Self {
        Self { q: [0; 32], control: [0; 2] }
    }
}

impl Default for FpState {
    fn default() -> Self {
        Self::new()
    }
}

/// A frame at which `entry(argument)` begins on a stack of its own.
pub fn frame_for(entry: extern "C" fn(u64) -> !, stack_top: u64, argument: u64) -> Frame {
    let mut frame = Frame { sp: stack_top & !15, pc: entry as usize as u64, ..Frame::default() };
    frame.x[0] = argument;
    frame
}

/// The first instructions of a program: x0 = information pages, x1 = vCPU page, the stack is set.
///
/// # Safety
/// Only the loader goes here.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text._start")]
pub unsafe extern "C" fn _start() -> ! {
    naked_asm!("mov x29, xzr", "mov x30, xzr", "b {start}", start = sym parzelle_rt_start)
}

/// Where upcalls enter a program without FP registers.
///
/// # Safety
/// Only the kernel goes here.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn upcall_plain() -> ! {
    naked_asm!(
        "mov x2, sp",
        "mov x3, xzr",
        "bl {upcall}",
        "mov x8, {resume}",
        "svc #0",
        "brk #0",
        upcall = sym parzelle_rt_upcall,
        resume = const parzelle_abi::Call::Resume as u32,
    )
}

/// Where upcalls enter a program with FP registers: the handler may use them, and may exchange
/// the interrupted ones.
///
/// # Safety
/// Only the kernel goes here.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn upcall_fp() -> ! {
    naked_asm!(
        ".arch_extension fp",
        "mov x2, sp",
        "sub sp, sp, #528",
        "stp q0, q1, [sp, #0]",
        "stp q2, q3, [sp, #32]",
        "stp q4, q5, [sp, #64]",
        "stp q6, q7, [sp, #96]",
        "stp q8, q9, [sp, #128]",
        "stp q10, q11, [sp, #160]",
        "stp q12, q13, [sp, #192]",
        "stp q14, q15, [sp, #224]",
        "stp q16, q17, [sp, #256]",
        "stp q18, q19, [sp, #288]",
        "stp q20, q21, [sp, #320]",
        "stp q22, q23, [sp, #352]",
        "stp q24, q25, [sp, #384]",
        "stp q26, q27, [sp, #416]",
        "stp q28, q29, [sp, #448]",
        "stp q30, q31, [sp, #480]",
        "mrs x9, fpcr",
        "mrs x10, fpsr",
        "add x11, sp, #512",
        "stp x9, x10, [x11]",
        "mov x3, sp",
        "bl {upcall}",
        "add x11, sp, #512",
        "ldp x9, x10, [x11]",
        "msr fpcr, x9",
        "msr fpsr, x10",
        "ldp q0, q1, [sp, #0]",
        "ldp q2, q3, [sp, #32]",
        "ldp q4, q5, [sp, #64]",
        "ldp q6, q7, [sp, #96]",
        "ldp q8, q9, [sp, #128]",
        "ldp q10, q11, [sp, #160]",
        "ldp q12, q13, [sp, #192]",
        "ldp q14, q15, [sp, #224]",
        "ldp q16, q17, [sp, #256]",
        "ldp q18, q19, [sp, #288]",
        "ldp q20, q21, [sp, #320]",
        "ldp q22, q23, [sp, #352]",
        "ldp q24, q25, [sp, #384]",
        "ldp q26, q27, [sp, #416]",
        "ldp q28, q29, [sp, #448]",
        "ldp q30, q31, [sp, #480]",
        "mov x8, {resume}",
        "svc #0",
        "brk #0",
        upcall = sym parzelle_rt_upcall,
        resume = const parzelle_abi::Call::Resume as u32,
    )
}
