// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The shim's own words in the vCPU page ([`Guest::own`]), for the assembly: what the short ways
//! need without looking anything else up.

use core::mem::offset_of;

use parzelle_abi::x86_64::Guest;

/// Where `save` begins to push: the end of [`crate::vcpu::Vcpu::general`].
pub const SAVE: usize = 0;
/// The block by which `leave` goes.
pub const EXIT: usize = 1;
/// What handles system calls: `bounce`, or `bounce_slow`.
pub const CALL: usize = 2;
/// The stack of the guest's kernel for entries from user mode, aligned to 16.
pub const KERNEL_SP: usize = 3;
/// The guest's entry for system calls.
pub const SYSCALL: usize = 4;
/// The vCPU's `vcpu_info`.
pub const INFO: usize = 5;
/// The base of GS in the guest's kernel, while that does not run.
pub const GS_KERNEL: usize = 6;
/// The base of GS in the guest's user programs, while they do not run.
pub const GS_USER: usize = 7;

/// What handles exceptions of user programs: `trap_short`, or `trap_slow`.
pub const TRAP: usize = 8;
/// The guest's entry for page faults.
pub const FAULT: usize = 9;
/// Where the shim finds the root of the guest's user programs.
pub const ROOT: usize = 10;
/// Where the shim finds the guest's memory.
pub const RAM: usize = 11;
/// How much of it there is.
pub const RAM_BYTES: usize = 12;
/// While `fault` writes to the guest's stack: the error code, and bit 63.
pub const KEPT: usize = 13;

/// Where the words begin in [`Guest`].
pub const OWN: usize = offset_of!(Guest, own);
/// How far the stack pointer is moved aside in the way back from `iret`, so that a fault there is
/// told from one in an exit: the only bits that differ, as `Guest` is aligned to 1 KiB.
pub const ASIDE: usize = 0x60;

/// Why the shim was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Cause {
    /// A system call of a user program.
    GuestCall = 0,
    /// An exception of a user program.
    GuestTrap = 1,
    /// An event while a user program ran.
    GuestEvent = 2,
    /// An event came on the way to a user program.
    GuestPending = 3,
    /// A hypercall, or what the guest's kernel thinks is one.
    HostCall = 4,
    /// An exception of the guest's kernel.
    HostTrap = 5,
    /// An event while the guest's kernel ran.
    HostEvent = 6,
    /// An event came on the way to the guest's kernel.
    HostPending = 7,
    /// The guest's kernel has returned to a user program, but an upcall waits for it.
    Returned = 8,
    /// The processor refuses to go where the guest's kernel is to go on.
    ExitFault = 9,
}

impl Cause {
    /// All of them, by number.
    pub const ALL: [Self; 10] = [
        Self::GuestCall,
        Self::GuestTrap,
        Self::GuestEvent,
        Self::GuestPending,
        Self::HostCall,
        Self::HostTrap,
        Self::HostEvent,
        Self::HostPending,
        Self::Returned,
        Self::ExitFault,
    ];

    /// Whether a user program was left, rather than the guest's kernel.
    #[must_use]
    pub const fn is_user(self) -> bool {
        matches!(self, Self::GuestCall | Self::GuestTrap | Self::GuestEvent | Self::GuestPending | Self::Returned)
    }
}

const _: () = {
    assert!(OWN == ASIDE && parzelle_abi::vcpu_page::GUEST.is_multiple_of(0x400));
    assert!(offset_of!(Guest, rip) == 0 && offset_of!(Guest, cs) == 8 && offset_of!(Guest, rflags) == 16);
    assert!(offset_of!(Guest, rsp) == 24 && offset_of!(Guest, ss) == 32);
};
