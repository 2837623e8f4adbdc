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

/// What is set in any of 8 words.
///
/// # Safety
/// 64 bytes are mapped there, which anybody may write at any time; the address is aligned to 8.
#[must_use]
#[inline(always)]
pub unsafe fn any8(at: u64) -> u64 {
    let all;
    // SAFETY: it only reads, what the caller answers for.
    unsafe {
        asm!(
            "mov {all}, [{at}]",
            "or {all}, [{at} + 8]",
            "or {all}, [{at} + 16]",
            "or {all}, [{at} + 24]",
            "or {all}, [{at} + 32]",
            "or {all}, [{at} + 40]",
            "or {all}, [{at} + 48]",
            "or {all}, [{at} + 56]",
            all = out(reg) all,
            at = in(reg) at,
            options(nostack, readonly),
        );
    }
    all
}

/// Whether bits 47 and up are alike.
#[must_use]
pub const fn is_canonical(address: u64) -> bool {
    (address.cast_signed() << 16 >> 16).cast_unsigned() == address
}
