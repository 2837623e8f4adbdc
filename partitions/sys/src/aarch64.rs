// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! aarch64: `svc #0`, number in x8, arguments in x0–x4, status in x0, value in x1; all other
//! registers are kept.

use core::arch::asm;

/// See [`crate::call`].
///
/// # Safety
/// As for [`crate::call`].
#[inline(always)]
pub(crate) unsafe fn call(number: u64, [a, b, c, d, e]: [u64; 5]) -> (u64, u64) {
    let (status, value);
    // SAFETY: the kernel keeps all registers but x0 and x1 and touches only memory that the
    // caller answers for; without `nomem` the compiler assumes that any memory may have changed.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a => status,
            inlateout("x1") b => value,
            in("x2") c,
            in("x3") d,
            in("x4") e,
            options(nostack, preserves_flags),
        );
    }
    (status, value)
}

/// Reads the virtual counter (Arm ARM, D13.8 CNTVCT_EL0). No barrier: the processor may read it a
/// few instructions early.
#[inline(always)]
pub fn counter() -> u64 {
    let ticks;
    // SAFETY: reads a register that the kernel lets partitions read; no effect.
    unsafe { asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
    ticks
}
