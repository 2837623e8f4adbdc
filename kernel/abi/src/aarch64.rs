// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Register frames on aarch64.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The general registers of a context, as saved in a vCPU page.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Frame {
    /// x0–x30.
    pub x: [u64; 31],
    /// The stack pointer (SP_EL0).
    pub sp: u64,
    /// The program counter (ELR_EL2).
    pub pc: u64,
    /// The processor state (SPSR_EL2); the kernel takes only NZCV, DAIF, PAN, UAO, DIT, SSBS and
    /// BTYPE from it, and forces the mode.
    pub pstate: u64,
    /// TPIDR_EL0.
    pub tls: u64,
}

/// How many list registers a guest can be given at once; the board may have fewer.
pub const LIST_REGISTERS: usize = 4;

/// A virtual interrupt for the guest: what the shim asks for, what the kernel reports back.
/// The kernel composes the list register (Arm GIC architecture, ICH_LR<n>_EL2; GICH_LR<n>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VirtualInterrupt {
    /// INTID, 0–1019.
    pub intid: u32,
    /// Priority, 0 the most urgent.
    pub priority: u8,
    /// Bit 0 pending, bit 1 active; 0 = the entry is free.
    pub state: u8,
    /// Bit 0: exit with [`GuestExit::Maintenance`] when the guest ends it.
    pub flags: u8,
    /// Keeps the size.
    pub reserved: u8,
}

/// The guest context as the shim sees it, in the vCPU page.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Guest {
    /// x0–x30, SP_EL0, PC, PSTATE; `tls` is TPIDR_EL0.
    pub frame: Frame,
    /// A [`GuestExit`].
    pub exit: u64,
    /// ESR_EL2 of the exit.
    pub syndrome: u64,
    /// FAR_EL2: the virtual address in the guest.
    pub address: u64,
    /// The intermediate physical address of an abort (page from HPFAR_EL2, offset from FAR_EL2).
    pub ipa: u64,
    /// The virtual interrupts: read at entry, written back at exit.
    pub interrupts: [VirtualInterrupt; LIST_REGISTERS],
    /// CNTV_CTL_EL0 at the exit.
    pub timer_control: u64,
    /// CNTV_CVAL_EL0 at the exit, in ticks of the counter.
    pub timer_compare: u64,
    /// 1: at the next entry the kernel loads the EL1 state of a reset processor (MMU off) and
    /// clears this. Set at boot and by the shim for CPU_ON.
    pub reset: u64,
    /// TCR_EL1, TTBR0_EL1, TTBR1_EL1 at the latest exit with [`GuestExit::Sync`] that was no access
    /// described by `syndrome`, for walks of the guest's tables.
    pub translation: [u64; 3],
    /// VMPIDR_EL2 for this vCPU; read at entry when `reset` is 1.
    pub mpidr: u64,
    /// Bit 0: exit on WFI. Bit 1: the shim has given the guest the interrupt of its timer, so the
    /// kernel sets CNTV_CTL.IMASK, as before [`GuestExit::Timer`], and clears the bit. Read at entry.
    pub traps: u64,
    /// MDSCR_EL1, of which the kernel takes SS, KDE and MDE. Read whenever the guest goes on: all its
    /// accesses to debug registers exit, so only the shim changes them.
    pub debug_control: u64,
    /// DBGBVR, DBGBCR, DBGWVR and DBGWCR<n>_EL1, of which the kernel takes as many as the processor
    /// has, if `debug_control` has MDE.
    pub debug: [[u64; 4]; 16],
}

crate::call::numbered! {
    /// Why the guest context was left.
    GuestExit:
    /// A synchronous exception that belongs to the shim: see `syndrome`.
    0 Sync "sync",
    /// The virtual timer (CNTV) expired; the kernel has set CNTV_CTL.IMASK.
    1 Timer "timer",
    /// An event of interest is pending for the shim.
    2 Event "event",
    /// The guest ended an interrupt that was marked so, or a list register became free.
    3 Maintenance "maintenance",
}
