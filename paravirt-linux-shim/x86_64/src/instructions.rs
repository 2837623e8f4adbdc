// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Instructions that have no name in the language: bases of FS and GS, and `cpuid`.
//!
//! The kernel requires FSGSBASE for guests; the shim itself uses neither segment.

use core::arch::asm;

/// The base of FS.
#[must_use]
pub fn fs_base() -> u64 {
    let base;
    // SAFETY: reads a register; CR4.FSGSBASE is set.
    unsafe { asm!("rdfsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) };
    base
}

/// The base of GS.
#[must_use]
pub fn gs_base() -> u64 {
    let base;
    // SAFETY: reads a register; CR4.FSGSBASE is set.
    unsafe { asm!("rdgsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) };
    base
}

/// Sets the base of FS, if it is canonical.
pub fn set_fs_base(base: u64) {
    if is_canonical(base) {
        // SAFETY: nobody here uses FS, the address can't fault.
        unsafe { asm!("wrfsbase {}", in(reg) base, options(nomem, nostack, preserves_flags)) };
    }
}

/// Sets the base of GS, if it is canonical.
pub fn set_gs_base(base: u64) {
    if is_canonical(base) {
        // SAFETY: nobody here uses GS, the address can't fault.
        unsafe { asm!("wrgsbase {}", in(reg) base, options(nomem, nostack, preserves_flags)) };
    }
}

/// What the processor says of itself: eax, ebx, ecx, edx.
#[must_use]
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let found = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    [found.eax, found.ebx, found.ecx, found.edx]
}

/// The lines of 64 bytes of a page in which bit 0 of any word of 64 bits is set.
///
/// By SSE2, whose registers are the guest's: they are put back. Eight lines at a time, from the last on: most have
/// nothing; of the others two lines give two bits.
///
/// # Safety
/// A page is mapped there, which anybody may write at any time; the address is aligned to it.
#[must_use]
pub unsafe fn lines(page: u64) -> u64 {
    let mut kept = [0_u64; 6];
    let lines;
    // SAFETY: it reads what the caller answers for, and writes `kept`; the registers that the compiler does not
    // know of are as before.
    unsafe {
        asm!(
            "movups [{kept}], xmm0",
            "movups [{kept} + 16], xmm1",
            "movups [{kept} + 32], xmm2",
            "2:",
            "movdqa xmm0, [{at}]",
            ".set place, 16",
            ".rept 31",
            "por xmm0, [{at} + place]",
            ".set place, place + 16",
            ".endr",
            "pshufd xmm1, xmm0, 0xee",
            "por xmm0, xmm1",
            "movd {bits:e}, xmm0",
            "test {bits:l}, 1",
            "jnz 3f",
            "shl {lines}, 8",
            "sub {at}, 512",
            "dec {left:e}",
            "jnz 2b",
            "jmp 4f",
            "3:",
            ".irp place, 384, 256, 128, 0",
            "movdqa xmm0, [{at} + \\place]",
            "por xmm0, [{at} + \\place + 16]",
            "por xmm0, [{at} + \\place + 32]",
            "por xmm0, [{at} + \\place + 48]",
            "movdqa xmm1, [{at} + \\place + 64]",
            "por xmm1, [{at} + \\place + 80]",
            "por xmm1, [{at} + \\place + 96]",
            "por xmm1, [{at} + \\place + 112]",
            "movdqa xmm2, xmm0",
            "punpcklqdq xmm0, xmm1",
            "punpckhqdq xmm2, xmm1",
            "por xmm0, xmm2",
            "psllq xmm0, 63",
            "movmskpd {bits:e}, xmm0",
            "shl {lines}, 2",
            "or {lines}, {bits}",
            ".endr",
            "sub {at}, 512",
            "dec {left:e}",
            "jnz 2b",
            "4:",
            "movups xmm0, [{kept}]",
            "movups xmm1, [{kept} + 16]",
            "movups xmm2, [{kept} + 32]",
            kept = in(reg) kept.as_mut_ptr(),
            at = inout(reg) page + (4096 - 512) => _,
            left = inout(reg) 8_u64 => _,
            bits = out(reg) _,
            lines = inout(reg) 0_u64 => lines,
            options(nostack),
        );
    }
    lines
}

/// Whether bits 47 and up are alike.
#[must_use]
pub const fn is_canonical(address: u64) -> bool {
    (address.cast_signed() << 16 >> 16).cast_unsigned() == address
}
