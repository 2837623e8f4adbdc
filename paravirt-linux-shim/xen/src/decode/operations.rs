// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Calls with operations: number in the first argument (or the second), a structure behind the next.

use core::mem::offset_of;

use super::parts::Out;
use super::request::{EventRequest, MemoryRequest, PhysdevRequest, Request, SchedRequest, VcpuRequest};
use super::{Call, Refusal};
use crate::abi::event::{self, EventCommand};
use crate::abi::hvm::{HvmCommand, HvmParameter, Parameter};
use crate::abi::memory::{self as mem, MemoryCommand};
use crate::abi::misc::{PhysdevCommand, SetIoBitmap, SetIopl};
use crate::abi::sched::{POLL_PORTS_MAX, Poll, SchedCommand};
use crate::abi::trap::{CALLBACK_MASKS_EVENTS, Callback, CallbackRegister};
use crate::abi::vcpu::{self, VcpuCommand};
use crate::abi::{DOMID_SELF, Errno};
use crate::memory::Arguments;

/// The first operation of `callback_op`.
const CALLBACK_REGISTER: u64 = 0;
/// The second.
const CALLBACK_UNREGISTER: u64 = 1;

impl Call {
    pub(super) fn event_channel_op(&self, memory: &impl Arguments) -> Result<EventRequest, Refusal> {
        let [command, at, ..] = self.arguments;
        let port = || memory.get::<u32>(at);
        Ok(match EventCommand::from_number(command).ok_or_else(|| self.unknown())? {
            EventCommand::AllocUnbound => {
                let wanted: event::AllocUnbound = memory.get(at)?;
                own(wanted.dom)?;
                EventRequest::AllocUnbound {
                    remote: wanted.remote_dom,
                    port: out(at, offset_of!(event::AllocUnbound, port)),
                }
            }
            EventCommand::BindVirq => {
                let event::BindVirq { virq, vcpu, .. } = memory.get(at)?;
                EventRequest::BindVirq { virq, vcpu, port: out(at, offset_of!(event::BindVirq, port)) }
            }
            EventCommand::BindIpi => {
                let event::BindIpi { vcpu, .. } = memory.get(at)?;
                EventRequest::BindIpi { vcpu, port: out(at, offset_of!(event::BindIpi, port)) }
            }
            EventCommand::BindVcpu => {
                let event::BindVcpu { port, vcpu } = memory.get(at)?;
                EventRequest::BindVcpu { port, vcpu }
            }
            EventCommand::Close => EventRequest::Close(port()?),
            EventCommand::Send => EventRequest::Send(port()?),
            EventCommand::Unmask => EventRequest::Unmask(port()?),
            EventCommand::Status => {
                let wanted: event::Status = memory.get(at)?;
                own(wanted.dom)?;
                EventRequest::Status { port: wanted.port, status: Out::new(at) }
            }
            EventCommand::InitControl => {
                let event::InitControl { control_gfn: frame, offset, vcpu, .. } = memory.get(at)?;
                let link_bits = out(at, offset_of!(event::InitControl, link_bits));
                EventRequest::InitControl { frame, offset, vcpu, link_bits }
            }
            EventCommand::ExpandArray => {
                let event::ExpandArray { array_gfn: frame } = memory.get(at)?;
                EventRequest::ExpandArray { frame }
            }
            EventCommand::SetPriority => {
                let event::SetPriority { port, priority } = memory.get(at)?;
                EventRequest::SetPriority { port, priority }
            }
            EventCommand::Reset => {
                own(memory.get(at)?)?;
                EventRequest::Reset
            }
            // For those who have devices or serve others.
            EventCommand::BindInterdomain | EventCommand::BindPirq => return Err(self.unknown()),
        })
    }

    pub(super) fn vcpu_op(&self, memory: &impl Arguments) -> Result<VcpuRequest, Refusal> {
        let [command, _, at, ..] = self.arguments;
        Ok(match VcpuCommand::from_number(command).ok_or_else(|| self.unknown())? {
            VcpuCommand::Initialise => VcpuRequest::Initialise { context: at },
            VcpuCommand::Up => VcpuRequest::Up,
            VcpuCommand::Down => VcpuRequest::Down,
            VcpuCommand::IsUp => VcpuRequest::IsUp,
            VcpuCommand::GetRunstateInfo => VcpuRequest::GetRunstateInfo(Out::new(at)),
            VcpuCommand::RegisterRunstateArea => VcpuRequest::RegisterRunstateArea(memory.get(at)?),
            VcpuCommand::SetPeriodicTimer => VcpuRequest::SetPeriodicTimer(memory.get(at)?),
            VcpuCommand::StopPeriodicTimer => VcpuRequest::StopPeriodicTimer,
            VcpuCommand::SetSingleshotTimer => {
                let vcpu::SetSingleshotTimer { timeout, flags, .. } = memory.get(at)?;
                VcpuRequest::SetSingleshotTimer { timeout, flags }
            }
            VcpuCommand::StopSingleshotTimer => VcpuRequest::StopSingleshotTimer,
            VcpuCommand::RegisterVcpuInfo => {
                let vcpu::RegisterVcpuInfo { mfn: frame, offset, .. } = memory.get(at)?;
                VcpuRequest::RegisterVcpuInfo { frame, offset }
            }
            VcpuCommand::RegisterTimeArea => VcpuRequest::RegisterTimeArea(memory.get(at)?),
            VcpuCommand::SendNmi => VcpuRequest::SendNmi,
            VcpuCommand::GetPhysid => VcpuRequest::GetPhysid(Out::new(at)),
            VcpuCommand::RegisterRunstatePhysical | VcpuCommand::RegisterTimePhysical => return Err(self.unknown()),
        })
    }

    pub(super) fn sched_op(&self, memory: &impl Arguments) -> Result<SchedRequest, Refusal> {
        let [command, at, ..] = self.arguments;
        Ok(match SchedCommand::from_number(command).ok_or_else(|| self.unknown())? {
            SchedCommand::Yield => SchedRequest::Yield,
            SchedCommand::Block => SchedRequest::Block,
            SchedCommand::Poll => {
                let Poll { ports, nr_ports: count, timeout, .. } = memory.get(at)?;
                if count > POLL_PORTS_MAX {
                    return Err(Errno::Invalid.into());
                }
                SchedRequest::Poll { ports, count, timeout }
            }
            SchedCommand::Shutdown => SchedRequest::Shutdown { reason: memory.get(at)? },
            SchedCommand::RemoteShutdown
            | SchedCommand::ShutdownCode
            | SchedCommand::Watchdog
            | SchedCommand::PinOverride => return Err(self.unknown()),
        })
    }

    pub(super) fn memory_op(&self, memory: &impl Arguments) -> Result<MemoryRequest, Refusal> {
        let [command, at, ..] = self.arguments;
        let reservation = || {
            let wanted: mem::Reservation = memory.get(at)?;
            own(wanted.domid)?;
            Ok::<_, Errno>(wanted)
        };
        Ok(match MemoryCommand::from_number(command).ok_or_else(|| self.unknown())? {
            MemoryCommand::IncreaseReservation => MemoryRequest::Increase(reservation()?),
            MemoryCommand::DecreaseReservation => MemoryRequest::Decrease(reservation()?),
            MemoryCommand::PopulatePhysmap => MemoryRequest::Populate(reservation()?),
            MemoryCommand::Exchange => {
                let mem::Exchange { input, output, .. } = memory.get(at)?;
                own(input.domid)?;
                own(output.domid)?;
                let done = out(at, offset_of!(mem::Exchange, nr_exchanged));
                MemoryRequest::Exchange { input, output, done }
            }
            MemoryCommand::MaximumRamPage => MemoryRequest::MaximumRamPage,
            MemoryCommand::CurrentReservation => MemoryRequest::CurrentReservation,
            MemoryCommand::MaximumReservation => MemoryRequest::MaximumReservation,
            MemoryCommand::MaximumGpfn => MemoryRequest::MaximumGpfn,
            MemoryCommand::MachphysMapping => MemoryRequest::MachphysMapping(Out::new(at)),
            MemoryCommand::MemoryMap => {
                let mem::MemoryMap { nr_entries: room, buffer, .. } = memory.get(at)?;
                let count = out(at, offset_of!(mem::MemoryMap, nr_entries));
                MemoryRequest::MemoryMap { room, buffer, count }
            }
            MemoryCommand::AddToPhysmap => {
                let wanted: mem::AddToPhysmap = memory.get(at)?;
                own(wanted.domid)?;
                MemoryRequest::AddToPhysmap(wanted)
            }
            MemoryCommand::MachphysMfnList
            | MemoryCommand::MachineMemoryMap
            | MemoryCommand::SetMemoryMap
            | MemoryCommand::RemoveFromPhysmap => return Err(self.unknown()),
        })
    }

    pub(super) fn callback_op(&self, memory: &impl Arguments) -> Result<Request, Refusal> {
        let [command, at, ..] = self.arguments;
        if !matches!(command, CALLBACK_REGISTER | CALLBACK_UNREGISTER) {
            return Err(self.unknown());
        }
        // Type and flags come first in both structures; only registering has an address.
        let kind: u16 = memory.get(at)?;
        let callback = Callback::from_number(kind.into()).ok_or_else(|| self.unknown())?;
        if command == CALLBACK_UNREGISTER {
            return Ok(Request::UnregisterCallback(callback));
        }
        // The kind that counts is the one that was looked at.
        let CallbackRegister { flags, address, .. } = memory.get(at)?;
        Ok(Request::RegisterCallback { callback, address, masks_events: flags & CALLBACK_MASKS_EVENTS != 0 })
    }

    pub(super) fn hvm_op(&self, memory: &impl Arguments) -> Result<Request, Refusal> {
        let [command, at, ..] = self.arguments;
        if HvmCommand::from_number(command) != Some(HvmCommand::GetParameter) {
            return Err(self.unknown());
        }
        let HvmParameter { domid, index, .. } = memory.get(at)?;
        own(domid)?;
        let parameter = Parameter::from_number(index.into()).ok_or(Errno::Invalid)?;
        Ok(Request::Parameter { parameter, value: out(at, offset_of!(HvmParameter, value)) })
    }

    pub(super) fn physdev_op(&self, memory: &impl Arguments) -> Result<PhysdevRequest, Refusal> {
        let [command, at, ..] = self.arguments;
        Ok(match PhysdevCommand::from_number(command).ok_or_else(|| self.unknown())? {
            PhysdevCommand::SetIopl => {
                let SetIopl { iopl } = memory.get(at)?;
                if iopl > 3 {
                    return Err(Errno::Invalid.into());
                }
                PhysdevRequest::SetIopl(iopl)
            }
            PhysdevCommand::SetIoBitmap => {
                let SetIoBitmap { bitmap, nr_ports: ports, .. } = memory.get(at)?;
                if ports > 1 << 16 {
                    return Err(Errno::Invalid.into());
                }
                PhysdevRequest::SetIoBitmap { bitmap, ports }
            }
            PhysdevCommand::PirqEoiGmfnV1 | PhysdevCommand::PirqEoiGmfnV2 => {
                PhysdevRequest::PirqEoiFrame(memory.get(at)?)
            }
            PhysdevCommand::Eoi => return Err(self.unknown()),
        })
    }
}

/// A field of a structure in guest memory.
const fn out<T>(at: u64, offset: usize) -> Out<T> {
    Out::new(at.wrapping_add(offset as u64))
}

/// Whether the caller means itself: nobody else can be meant.
const fn own(domain: u16) -> Result<(), Errno> {
    if domain == DOMID_SELF { Ok(()) } else { Err(Errno::Perm) }
}
