// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Bits of the processor's registers, by name. Numbers from the Intel SDM, Vol. 3A §2.5 (control
//! registers), Vol. 4 (MSRs) and Vol. 1 §3.4.3 (flags); the tests repeat the manual's tables.

/// CR0.
pub mod cr0 {
    /// Protection.
    pub const PE: u64 = 1 << 0;
    /// `wait` obeys TS, too.
    pub const MP: u64 = 1 << 1;
    /// FP and SIMD instructions raise #NM: what a vCPU without the FP flag finds.
    pub const TS: u64 = 1 << 3;
    /// Always one.
    pub const ET: u64 = 1 << 4;
    /// FP errors raise #MF.
    pub const NE: u64 = 1 << 5;
    /// Read-only pages are so for the kernel, too.
    pub const WP: u64 = 1 << 16;
    /// Paging.
    pub const PG: u64 = 1 << 31;
    /// What the kernel runs with; TS depends on the vCPU.
    pub const KERNEL: u64 = PE | MP | ET | NE | WP | PG;
}

/// CR4.
pub mod cr4 {
    /// Page tables of long mode.
    pub const PAE: u64 = 1 << 5;
    /// Machine checks raise #MC instead of a shutdown.
    pub const MCE: u64 = 1 << 6;
    /// FXSAVE saves SSE registers, too.
    pub const OSFXSR: u64 = 1 << 9;
    /// SIMD errors raise #XM.
    pub const OSXMMEXCPT: u64 = 1 << 10;
    /// `sgdt` and its like fault in user mode: they tell kernel addresses.
    pub const UMIP: u64 = 1 << 11;
    /// User mode reads and writes the bases of FS and GS.
    pub const FSGSBASE: u64 = 1 << 16;
    /// The kernel can't execute user pages.
    pub const SMEP: u64 = 1 << 20;
    /// What every processor that we run on has.
    pub const KERNEL: u64 = PAE | OSFXSR | OSXMMEXCPT;
}

/// Model-specific registers.
pub mod msr {
    /// IA32_APIC_BASE.
    pub const APIC_BASE: u32 = 0x1b;
    /// IA32_PRED_CMD: 1 forgets what indirect branches were predicted from.
    pub const PREDICTION_COMMAND: u32 = 0x49;
    /// IA32_FLUSH_CMD: 1 writes back and forgets the first-level data cache.
    pub const FLUSH_COMMAND: u32 = 0x10b;
    /// IA32_SYSENTER_CS.
    pub const SYSENTER_CS: u32 = 0x174;
    /// IA32_TSC_DEADLINE.
    pub const TSC_DEADLINE: u32 = 0x6e0;
    /// IA32_EFER.
    pub const EFER: u32 = 0xc000_0080;
    /// IA32_STAR: selectors of `syscall` and `sysret`.
    pub const STAR: u32 = 0xc000_0081;
    /// IA32_LSTAR: where `syscall` leads.
    pub const LSTAR: u32 = 0xc000_0082;
    /// IA32_CSTAR: where a 32-bit `syscall` leads (AMD).
    pub const CSTAR: u32 = 0xc000_0083;
    /// IA32_FMASK: flags that `syscall` clears.
    pub const FMASK: u32 = 0xc000_0084;
    /// IA32_FS_BASE.
    pub const FS_BASE: u32 = 0xc000_0100;
    /// IA32_GS_BASE.
    pub const GS_BASE: u32 = 0xc000_0101;
    /// IA32_KERNEL_GS_BASE: what `swapgs` swaps in.
    pub const KERNEL_GS_BASE: u32 = 0xc000_0102;
}

/// IA32_EFER.
pub mod efer {
    /// `syscall`.
    pub const SCE: u64 = 1 << 0;
    /// Long mode, when paging is on.
    pub const LME: u64 = 1 << 8;
    /// Long mode is on.
    pub const LMA: u64 = 1 << 10;
    /// The execute-disable bit of page tables.
    pub const NXE: u64 = 1 << 11;
}

/// IA32_APIC_BASE.
pub mod apic_base {
    /// The local APIC is on.
    pub const ENABLE: u64 = 1 << 11;
}

/// RFLAGS.
pub mod flags {
    /// Always one.
    pub const FIXED: u64 = 1 << 1;
    /// Trap after each instruction.
    pub const TF: u64 = 1 << 8;
    /// Interrupts.
    pub const IF: u64 = 1 << 9;
    /// Direction.
    pub const DF: u64 = 1 << 10;
    /// I/O privilege: 0, or user mode could use all ports and `cli`.
    pub const IOPL: u64 = 3 << 12;
    /// Nested task: `iret` would fault.
    pub const NT: u64 = 1 << 14;
    /// Alignment check.
    pub const AC: u64 = 1 << 18;
    /// CF, PF, AF, ZF, SF, OF.
    pub const ARITHMETIC: u64 = 0x8d5;
    /// What a partition decides itself.
    pub const USER: u64 = ARITHMETIC | DF | AC;
    /// The next instruction does not trap.
    pub const RF: u64 = 1 << 16;
    /// What `syscall` clears.
    pub const SYSCALL_MASK: u64 = TF | IF | DF | IOPL | NT | AC;
}

/// Makes flags out of what a partition asks for.
pub const fn sanitised(asked: u64) -> u64 {
    (asked & flags::USER) | flags::FIXED | flags::IF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_manual() {
        // SDM Vol. 3A, figure 2-7.
        assert_eq!(cr0::KERNEL, 0x8001_0033);
        assert_eq!(cr0::TS, 8);
        assert_eq!(cr4::KERNEL, 0x620);
        assert_eq!(cr4::UMIP | cr4::FSGSBASE | cr4::SMEP, 0x11_0800);
        assert_eq!(cr4::MCE, 0x40);
        // SDM Vol. 3A, §2.2.1.
        assert_eq!(efer::SCE | efer::LME | efer::LMA | efer::NXE, 0xd01);
        // SDM Vol. 1, figure 3-8.
        assert_eq!(flags::SYSCALL_MASK, 0x4_7700);
        assert_eq!(flags::USER, 0x4_0cd5);
    }

    #[test]
    fn a_partition_gets_no_privilege_by_flags() {
        for asked in [0, u64::MAX, flags::IOPL | flags::TF | flags::NT] {
            let flags = sanitised(asked);
            assert_eq!(flags & (flags::IOPL | flags::TF | flags::NT), 0);
            assert_ne!(flags & flags::IF, 0);
            assert_ne!(flags & flags::FIXED, 0);
            assert_eq!(flags & !(flags::USER | flags::FIXED | flags::IF), 0);
        }
    }
}
