// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The instructions that a guest's kernel, in ring 3, can't execute by itself: they fault, and the
//! shim does what they would have done.
//!
//! ```text
//!   #GP, #UD   mov cr, dr; rd/wrmsr; in, out; cli, sti, hlt; lgdt and the like; xsetbv; int n; "xen" cpuid
//!   #PF        stores to page tables, which guests may only read: mov, xchg, cmpxchg, and, or, bts …
//! ```
//!
//! A decoder of its own for these forms, 64-bit mode only: complete ones take 100 KiB and more
//! (and a heap), and a store to a page table is a hot path. What is not among them is `None`: the
//! guest gets the fault. The tests compare it with a complete decoder on random bytes.
//!
//! Manual: Intel SDM volume 2, chapter 2 (format) and appendix A (opcode maps).

mod decode;
mod operand;
mod store;

#[cfg(test)]
mod tests;

pub use decode::decode;
pub use operand::{Bases, Memory, Registers, SegmentOverride, flag};
pub use store::{Source, Store, StoreKind};

/// The longest instruction.
pub const LONGEST: usize = 15;

/// A general register by its number: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 …
pub type Register = u8;

/// An instruction that was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its bytes.
    pub length: u8,
    /// What it does.
    pub operation: Operation,
}

/// Bytes that an operand has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte = 1,
    /// 16 bits.
    Word = 2,
    /// 32 bits.
    Long = 4,
    /// 64 bits.
    Quad = 8,
}

impl Width {
    /// How many bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self as u32 * 8
    }

    /// A value cut to this width.
    #[must_use]
    pub const fn cut(self, value: u64) -> u64 {
        value & u64::MAX >> (64 - self.bits())
    }
}

/// Which I/O port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// This one.
    Number(u8),
    /// The one in dx.
    Dx,
}

/// A descriptor table, or what else is told by `sidt` and its relatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemTable {
    /// `sgdt`, `lgdt`.
    Gdt,
    /// `sidt`, `lidt`.
    Idt,
}

/// A register that is told or set by `sldt` and its relatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemSelector {
    /// `sldt`, `lldt`.
    Ldt,
    /// `str`, `ltr`.
    Task,
    /// `smsw`, `lmsw`: the low half of CR0.
    MachineStatus,
}

/// Where a value of 16 bits or more goes or comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A register, in this width.
    Register(Register, Width),
    /// Memory, 16 bits.
    Memory(Memory),
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `cpuid` behind the prefix `ud2a; "xen"`: wants the hypervisor's answer.
    CpuidForced,
    /// `cpuid`, where it faults.
    Cpuid,
    /// MSR ecx → edx:eax.
    ReadMsr,
    /// edx:eax → MSR ecx.
    WriteMsr,
    /// Control register → register.
    ReadControl {
        /// Which.
        control: u8,
        /// Where to.
        register: Register,
    },
    /// Register → control register.
    WriteControl {
        /// Which.
        control: u8,
        /// From where.
        register: Register,
    },
    /// Debug register → register.
    ReadDebug {
        /// Which.
        debug: u8,
        /// Where to.
        register: Register,
    },
    /// Register → debug register.
    WriteDebug {
        /// Which.
        debug: u8,
        /// From where.
        register: Register,
    },
    /// Clears CR0.TS.
    ClearTaskSwitched,
    /// Waits for an interrupt.
    Halt,
    /// Masks interrupts.
    Cli,
    /// Unmasks interrupts.
    Sti,
    /// Port → al, ax, eax.
    In {
        /// Where from.
        port: Port,
        /// How much.
        width: Width,
    },
    /// al, ax, eax → port.
    Out {
        /// Where to.
        port: Port,
        /// How much.
        width: Width,
    },
    /// Writes back caches, or drops them: nothing to do for a guest without devices.
    FlushCaches,
    /// Flushes an address from the TLB.
    Invlpg(Memory),
    /// Sets a descriptor table.
    LoadTable(SystemTable, Memory),
    /// Tells a descriptor table (with UMIP a fault in ring 3).
    StoreTable(SystemTable, Memory),
    /// Sets a selector or CR0's low half.
    LoadSelector(SystemSelector, Place),
    /// Tells a selector or CR0's low half (with UMIP a fault in ring 3).
    StoreSelector(SystemSelector, Place),
    /// edx:eax → XCR ecx.
    SetXcr,
    /// Counter → edx:eax, where it faults.
    ReadCounter {
        /// `rdtscp`: also a number of the processor → ecx.
        processor: bool,
    },
    /// Performance counter ecx → edx:eax.
    ReadPerformanceCounter,
    /// Exchanges the bases of GS.
    SwapGs,
    /// `int n`, `int3` without its own opcode, and so on.
    Interrupt(u8),
    /// A hypercall, or a system call of a guest whose processor faults it.
    Syscall,
    /// Writes memory.
    Store(Store),
}
