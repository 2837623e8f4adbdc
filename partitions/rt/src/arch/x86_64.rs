// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! x86-64.
//!
//! ```text
//!   upcall stack, as the kernel enters          rdi = reason, rsi = events
//!   ┌──────────────┬─────────┐ top
//!   │ Head         │         │
//!   └──────────────┴─────────┘
//!   ▲ rsp            the trampoline puts the FP registers below, then calls Rust
//! ```

use core::arch::naked_asm;

pub use parzelle_abi::x86_64::Frame;

use crate::start::parzelle_rt_start;
use crate::upcall::parzelle_rt_upcall;

/// What a C function expects the stack pointer to be off a multiple of 16 by, when it begins: the
/// return address (System V ABI for x86-64, §3.2.2).
pub const ENTRY_STACK_BIAS: u64 = 8;

/// The x87 and SSE registers, in the layout of FXSAVE64 (Intel SDM vol. 1, §10.5.1).
#[derive(Clone, Copy, Debug)]
#[repr(C, align(16))]
pub struct FpState {
    /// All 512 bytes.
    pub bytes: [u8; 512],
}

impl FpState {
    /// The state in which a program starts: all exceptions masked, round to nearest
    /// (Intel SDM vol. 1, §8.1.5, §10.2.3).
    pub const fn new() -> Self {
        let mut bytes = [0; 512];
        // FCW = 0x037f.
        bytes[0] = 0x7f;
        bytes[1] = 0x03;
        // MXCSR = 0x1f80.
        bytes[24] = 0x80;
        bytes[25] = 0x1f;
        Self { bytes }
    }
}

impl Default for FpState {
    fn default() -> Self {
        Self::new()
    }
}

/// A frame at which `entry(argument)` begins on a stack of its own.
pub fn frame_for(entry: extern "C" fn(u64) -> !, stack_top: u64, argument: u64) -> Frame {
    Frame {
        sp: (stack_top & !15) - ENTRY_STACK_BIAS,
        pc: entry as usize as u64,
        rdi: argument,
        flags: 0x202,
        ..Frame::default()
    }
}

/// The first instructions of a program: rdi = information pages, rsi = vCPU page, the stack is set.
///
/// # Safety
/// Only the loader goes here.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text._start")]
pub unsafe extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "and rsp, -16", "call {start}", "ud2", start = sym parzelle_rt_start)
}

/// Where upcalls enter a program without FP registers.
///
/// # Safety
/// Only the kernel goes here.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn upcall_plain() -> ! {
    naked_asm!(
        "mov rdx, rsp",
        "xor ecx, ecx",
        "cld",
        "call {upcall}",
        "mov eax, {resume}",
        "syscall",
        "ud2",
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
        "mov rdx, rsp",
        "sub rsp, 512",
        "fxsave64 [rsp]",
        "mov rcx, rsp",
        "cld",
        "call {upcall}",
        "fxrstor64 [rsp]",
        "mov eax, {resume}",
        "syscall",
        "ud2",
        upcall = sym parzelle_rt_upcall,
        resume = const parzelle_abi::Call::Resume as u32,
    )
}
