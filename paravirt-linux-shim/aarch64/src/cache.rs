// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Caches: a guest begins with its own switched off, so what was loaded for it has to lie in memory
//! (Linux, `Documentation/arch/arm64/booting.rst`: the image cleaned to the point of coherency, no
//! stale instructions). The kernel lets EL0 do so by address (SCTLR_EL1.UCI, UCT).

/// Writes `bytes` back to memory and forgets instructions that were fetched from there.
#[cfg(target_os = "none")]
pub fn clean(bytes: &[u8]) {
    use core::arch::asm;

    let kind: u64;
    // SAFETY: reads the cache type register (Arm ARM D24.2.35, CTR_EL0), which has no effect.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) kind, options(nomem, nostack, preserves_flags)) };
    let line = 4usize << (kind >> 16 & 0xf).min(kind & 0xf);
    let first = bytes.as_ptr() as usize & !(line - 1);
    for address in (first..bytes.as_ptr() as usize + bytes.len()).step_by(line) {
        // SAFETY: maintenance by an address of memory that is borrowed: no content changes.
        unsafe {
            asm!("dc civac, {0}", "ic ivau, {0}", in(reg) address, options(nostack, preserves_flags));
        }
    }
    // SAFETY: barriers; the maintenance above is complete after them.
    unsafe { asm!("dsb sy", "isb", options(nostack, preserves_flags)) };
}

/// On a host there is nobody to see the difference.
#[cfg(not(target_os = "none"))]
pub fn clean(_: &[u8]) {}
