// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! x86-64: `syscall`, number in rax, arguments in rdi, rsi, rdx, r10, r8, status in rax, value in
//! rdx; rcx and r11 are lost (Intel SDM vol. 2B, SYSCALL).

use core::arch::asm;

/// See [`crate::call`].
///
/// # Safety
/// As for [`crate::call`].
#[inline(always)]
pub(crate) unsafe fn call(number: u64, [a, b, c, d, e]: [u64; 5]) -> (u64, u64) {
    let (status, value);
    // SAFETY: the kernel keeps all registers but the four named as outputs and touches only memory
    // that the caller answers for; without `nomem` the compiler assumes that any may have changed.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => status,
            in("rdi") a,
            in("rsi") b,
            inlateout("rdx") c => value,
            in("r10") d,
            in("r8") e,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    (status, value)
}

/// Reads the time-stamp counter (Intel SDM vol. 2B, RDTSC).
#[inline(always)]
pub fn counter() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register that the kernel lets partitions read; no effect.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}
