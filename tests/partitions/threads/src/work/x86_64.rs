// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A loop over SSE and x87 registers.

use core::arch::naked_asm;

/// Computes something of `seed` in `rounds`; the result is the bits of it all.
///
/// # Safety
/// Any numbers will do.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn work(seed: u64, rounds: u64) -> u64 {
    naked_asm!(
        "cvtsi2sd xmm0, rdi",
        "mov rax, 0x3ff8000000000000",
        "movq xmm1, rax",
        "mov rax, 0x3fd0000000000000",
        "movq xmm2, rax",
        "mov rax, 0x3fe0000000000000",
        "movq xmm7, rax",
        "movq xmm14, rdi",
        "movdqa xmm15, xmm14",
        "push rdi",
        "fild qword ptr [rsp]",
        "fld1",
        "2:",
        "mulsd xmm0, xmm7",
        "addsd xmm0, xmm1",
        "mulsd xmm1, xmm7",
        "addsd xmm1, xmm2",
        "mulsd xmm2, xmm7",
        "addsd xmm2, xmm0",
        "subsd xmm2, xmm7",
        "paddq xmm14, xmm7",
        "pxor xmm15, xmm14",
        "pshufd xmm15, xmm15, 0x39",
        "fadd st(1), st(0)",
        "dec rsi",
        "jnz 2b",
        "fstp st(0)",
        "fistp qword ptr [rsp]",
        "pop rax",
        "movq rcx, xmm0",
        "rol rcx, 7",
        "xor rax, rcx",
        "movq rcx, xmm1",
        "rol rcx, 19",
        "xor rax, rcx",
        "movq rcx, xmm2",
        "xor rax, rcx",
        "movq rcx, xmm15",
        "xor rax, rcx",
        "ret",
    )
}
