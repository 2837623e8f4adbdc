// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From a hypercall's registers to what the guest asks for.
//!
//! ```text
//!   rax, rdi rsi rdx r10 r8 r9 ─▶ Call ─▶ decode ─▶ Ok(Request)   fixed structures copied in, once
//!                                              └──▶ Err(Refusal)  the result; unknown calls by number
//! ```
//!
//! Arrays stay in guest memory and are read entry by entry ([`Batch`]): they may be long, and a
//! call may be left in the middle and entered again ([`Batch::rest`]). What goes back to the guest
//! has an [`Out`] in the request.

mod batch;
mod operations;
mod parts;
mod request;

#[cfg(test)]
mod tests;

pub use batch::{Batch, Entry, MulticallBatch};
pub use parts::{Flush, Out, Where};
pub use request::{EventRequest, MemoryRequest, PhysdevRequest, Request, SchedRequest, VcpuRequest};

use crate::abi::misc::{Assist, ConsoleCommand, GrantCommand};
use crate::abi::trap::{GDT_ENTRIES_MAX, SegmentBase};
use crate::abi::version::VersionCommand;
use crate::abi::{DOMID_SELF, Errno, Hypercall};
use crate::memory::Arguments;

/// A hypercall as it arrives, by registers or as an entry of a multicall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub number: u64,
    /// With what.
    pub arguments: [u64; 6],
}

/// A call that is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the guest is told.
    pub errno: Errno,
    /// The number of a call that does not exist here, and its first argument (most often its
    /// operation): worth a trace event.
    pub unknown: Option<(u64, u64)>,
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno, unknown: None }
    }
}

impl Call {
    /// The refusal of a call, or an operation of it, that does not exist here.
    #[must_use]
    pub const fn unknown(&self) -> Refusal {
        Refusal { errno: Errno::NoSystem, unknown: Some((self.number, self.arguments[0])) }
    }

    /// Tells what is asked for.
    ///
    /// # Errors
    /// [`Errno::NoSystem`] with [`Refusal::unknown`]; [`Errno::Fault`]: arguments where the guest
    /// has no memory; others where arguments make no sense.
    pub fn decode(&self, memory: &impl Arguments) -> Result<Request, Refusal> {
        let [a, b, c, d, ..] = self.arguments;
        let call = Hypercall::from_number(self.number).ok_or_else(|| self.unknown())?;
        Ok(match call {
            Hypercall::SetTrapTable => Request::SetTrapTable { table: a },
            Hypercall::MmuUpdate => Request::MmuUpdate(self.own_batch(d)?),
            Hypercall::MmuextOp => Request::MmuextOp(self.own_batch(d)?),
            Hypercall::SetGdt if b > GDT_ENTRIES_MAX => return Err(Errno::Invalid.into()),
            Hypercall::SetGdt => Request::SetGdt { frames: a, entries: b as u16 },
            Hypercall::StackSwitch => Request::StackSwitch { ss: a as u16, rsp: b },
            Hypercall::SetCallbacks => Request::SetCallbacks { event: a, failsafe: b, syscall: c },
            Hypercall::FpuTaskSwitch => Request::FpuTaskSwitch { set: a != 0 },
            Hypercall::SetDebugReg => Request::SetDebugReg { register: register(a)?, value: b },
            Hypercall::GetDebugReg => Request::GetDebugReg { register: register(a)? },
            Hypercall::UpdateDescriptor => Request::UpdateDescriptor { at: a, descriptor: b },
            Hypercall::MemoryOp => Request::Memory(self.memory_op(memory)?),
            Hypercall::Multicall => {
                Request::Multicall(MulticallBatch::new(a, u32::try_from(b).map_err(|_| Errno::Invalid)?))
            }
            Hypercall::UpdateVaMapping => {
                Request::UpdateVaMapping { address: a, entry: b, flush: Flush::from_flags(c).ok_or(Errno::Invalid)? }
            }
            Hypercall::SetTimerOp => Request::SetTimer { timeout: a },
            Hypercall::EventChannelOp => Request::Event(self.event_channel_op(memory)?),
            Hypercall::XenVersion => {
                Request::Version { command: VersionCommand::from_number(a).ok_or_else(|| self.unknown())?, argument: b }
            }
            Hypercall::ConsoleIo => {
                let command = ConsoleCommand::from_number(a).ok_or_else(|| self.unknown())?;
                Request::Console { command, count: b, buffer: c }
            }
            Hypercall::GrantTableOp => {
                let command = GrantCommand::from_number(a).ok_or_else(|| self.unknown())?;
                Request::Grant { command, argument: b, count: c as u32 }
            }
            Hypercall::VmAssist => {
                let assist = Assist::from_number(b).ok_or_else(|| self.unknown())?;
                match a {
                    0 => Request::VmAssist { enable: true, assist },
                    1 => Request::VmAssist { enable: false, assist },
                    _ => return Err(self.unknown()),
                }
            }
            Hypercall::Iret => Request::Iret,
            Hypercall::VcpuOp => {
                Request::Vcpu { vcpu: u32::try_from(b).unwrap_or(u32::MAX), request: self.vcpu_op(memory)? }
            }
            Hypercall::SetSegmentBase => {
                let which = SegmentBase::from_number(a).ok_or(Errno::Invalid)?;
                Request::SetSegmentBase { which, value: b }
            }
            Hypercall::SchedOp => Request::Sched(self.sched_op(memory)?),
            Hypercall::CallbackOp => self.callback_op(memory)?,
            Hypercall::PhysdevOp => Request::Physdev(self.physdev_op(memory)?),
            Hypercall::HvmOp => self.hvm_op(memory)?,
            Hypercall::SchedOpOld
            | Hypercall::PlatformOp
            | Hypercall::EventChannelOpOld
            | Hypercall::PhysdevOpOld
            | Hypercall::UpdateVaMappingOther
            | Hypercall::XsmOp
            | Hypercall::NmiOp
            | Hypercall::Sysctl
            | Hypercall::Domctl
            | Hypercall::XenpmuOp => return Err(self.unknown()),
        })
    }

    /// As [`Self::decode`], for an entry of a multicall: no multicall in it, and no return.
    ///
    /// # Errors
    /// The same.
    pub fn decode_entry(&self, memory: &impl Arguments) -> Result<Request, Refusal> {
        match Hypercall::from_number(self.number) {
            Some(Hypercall::Multicall | Hypercall::Iret) => Err(self.unknown()),
            _ => self.decode(memory),
        }
    }

    /// The batch of `mmu_update` and `mmuext_op`: array, count, where to write how many were done,
    /// and whose page tables: only the caller's own.
    fn own_batch<T>(&self, domain: u64) -> Result<Batch<T>, Errno> {
        if domain as u16 != DOMID_SELF {
            return Err(Errno::Perm);
        }
        let [address, count, done, ..] = self.arguments;
        Ok(Batch::new(address, count as u32, done))
    }
}

/// A debug register: 0 to 3, 6, 7.
fn register(number: u64) -> Result<u8, Errno> {
    match number {
        0..=3 | 6 | 7 => Ok(number as u8),
        _ => Err(Errno::Invalid),
    }
}
