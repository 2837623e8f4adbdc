// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A loop over FP and SIMD registers.

use core::arch::naked_asm;

/// Computes something of `seed` in `rounds`; the result is the bits of it all.
///
/// # Safety
/// Any numbers will do.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn work(seed: u64, rounds: u64) -> u64 {
    naked_asm!(
        ".arch_extension fp",
        ".arch_extension simd",
        "scvtf d0, x0",
        "fmov d1, #1.5",
        "fmov d2, #0.25",
        "fmov d7, #0.5",
        "dup v16.2d, x0",
        "movi v17.16b, #3",
        "mov v31.16b, v16.16b",
        "2:",
        "fmul d0, d0, d7",
        "fadd d0, d0, d1",
        "fmul d1, d1, d7",
        "fadd d1, d1, d2",
        "fmul d2, d2, d7",
        "fadd d2, d2, d0",
        "fsub d2, d2, d7",
        "add v16.2d, v16.2d, v17.2d",
        "eor v31.16b, v31.16b, v16.16b",
        "ext v31.16b, v31.16b, v31.16b, #3",
        "subs x1, x1, #1",
        "b.ne 2b",
        "fmov x0, d0",
        "fmov x1, d1",
        "eor x0, x0, x1, ror #7",
        "fmov x1, d2",
        "eor x0, x0, x1, ror #19",
        "fmov x1, d31",
        "eor x0, x0, x1",
        "ret",
    )
}
