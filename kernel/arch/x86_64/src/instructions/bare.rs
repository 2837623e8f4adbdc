// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The instructions.

use super::Cpuid;
use crate::descriptors::TablePointer;
use core::arch::asm;

/// Reads an I/O port.
///
/// # Safety
/// The device behind the port must bear to be read.
#[inline]
pub unsafe fn in8(port: u16) -> u8 {
    let value: u8;
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes an I/O port.
///
/// # Safety
/// The device behind the port must bear the value.
#[inline]
pub unsafe fn out8(port: u16, value: u8) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) };
}

/// Writes an I/O port, 16 bits.
///
/// # Safety
/// See [`out8`].
#[inline]
pub(crate) unsafe fn out16(port: u16, value: u16) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags)) };
}

/// Reads an I/O port, 32 bits.
///
/// # Safety
/// See [`in8`].
#[inline]
pub(crate) unsafe fn in32(port: u16) -> u32 {
    let value: u32;
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes an I/O port, 32 bits.
///
/// # Safety
/// See [`out8`].
#[inline]
pub(crate) unsafe fn out32(port: u16, value: u32) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)) };
}

/// Reads a model-specific register.
///
/// # Safety
/// The processor must have it.
#[inline]
pub(crate) unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// The processor must have it and take the value; the kernel must bear what it changes.
#[inline]
pub(crate) unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags))
    };
}

/// Writes CR0.
///
/// # Safety
/// The kernel must go on running under the new value.
#[inline]
pub(crate) unsafe fn write_cr0(value: u64) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe { asm!("mov cr0, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// Clears CR0.TS: FP and SIMD instructions work.
///
/// # Safety
/// The FP registers must be those of the current vCPU, or about to be.
#[inline]
pub(crate) unsafe fn clear_task_switched() {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe { asm!("clts", options(nomem, nostack, preserves_flags)) };
}

/// Writes CR3: loads a root and forgets all translations.
///
/// # Safety
/// The root must map the kernel as it runs.
#[inline]
pub(crate) unsafe fn write_cr3(root: u64) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

/// Writes CR4.
///
/// # Safety
/// The processor must know the bits, and the kernel go on running with them.
#[inline]
pub(crate) unsafe fn write_cr4(value: u64) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// Writes DR7.
///
/// # Safety
/// No debug register may hold a kernel address.
#[inline]
pub(crate) unsafe fn write_dr7(value: u64) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe { asm!("mov dr7, {}", in(reg) value, options(nostack, preserves_flags)) };
}

/// Loads the descriptor tables: GDT with its task segment, IDT, and no LDT (that of reset is usable).
///
/// # Safety
/// Both tables, and what they refer to, must be right and stay where they are.
#[inline]
pub(crate) unsafe fn load_tables(gdt: &TablePointer, idt: &TablePointer, task: u16) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe {
        asm!("lgdt [{gdt}]", "lidt [{idt}]", "ltr {task:x}", "lldt {zero:x}", gdt = in(reg) gdt, idt = in(reg) idt, task = in(reg) task, zero = in(reg) 0u64, options(nostack, preserves_flags))
    };
}

/// Loads a null selector into DS, ES, FS and GS. Changes the bases of FS and GS.
///
/// # Safety
/// The base of GS must be written before it is used.
#[inline]
pub(crate) unsafe fn null_segments() {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe {
        asm!("mov ds, {0:x}", "mov es, {0:x}", "mov fs, {0:x}", "mov gs, {0:x}", in(reg) 0u64, options(nostack, preserves_flags))
    };
}

/// Saves FP and SIMD registers.
///
/// # Safety
/// `area` must be 512 writable bytes at a multiple of 16; CR0.TS clear.
#[inline]
pub(crate) unsafe fn fxsave(area: *mut u8) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe { asm!("fxsave64 [{}]", in(reg) area, options(nostack, preserves_flags)) };
}

/// Restores FP and SIMD registers. AMD processors restore the x87 pointers (FIP, FDP, FOP) only when
/// an exception is pending (APM Vol. 2, §11.4.4), so those of the vCPU before are overwritten first:
/// without exceptions and with an empty stack, by a load of the area's own first word.
///
/// # Safety
/// `area` must be what [`fxsave`] wrote, or [`crate::context::FP_CLEAN`]; CR0.TS clear.
#[inline]
pub(crate) unsafe fn fxrstor(area: *const u8) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe {
        asm!("fnclex", "emms", "fild dword ptr [{0}]", "fxrstor64 [{0}]", in(reg) area, options(nostack, preserves_flags))
    };
}

/// Reads the bases of FS and of the user's GS (the inactive one).
///
/// # Safety
/// CR4.FSGSBASE must be set.
#[inline]
pub(crate) unsafe fn read_bases() -> (u64, u64) {
    let (fs, gs);
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe {
        asm!("rdfsbase {fs}", "swapgs", "rdgsbase {gs}", "swapgs", fs = out(reg) fs, gs = out(reg) gs, options(nomem, nostack, preserves_flags))
    };
    (fs, gs)
}

/// Writes the bases of FS and of the user's GS (the inactive one).
///
/// # Safety
/// CR4.FSGSBASE must be set, both bases canonical.
#[inline]
pub(crate) unsafe fn write_bases(fs: u64, gs: u64) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe {
        asm!("wrfsbase {fs}", "swapgs", "wrgsbase {gs}", "swapgs", fs = in(reg) fs, gs = in(reg) gs, options(nomem, nostack, preserves_flags))
    };
}

/// Copies bytes upwards, in steps of 8, then of 1.
///
/// # Safety
/// Both ranges must be mapped, `to` writable; nobody in Rust may hold a reference to them. Ranges of partitions may change meanwhile.
#[inline]
pub(crate) unsafe fn copy(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe {
        asm!("rep movsq", "mov ecx, {tail:e}", "rep movsb", tail = in(reg) bytes & 7, inout("rcx") bytes / 8 => _, inout("rsi") from => _, inout("rdi") to => _, options(nostack, preserves_flags))
    };
}

/// Fills words with zeros.
///
/// # Safety
/// `to` must be writable; nobody in Rust may hold a reference to it.
#[inline]
pub(crate) unsafe fn zero(to: *mut u64, words: usize) {
    // SAFETY: the caller promises what the instruction needs; it touches nothing else.
    unsafe {
        asm!("rep stosq", in("rax") 0u64, inout("rcx") words => _, inout("rdi") to => _, options(nostack, preserves_flags))
    };
}

/// Reads CR2: the address of the latest page fault.
#[inline]
pub(crate) fn read_cr2() -> u64 {
    let value;
    // SAFETY: it only reads.
    unsafe { asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Completes all loads and stores before those that follow, and before a WRMSR.
#[inline]
pub(crate) fn mfence() {
    // SAFETY: a barrier changes nothing.
    unsafe { asm!("mfence", options(nostack, preserves_flags)) };
}

/// Reads the time-stamp counter.
#[inline]
pub(crate) fn read_tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: partitions may do it, too.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Tells whether DS, ES, FS and GS are null: a partition could signal by leaving something there.
#[inline]
pub(crate) fn segments_are_null() -> bool {
    let all: u32;
    // SAFETY: it only reads.
    unsafe {
        asm!("mov {0:e}, ds", "mov {1:e}, es", "or {0:e}, {1:e}", "mov {1:e}, fs", "or {0:e}, {1:e}", "mov {1:e}, gs", "or {0:e}, {1:e}", out(reg) all, out(reg) _, options(nomem, nostack))
    };
    all == 0
}

/// Asks the processor what it is.
pub(crate) fn cpuid(leaf: u32, subleaf: u32) -> Cpuid {
    let answer = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    Cpuid { eax: answer.eax, ebx: answer.ebx, ecx: answer.ecx, edx: answer.edx }
}

/// Stops this core for ever.
pub(crate) fn stop() -> ! {
    loop {
        // SAFETY: nothing follows.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
