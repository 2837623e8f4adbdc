// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Stand-ins for the host.

use super::Cpuid;
use crate::descriptors::TablePointer;

/// Reads an I/O port.
///
/// # Safety
/// The device behind the port must bear to be read.
#[inline]
pub unsafe fn in8(port: u16) -> u8 {
    let _ = (port,);
    0
}

/// Writes an I/O port.
///
/// # Safety
/// The device behind the port must bear the value.
#[inline]
pub unsafe fn out8(port: u16, value: u8) {
    let _ = (port, value);
}

/// Writes an I/O port, 16 bits.
///
/// # Safety
/// See [`out8`].
#[inline]
pub(crate) unsafe fn out16(port: u16, value: u16) {
    let _ = (port, value);
}

/// Reads an I/O port, 32 bits.
///
/// # Safety
/// See [`in8`].
#[inline]
pub(crate) unsafe fn in32(port: u16) -> u32 {
    let _ = (port,);
    0
}

/// Writes an I/O port, 32 bits.
///
/// # Safety
/// See [`out8`].
#[inline]
pub(crate) unsafe fn out32(port: u16, value: u32) {
    let _ = (port, value);
}

/// Reads a model-specific register.
///
/// # Safety
/// The processor must have it.
#[inline]
pub(crate) unsafe fn read_msr(register: u32) -> u64 {
    let _ = (register,);
    0
}

/// Writes a model-specific register.
///
/// # Safety
/// The processor must have it and take the value; the kernel must bear what it changes.
#[inline]
pub(crate) unsafe fn write_msr(register: u32, value: u64) {
    let _ = (register, value);
}

/// Writes CR0.
///
/// # Safety
/// The kernel must go on running under the new value.
#[inline]
pub(crate) unsafe fn write_cr0(value: u64) {
    let _ = (value,);
}

/// Clears CR0.TS: FP and SIMD instructions work.
///
/// # Safety
/// The FP registers must be those of the current vCPU, or about to be.
#[inline]
pub(crate) unsafe fn clear_task_switched() {}

/// Writes CR3: loads a root and forgets all translations.
///
/// # Safety
/// The root must map the kernel as it runs.
#[inline]
pub(crate) unsafe fn write_cr3(root: u64) {
    let _ = (root,);
}

/// Writes CR4.
///
/// # Safety
/// The processor must know the bits, and the kernel go on running with them.
#[inline]
pub(crate) unsafe fn write_cr4(value: u64) {
    let _ = (value,);
}

/// Writes DR7.
///
/// # Safety
/// No debug register may hold a kernel address.
#[inline]
pub(crate) unsafe fn write_dr7(value: u64) {
    let _ = (value,);
}

/// Loads the descriptor tables: GDT with its task segment, IDT, and no LDT (that of reset is usable).
///
/// # Safety
/// Both tables, and what they refer to, must be right and stay where they are.
#[inline]
pub(crate) unsafe fn load_tables(gdt: &TablePointer, idt: &TablePointer, task: u16) {
    let _ = (gdt, idt, task);
}

/// Loads a null selector into DS, ES, FS and GS. Changes the bases of FS and GS.
///
/// # Safety
/// The base of GS must be written before it is used.
#[inline]
pub(crate) unsafe fn null_segments() {}

/// Saves FP and SIMD registers.
///
/// # Safety
/// `area` must be 512 writable bytes at a multiple of 16; CR0.TS clear.
#[inline]
pub(crate) unsafe fn fxsave(area: *mut u8) {
    let _ = (area,);
}

/// Restores FP and SIMD registers.
///
/// # Safety
/// `area` must be what [`fxsave`] wrote, or [`crate::context::FP_CLEAN`]; CR0.TS clear.
#[inline]
pub(crate) unsafe fn fxrstor(area: *const u8) {
    let _ = (area,);
}

/// Reads the bases of FS and of the user's GS (the inactive one).
///
/// # Safety
/// CR4.FSGSBASE must be set.
#[inline]
pub(crate) unsafe fn read_bases() -> (u64, u64) {
    (0, 0)
}

/// Writes the bases of FS and of the user's GS (the inactive one).
///
/// # Safety
/// CR4.FSGSBASE must be set, both bases canonical.
#[inline]
pub(crate) unsafe fn write_bases(fs: u64, gs: u64) {
    let _ = (fs, gs);
}

/// Copies bytes upwards, in steps of 8, then of 1.
///
/// # Safety
/// Both ranges must be mapped, `to` writable; nobody in Rust may hold a reference to them. Ranges of partitions may change meanwhile.
#[inline]
pub(crate) unsafe fn copy(to: *mut u8, from: *const u8, bytes: usize) {
    // SAFETY: as the caller promises.
    unsafe { core::ptr::copy_nonoverlapping(from, to, bytes) }
}

/// Fills words with zeros.
///
/// # Safety
/// `to` must be writable; nobody in Rust may hold a reference to it.
#[inline]
pub(crate) unsafe fn zero(to: *mut u64, words: usize) {
    // SAFETY: as the caller promises.
    unsafe { core::ptr::write_bytes(to, 0, words) }
}

/// Reads CR2: the address of the latest page fault.
#[inline]
pub(crate) fn read_cr2() -> u64 {
    0
}

/// Completes all loads and stores before those that follow, and before a WRMSR.
#[inline]
pub(crate) fn mfence() {}

/// Reads the time-stamp counter.
#[inline]
pub(crate) fn read_tsc() -> u64 {
    0
}

/// Tells whether DS, ES, FS and GS are null: a partition could signal by leaving something there.
#[inline]
pub(crate) fn segments_are_null() -> bool {
    true
}

/// Asks the processor what it is.
pub(crate) fn cpuid(leaf: u32, subleaf: u32) -> Cpuid {
    let _ = (leaf, subleaf);
    Cpuid::default()
}

/// Stops this core for ever.
pub(crate) fn stop() -> ! {
    loop {
        core::hint::spin_loop();
    }
}
