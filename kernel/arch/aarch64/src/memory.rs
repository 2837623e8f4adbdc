// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Memory of partitions and of the plan, by physical address. No references to it exist: whoever
//! else has it mapped may write at any time. So: assembly, or volatile words.

use crate::mmio::Mmio;
use crate::registers::assembly;
use parzelle_abi::aarch64::Frame;
use parzelle_plan::AccessRecord;

/// Reads one word; the address is a multiple of 8, or the read may be torn.
pub(crate) fn read_word(address: u64) -> u64 {
    // SAFETY: the callers name memory of the plan that EL2 maps; see the module's head.
    unsafe { core::ptr::read_volatile(address as *const u64) }
}

/// Writes one word; the address is a multiple of 8.
pub(crate) fn write_word(address: u64, value: u64) {
    // SAFETY: the callers name memory of the plan that EL2 maps writable; see the module's head.
    unsafe { core::ptr::write_volatile(address as *mut u64, value) }
}

/// Copies between ranges that do not overlap, of any alignment.
#[inline]
pub(crate) fn copy(to: u64, from: u64, bytes: u64) {
    // SAFETY: the kernel core has proved that both ranges are memory of the plan; EL2 maps them
    // as normal memory, in which no alignment is needed.
    unsafe {
        assembly!(
            "subs {n}, {n}, #32",
            "b.lo 3f",
            "2: ldp {a}, {b}, [{from}], #16",
            "ldp {c}, {d}, [{from}], #16",
            "stp {a}, {b}, [{to}], #16",
            "stp {c}, {d}, [{to}], #16",
            "subs {n}, {n}, #32",
            "b.hs 2b",
            "3: tbz {n}, #4, 4f",
            "ldp {a}, {b}, [{from}], #16",
            "stp {a}, {b}, [{to}], #16",
            "4: tbz {n}, #3, 5f",
            "ldr {a}, [{from}], #8",
            "str {a}, [{to}], #8",
            "5: ands {n}, {n}, #7",
            "b.eq 7f",
            "6: ldrb {a:w}, [{from}], #1",
            "strb {a:w}, [{to}], #1",
            "subs {n}, {n}, #1",
            "b.ne 6b",
            "7:",
            n = inout(reg) bytes => _, from = inout(reg) from => _, to = inout(reg) to => _,
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _
        );
    }
}

/// Writes kernel data to a range.
pub(crate) fn write(to: u64, bytes: &[u8]) {
    copy(to, bytes.as_ptr() as u64, bytes.len() as u64);
}

/// Fills a range with zeros; both ends are multiples of 512 bytes. One instruction for 64 bytes on
/// processors whose DC ZVA block has that size (all of Arm's own; DCZID_EL0, Arm ARM D24.2.33).
#[inline]
pub(crate) fn zero(to: u64, bytes: u64) {
    // SAFETY: the callers name memory of the plan that EL2 maps writable, as normal memory, and
    // nobody refers to.
    unsafe {
        assembly!(
            "cbz {n}, 4f",
            "mrs {line}, dczid_el0",
            "cmp {line}, #4",
            "mov {line}, #64",
            "b.ne 3f",
            "2:",
            ".rept 8",
            "dc zva, {to}",
            "add {to}, {to}, {line}",
            ".endr",
            "subs {n}, {n}, #512",
            "b.hi 2b",
            "b 4f",
            "3: stp xzr, xzr, [{to}], #16",
            "subs {n}, {n}, #16",
            "b.hi 3b",
            "4:",
            n = inout(reg) bytes => _, to = inout(reg) to => _, line = out(reg) _
        );
    }
}

/// Copies a frame to or from a vCPU page: each word is read once.
#[inline]
pub(crate) fn copy_frame(to: u64, from: u64) {
    const { assert!(size_of::<Frame>() == 35 * 8) };
    // SAFETY: the callers name two frames, each in a context or a page of the current vCPU.
    unsafe {
        assembly!(
            ".rept 17",
            "ldp {a}, {b}, [{from}], #16",
            "stp {a}, {b}, [{to}], #16",
            ".endr",
            "ldr {a}, [{from}]",
            "str {a}, [{to}]",
            from = inout(reg) from => _, to = inout(reg) to => _, a = out(reg) _, b = out(reg) _
        );
    }
}

/// Does one step of silencing a device. There is no IOMMU here, and nothing to expect: says the check.
pub(crate) fn quiesce(access: &AccessRecord) {
    let AccessRecord { address, value, width, .. } = *access;
    // SAFETY: the plan names a device register that EL2 maps, and its width.
    let device = unsafe { Mmio::new(address) };
    match width {
        1 => device.write(0, value as u8),
        2 => device.write(0, value as u16),
        _ => device.write(0, value as u32),
    }
}
