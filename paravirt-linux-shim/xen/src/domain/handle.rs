// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From a request to its answer.
//!
//! What is refused is refused with what Linux takes well: it then does without ballooning or
//! contiguous frames.

use core::sync::atomic::Ordering;

use spin::relax::RelaxStrategy;

use super::{Answer, Domain, Host, console};
use crate::abi::Errno;
use crate::abi::misc::{Assist, ConsoleCommand};
use crate::answer;
use crate::decode::{EventRequest, MemoryRequest, PhysdevRequest, Request};
use crate::events::{Effect, VcpuSet};
use crate::memory::{Arguments, Frames, Page};
use crate::time::deadline_of_set_timer;

/// Bytes that one call may print.
const PRINT_MAX: u64 = 4096;
/// Bytes that are copied at once.
const CHUNK: usize = 128;

impl<P: Page, R: RelaxStrategy> Domain<'_, P, R> {
    /// Carries out a request of `vcpu`. `guest`: its memory, by address and by frame. `None`: the
    /// request is of page tables or of processor state, and not the domain's.
    pub fn handle<G: Arguments + Frames<Page = P>>(
        &self,
        vcpu: u32,
        request: &Request,
        guest: &G,
        host: &impl Host,
    ) -> Option<Answer> {
        let result = match request {
            Request::Event(request) => self.event(vcpu, request, guest, host),
            Request::Sched(request) => return Some(self.sched(vcpu, request, guest, host)),
            Request::Vcpu { vcpu: which, request } => return Some(self.vcpu_op(vcpu, *which, request, guest, host)),
            Request::SetTimer { timeout } => self.set_timers(vcpu, host, |timer, now| {
                timer.set_at(deadline_of_set_timer(*timeout, now));
                Ok(())
            }),
            Request::Version { command, argument } => answer::version(*command, *argument, guest),
            Request::Memory(request) => self.memory(request, guest),
            Request::VmAssist { enable, assist } => self.assist(*enable, *assist),
            Request::Physdev(PhysdevRequest::SetIopl(_)) => Ok(0),
            Request::Console { command: ConsoleCommand::Write, count, buffer } => {
                print(*count, *buffer, guest, host).map(|()| 0)
            }
            Request::Grant { command, argument, count } => match self.grants {
                Some(grants) => grants.answer(*command, *argument, *count, guest),
                None => Err(Errno::NoSystem),
            },
            Request::Physdev(_) | Request::Console { .. } => Err(Errno::NoSystem),
            Request::SetTrapTable { .. }
            | Request::MmuUpdate(_)
            | Request::MmuextOp(_)
            | Request::SetGdt { .. }
            | Request::StackSwitch { .. }
            | Request::SetCallbacks { .. }
            | Request::RegisterCallback { .. }
            | Request::UnregisterCallback(_)
            | Request::FpuTaskSwitch { .. }
            | Request::SetDebugReg { .. }
            | Request::GetDebugReg { .. }
            | Request::UpdateDescriptor { .. }
            | Request::Multicall(_)
            | Request::UpdateVaMapping { .. }
            | Request::Iret
            | Request::SetSegmentBase { .. }
            | Request::Parameter { .. } => return None,
        };
        Some(result.into())
    }

    fn event<G: Arguments + Frames<Page = P>>(
        &self,
        vcpu: u32,
        request: &EventRequest,
        guest: &G,
        host: &impl Host,
    ) -> Result<u64, Errno> {
        let set = match self.events.serve(request, self.queues, guest, guest)? {
            Effect::Kick(set) => set,
            Effect::Notify(console::END) => {
                let printed = self.console.output(&self.events, host);
                // It may have read, too: there may be room for more.
                printed.with(self.console.input(&self.events, host))
            }
            Effect::Notify(end) => host.signalled(end),
            Effect::Left(console::END) | Effect::AllLeft => {
                self.console.left();
                VcpuSet::NONE
            }
            // Devices look whether their port is still theirs.
            Effect::Left(_) => VcpuSet::NONE,
        };
        self.kick(vcpu, set, host);
        Ok(0)
    }

    fn memory(&self, request: &MemoryRequest, guest: &impl Arguments) -> Result<u64, Errno> {
        if let Some(answer) = self.memory.answer(request, guest) {
            return answer;
        }
        match request {
            // How many were done: none. A partition's memory is what it is.
            MemoryRequest::Increase(_) | MemoryRequest::Decrease(_) | MemoryRequest::Populate(_) => Ok(0),
            MemoryRequest::Exchange { .. } => Err(Errno::NoMemory),
            _ => Err(Errno::NoSystem),
        }
    }

    fn assist(&self, enable: bool, assist: Assist) -> Result<u64, Errno> {
        match assist {
            Assist::RunstateUpdateFlag => self.marks_runstates.store(enable, Ordering::Relaxed),
            // Always so here: they can't be switched off, and nobody does.
            Assist::WritablePageTables | Assist::Segments4Gb | Assist::PaeExtendedCr3 => {}
            Assist::Segments4GbNotify | Assist::ArchitecturalIopl => return Err(Errno::Invalid),
        }
        Ok(0)
    }
}

/// Prints on the emergency console. What is too much for one call is cut off.
fn print(count: u64, buffer: u64, guest: &impl Arguments, host: &impl Host) -> Result<(), Errno> {
    let mut text = [0; CHUNK];
    let mut done = 0;
    let count = count.min(PRINT_MAX);
    while done < count {
        let part = text.get_mut(..CHUNK.min((count - done) as usize)).unwrap_or_default();
        guest.read(buffer.wrapping_add(done), part)?;
        host.console_out(part);
        done += part.len() as u64;
    }
    Ok(())
}
