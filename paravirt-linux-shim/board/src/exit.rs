// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Why a guest left: `ESR_EL2` as a type.
//!
//! Fields after the Arm ARM (DDI 0487), D24.2.40 "ESR_EL2". The kernel hands the register on as it
//! is, so that the trusted part needs no decoder; a wrong decoding here can only mislead this
//! guest's own board.

pub mod instruction;
pub mod walk;

use core::fmt;

use instruction::Transfer;

/// What the kernel reports about a synchronous exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syndrome {
    /// `ESR_EL2`.
    pub esr: u64,
    /// The intermediate physical address that faulted, see [`fault_ipa`]. Only looked at for aborts
    /// that have one.
    pub ipa: u64,
    /// The instruction that faulted, if the caller could read it. Needed for the accesses that the
    /// processor does not describe in the syndrome (`ISV = 0`: pairs, writeback).
    pub instruction: Option<u32>,
}

/// Puts the faulting guest physical address together from `HPFAR_EL2` (the page) and `FAR_EL2` (the
/// offset in it).
#[must_use]
pub const fn fault_ipa(hpfar: u64, far: u64) -> u64 {
    ((hpfar & 0x0fff_ffff_fff0) << 8) | (far & 0xfff)
}

/// Why the guest left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It touched memory that isn't there: a device of the virtual board, or nothing.
    Mmio(Mmio),
    /// `hvc #imm`. The program counter is already behind it.
    Hvc {
        /// The number in the instruction; calls by the SMC calling convention use 0.
        imm: u16,
    },
    /// `smc #imm`, trapped. The program counter is still on it.
    Smc {
        /// The number in the instruction.
        imm: u16,
    },
    /// `wfi`: nothing to do until an interrupt.
    Wfi,
    /// `wfe` (or a variant with timeout): spinning on somebody else; resuming is always right.
    Wfe,
    /// An access to a system register that the kernel traps.
    SysReg(SysRegAccess),
    /// The guest's virtual timer fired while it ran.
    VirtualTimer {
        /// The kernel left the physical interrupt active, to be ended by the guest through a list
        /// register with `hw`.
        linked: bool,
    },
    /// Nothing that the guest did: an event for the shim, a maintenance interrupt, the end of a
    /// window.
    Interrupted,
    /// Something that the board has no answer for.
    Fault(Fault),
}

/// A load or store that the shim has to perform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mmio {
    /// The guest physical address of the first (or only) element.
    pub ipa: u64,
    /// What to move.
    pub transfer: Transfer,
}

/// A system register by its encoding: `op0, op1, CRn, CRm, op2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SysReg(pub u8, pub u8, pub u8, pub u8, pub u8);

impl fmt::Display for SysReg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{}_{}_C{}_C{}_{}", self.0, self.1, self.2, self.3, self.4)
    }
}

/// A trapped `mrs`, `msr` or system instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SysRegAccess {
    /// Which register.
    pub register: SysReg,
    /// The general-purpose register that takes or gives the value; 31 is zero.
    pub rt: u8,
    /// `msr` (true) or `mrs`.
    pub write: bool,
}

/// An exit that the board has no answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happened.
    pub kind: FaultKind,
    /// `ESR_EL2`, for those who want to look closer.
    pub esr: u64,
    /// The guest physical address, if there is one.
    pub ipa: Option<u64>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It jumped to where there is no memory.
    InstructionAbort,
    /// Its page tables lie where there is no memory.
    TableWalk,
    /// The address is outside what the processor can address.
    AddressSize,
    /// A load or store that the syndrome doesn't describe, and the instruction was not given.
    UndescribedAccess,
    /// A load or store whose instruction the shim can't perform on a device.
    UnsupportedInstruction(u32),
    /// A cache maintenance or exclusive access, or an external abort: the data fault status code.
    DataAbort(u8),
    /// An exception class that should not leave the guest.
    Class(u8),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FaultKind::InstructionAbort => {
                write!(f, "instruction fetch from where there is no memory")
            }
            FaultKind::TableWalk => write!(f, "page table where there is no memory"),
            FaultKind::AddressSize => write!(f, "address beyond the address space"),
            FaultKind::UndescribedAccess => {
                write!(f, "load or store to a device that the processor does not describe (pair or writeback)")
            }
            FaultKind::UnsupportedInstruction(word) => {
                write!(
                    f,
                    "instruction {word:#010x} on a device: only ldr, str, ldp and stp of general registers work there"
                )
            }
            FaultKind::DataAbort(code) => write!(f, "data abort with status {code:#x}"),
            FaultKind::Class(class) => write!(f, "exception of class {class:#x}"),
        }?;
        if let Some(ipa) = self.ipa {
            write!(f, ", guest physical address {ipa:#x}")?;
        }
        write!(f, " (ESR {:#x})", self.esr)
    }
}

/// Cuts `width` bits out of `value`, from bit `low` on.
const fn field(value: u64, low: u32, width: u32) -> u8 {
    ((value >> low) & ((1 << width) - 1)) as u8
}

impl Exit {
    /// Decodes a synchronous exit. Never fails: what it doesn't know is a [`Fault`].
    #[must_use]
    pub fn decode(syndrome: &Syndrome) -> Self {
        let esr = syndrome.esr;
        let imm = esr as u16;
        match field(esr, 26, 6) {
            0x01 if esr & 0b11 == 0 => Self::Wfi,
            0x01 => Self::Wfe,
            0x16 => Self::Hvc { imm },
            0x17 => Self::Smc { imm },
            0x18 => Self::SysReg(SysRegAccess {
                register: SysReg(
                    field(esr, 20, 2),
                    field(esr, 14, 3),
                    field(esr, 10, 4),
                    field(esr, 1, 4),
                    field(esr, 17, 3),
                ),
                rt: field(esr, 5, 5),
                write: esr & 1 == 0,
            }),
            0x20 => fault(syndrome, FaultKind::InstructionAbort),
            0x24 => data_abort(syndrome),
            class => Self::Fault(Fault { kind: FaultKind::Class(class), esr, ipa: None }),
        }
    }
}

fn fault(syndrome: &Syndrome, kind: FaultKind) -> Exit {
    Exit::Fault(Fault { kind, esr: syndrome.esr, ipa: Some(syndrome.ipa) })
}

/// Decodes a data abort (EC 0x24). The status decides first: with some of them the address is
/// stale.
fn data_abort(syndrome: &Syndrome) -> Exit {
    let esr = syndrome.esr;
    let bit = |n: u32| esr >> n & 1 == 1;
    match field(esr, 0, 6) {
        // Translation, access flag and permission faults have an address.
        0x04..=0x0f => {}
        0x00..=0x03 => {
            return Exit::Fault(Fault { kind: FaultKind::AddressSize, esr, ipa: None });
        }
        code => {
            return Exit::Fault(Fault { kind: FaultKind::DataAbort(code), esr, ipa: None });
        }
    }
    if bit(7) {
        return fault(syndrome, FaultKind::TableWalk);
    }
    if bit(8) {
        // Cache maintenance by address: nothing is cached where nothing is.
        return Exit::Mmio(Mmio { ipa: syndrome.ipa, transfer: Transfer::NONE });
    }
    if bit(24) {
        return Exit::Mmio(Mmio {
            ipa: syndrome.ipa,
            transfer: Transfer {
                width: 1 << field(esr, 22, 2),
                registers: [field(esr, 16, 5), 31],
                elements: 1,
                write: bit(6),
                sign_extend: bit(21),
                sixty_four: bit(15),
                writeback: None,
            },
        });
    }
    match syndrome.instruction {
        None => fault(syndrome, FaultKind::UndescribedAccess),
        Some(word) => match instruction::decode(word) {
            Some(transfer) => Exit::Mmio(Mmio { ipa: syndrome.ipa, transfer }),
            None => fault(syndrome, FaultKind::UnsupportedInstruction(word)),
        },
    }
}
