// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The numbers of hypercalls (`xen.h`).

/// Registers of a call from 64-bit code, in the order of its arguments: rdi, rsi, rdx, r10, r8, r9.
/// The number is in rax, and so is the result; rcx and r11 are lost.
pub const ARGUMENTS: usize = 6;
/// Bytes of an entry of the hypercall page: call number n is entered at 32 n.
pub const PAGE_STRIDE: u64 = 32;

super::numbers! {
    /// The calls that exist; those not served are refused by number.
    Hypercall {
        /// Where traps go.
        SetTrapTable = 0,
        /// Writes entries of page tables, in batches.
        MmuUpdate = 1,
        /// The frames of the GDT.
        SetGdt = 2,
        /// The stack for entries from user mode.
        StackSwitch = 3,
        /// An old form of [`Self::CallbackOp`].
        SetCallbacks = 4,
        /// CR0.TS.
        FpuTaskSwitch = 5,
        /// An old form of [`Self::SchedOp`].
        SchedOpOld = 6,
        /// The platform; for privileged domains.
        PlatformOp = 7,
        /// Writes a debug register.
        SetDebugReg = 8,
        /// Reads a debug register.
        GetDebugReg = 9,
        /// Writes an entry of a GDT or LDT.
        UpdateDescriptor = 10,
        /// Memory of the domain.
        MemoryOp = 12,
        /// Several calls in one.
        Multicall = 13,
        /// Writes the page table entry of an address.
        UpdateVaMapping = 14,
        /// A one-shot timer.
        SetTimerOp = 15,
        /// An old form of [`Self::EventChannelOp`].
        EventChannelOpOld = 16,
        /// Versions and features; also the way to have pending events delivered.
        XenVersion = 17,
        /// The hypervisor's own console.
        ConsoleIo = 18,
        /// An old form of [`Self::PhysdevOp`].
        PhysdevOpOld = 19,
        /// Grants.
        GrantTableOp = 20,
        /// Ways in which the hypervisor helps along.
        VmAssist = 21,
        /// [`Self::UpdateVaMapping`] for another domain's frame.
        UpdateVaMappingOther = 22,
        /// Returns from a trap.
        Iret = 23,
        /// vCPUs.
        VcpuOp = 24,
        /// Bases of FS and GS.
        SetSegmentBase = 25,
        /// Page tables as a whole: pin, unpin, roots, flushes.
        MmuextOp = 26,
        /// Security modules.
        XsmOp = 27,
        /// NMI callbacks.
        NmiOp = 28,
        /// Waiting, yielding, shutting down.
        SchedOp = 29,
        /// Entry points for events, system calls and failed returns.
        CallbackOp = 30,
        /// Event channels.
        EventChannelOp = 32,
        /// Devices, I/O privilege.
        PhysdevOp = 33,
        /// Parameters of hardware-virtualised domains.
        HvmOp = 34,
        /// The system; for tool stacks.
        Sysctl = 35,
        /// Domains; for tool stacks.
        Domctl = 36,
        /// Performance counters.
        XenpmuOp = 40,
    }
}
