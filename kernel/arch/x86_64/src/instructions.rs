// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Instructions that Rust has no word for. On bare metal a function here is what its body says; on
//! the host, where the rest of this crate is tested, it does nothing and answers zero.

use crate::descriptors::TablePointer;
#[cfg(target_os = "none")]
use core::arch::{asm, x86_64::__cpuid_count, x86_64::_rdtsc};

/// Declares functions whose bodies are instructions.
macro_rules! instructions {
    ($($(#[$doc:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $kind:ty),*) $(-> $result:ty)? { $($body:tt)* })+) => {$(
        $(#[$doc])*
        #[inline]
        // One body is a safe intrinsic, another doesn't return.
        #[allow(unused_unsafe, unreachable_code)]
        $vis unsafe fn $name($($arg: $kind),*) $(-> $result)? {
            // SAFETY: the caller promises what the instruction needs; it touches nothing else.
            #[cfg(target_os = "none")]
            return unsafe { $($body)* };
            #[cfg(not(target_os = "none"))]
            {
                let _ = ($($arg,)*);
                Default::default()
            }
        }
    )+};
}
pub(crate) use instructions;

instructions! {
    /// Reads an I/O port.
    ///
    /// # Safety
    /// The device behind the port must bear to be read.
    pub unsafe fn in8(port: u16) -> u8 {
        let value: u8;
        asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags));
        value
    }

    /// Writes an I/O port.
    ///
    /// # Safety
    /// The device behind the port must bear the value.
    pub unsafe fn out8(port: u16, value: u8) {
        asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags))
    }

    /// Writes an I/O port, 16 bits.
    ///
    /// # Safety
    /// See [`out8`].
    pub(crate) unsafe fn out16(port: u16, value: u16) {
        asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags))
    }

    /// Reads an I/O port, 32 bits.
    ///
    /// # Safety
    /// See [`in8`].
    pub(crate) unsafe fn in32(port: u16) -> u32 {
        let value: u32;
        asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags));
        value
    }

    /// Writes an I/O port, 32 bits.
    ///
    /// # Safety
    /// See [`out8`].
    pub(crate) unsafe fn out32(port: u16, value: u32) {
        asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags))
    }

    /// Reads a model-specific register.
    ///
    /// # Safety
    /// The processor must have it.
    pub(crate) unsafe fn read_msr(register: u32) -> u64 {
        let (low, high): (u32, u32);
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
        u64::from(high) << 32 | u64::from(low)
    }

    /// Writes a model-specific register.
    ///
    /// # Safety
    /// The processor must have it and take the value; the kernel must bear what it changes.
    pub(crate) unsafe fn write_msr(register: u32, value: u64) {
        let (low, high) = (value as u32, (value >> 32) as u32);
        asm!("wrmsr", in("ecx") register, in("eax") low, in("edx") high, options(nostack, preserves_flags))
    }

    /// Writes CR0.
    ///
    /// # Safety
    /// The kernel must go on running under the new value.
    pub(crate) unsafe fn write_cr0(value: u64) {
        asm!("mov cr0, {}", in(reg) value, options(nostack, preserves_flags))
    }

    /// Clears CR0.TS: FP and SIMD instructions work.
    ///
    /// # Safety
    /// The FP registers must be those of the current vCPU, or about to be.
    pub(crate) unsafe fn clear_task_switched() {
        asm!("clts", options(nomem, nostack, preserves_flags))
    }

    /// Reads CR2: the address of the latest page fault.
    ///
    /// # Safety
    /// It only reads.
    pub(crate) unsafe fn cr2() -> u64 {
        let value;
        asm!("mov {}, cr2", out(reg) value, options(nomem, nostack, preserves_flags));
        value
    }

    /// Writes CR3: loads a root and forgets all translations.
    ///
    /// # Safety
    /// The root must map the kernel as it runs.
    pub(crate) unsafe fn write_cr3(root: u64) {
        asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags))
    }

    /// Writes back what is cached and forgets it.
    ///
    /// # Safety
    /// It changes nothing but time, of which it takes much.
    pub(crate) unsafe fn write_back_and_invalidate() {
        asm!("wbinvd", options(nostack, preserves_flags))
    }

    /// Writes CR4.
    ///
    /// # Safety
    /// The processor must know the bits, and the kernel go on running with them.
    pub(crate) unsafe fn write_cr4(value: u64) {
        asm!("mov cr4, {}", in(reg) value, options(nostack, preserves_flags))
    }

    /// Clears DR6.
    ///
    /// # Safety
    /// What it tells of the last debug exception must have been read, or be of no use.
    pub(crate) unsafe fn clear_dr6() {
        asm!("mov dr6, {}", in(reg) 0u64, options(nomem, nostack, preserves_flags))
    }

    /// Writes DR7.
    ///
    /// # Safety
    /// No debug register may hold a kernel address.
    pub(crate) unsafe fn write_dr7(value: u64) {
        asm!("mov dr7, {}", in(reg) value, options(nostack, preserves_flags))
    }

    /// Loads the descriptor tables: GDT with its task segment, IDT, and no LDT (that of reset is usable).
    ///
    /// # Safety
    /// Both tables, and what they refer to, must be right and stay where they are.
    pub(crate) unsafe fn load_tables(gdt: &TablePointer, idt: &TablePointer, task: u16) {
        asm!(
            "lgdt [{}]", "lidt [{}]", "ltr {:x}", "lldt {:x}",
            in(reg) gdt, in(reg) idt, in(reg) task, in(reg) 0u64, options(nostack, preserves_flags)
        )
    }

    /// Loads a null selector into DS, ES, FS and GS. Changes the bases of FS and of the user's GS (the
    /// inactive one).
    ///
    /// # Safety
    /// These bases must be written before somebody relies on them.
    pub(crate) unsafe fn null_segments() {
        asm!(
            "mov ds, {0:e}", "mov es, {0:e}", "mov fs, {0:e}", "swapgs", "mov gs, {0:e}", "swapgs",
            in(reg) 0, options(nostack, preserves_flags)
        )
    }

    /// Saves FP and SIMD registers.
    ///
    /// # Safety
    /// `area` must be 512 writable bytes at a multiple of 16; CR0.TS clear.
    pub(crate) unsafe fn fxsave(area: *mut u8) {
        asm!("fxsave64 [{}]", in(reg) area, options(nostack, preserves_flags))
    }

    /// Restores FP and SIMD registers. AMD processors restore the x87 pointers (FIP, FDP, FOP) only
    /// when an exception is pending (APM Vol. 2, §11.4.4), so those of the vCPU before are
    /// overwritten first: without exceptions and with an empty stack, by a load of the area's own
    /// first word.
    ///
    /// # Safety
    /// `area` must be what [`fxsave`] wrote, or [`crate::context::FP_CLEAN`]; CR0.TS clear.
    pub(crate) unsafe fn fxrstor(area: *const u8) {
        asm!(
            "fnclex", "emms", "fild dword ptr [{0}]", "fxrstor64 [{0}]",
            in(reg) area, options(nostack, preserves_flags)
        )
    }

    /// Reads the bases of FS and of the user's GS (the inactive one).
    ///
    /// # Safety
    /// CR4.FSGSBASE must be set.
    pub(crate) unsafe fn read_bases() -> (u64, u64) {
        let (fs, gs);
        asm!(
            "rdfsbase {}", "swapgs", "rdgsbase {}", "swapgs",
            out(reg) fs, out(reg) gs, options(nomem, nostack, preserves_flags)
        );
        (fs, gs)
    }

    /// Writes the bases of FS and of the user's GS (the inactive one).
    ///
    /// # Safety
    /// CR4.FSGSBASE must be set, both bases canonical.
    pub(crate) unsafe fn write_bases(fs: u64, gs: u64) {
        asm!(
            "wrfsbase {}", "swapgs", "wrgsbase {}", "swapgs",
            in(reg) fs, in(reg) gs, options(nomem, nostack, preserves_flags)
        )
    }

    /// Copies bytes upwards, in steps of 8, then of 1.
    ///
    /// # Safety
    /// Both ranges must be mapped, `to` writable; nobody in Rust may hold a reference to them.
    /// Ranges of partitions may change meanwhile.
    pub(crate) unsafe fn copy(to: *mut u8, from: *const u8, bytes: usize) {
        asm!(
            "rep movsq", "mov ecx, {:e}", "rep movsb", in(reg) bytes & 7,
            inout("rcx") bytes / 8 => _, inout("rsi") from => _, inout("rdi") to => _,
            options(nostack, preserves_flags)
        )
    }

    /// Fills words with zeros.
    ///
    /// # Safety
    /// `to` must be writable; nobody in Rust may hold a reference to it.
    pub(crate) unsafe fn zero(to: *mut u64, words: usize) {
        asm!(
            "rep stosq", in("rax") 0u64, inout("rcx") words => _, inout("rdi") to => _,
            options(nostack, preserves_flags)
        )
    }

    /// Completes all loads and stores before those that follow, and before a WRMSR.
    ///
    /// # Safety
    /// A barrier changes nothing.
    pub(crate) unsafe fn mfence() {
        asm!("mfence", options(nostack, preserves_flags))
    }

    /// Reads the time-stamp counter, as partitions may, too.
    ///
    /// # Safety
    /// It only reads.
    pub(crate) unsafe fn rdtsc() -> u64 {
        _rdtsc()
    }

    /// Asks the processor what it is: EAX, EBX, ECX, EDX.
    ///
    /// # Safety
    /// It only reads.
    pub(crate) unsafe fn cpuid(leaf: u32) -> [u32; 4] {
        let answer = __cpuid_count(leaf, 0);
        [answer.eax, answer.ebx, answer.ecx, answer.edx]
    }

    /// Stops this core until an interrupt, which are masked, or an NMI.
    ///
    /// # Safety
    /// Nothing may depend on this core's going on.
    unsafe fn halt() {
        asm!("cli", "hlt", options(nomem, nostack))
    }

    /// Leaves the kernel for the first time: for the registers in `context`, or to wait.
    ///
    /// # Safety
    /// GS must be this core's block, and `context` that of its current vCPU, or 0.
    pub(crate) unsafe fn leave(context: u64) {
        asm!("jmp parzelle_leave", in("rax") context, options(noreturn))
    }
}

/// Reads the time-stamp counter.
#[inline]
pub(crate) fn read_tsc() -> u64 {
    // SAFETY: it only reads.
    unsafe { rdtsc() }
}

/// Stops this core for ever.
pub(crate) fn stop() -> ! {
    loop {
        // SAFETY: nothing follows.
        unsafe { halt() };
    }
}
