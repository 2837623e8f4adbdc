// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From a request of the guest to what it does to its ports, and the answer into its memory.

use spin::relax::RelaxStrategy;

use super::vcpu::VcpuSet;
use super::{Closed, Events, Sent};
use crate::abi::Errno;
use crate::abi::event::fifo::LINK_BITS;
use crate::decode::EventRequest;
use crate::memory::{Arguments, Frames, Page};

/// What the shim has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Kick these vCPUs.
    Kick(VcpuSet),
    /// Tell this end of the shim that the guest has signalled it.
    Notify(u32),
    /// Tell this end of the shim that the guest has left it.
    Left(u32),
    /// Tell all ends of the shim that the guest has left them.
    AllLeft,
}

impl Effect {
    /// Nothing.
    pub const NOTHING: Self = Self::Kick(VcpuSet::NONE);
}

impl<P: Page, R: RelaxStrategy> Events<'_, P, R> {
    /// Carries out what a guest asks for. `offers_queues`: without it, `init_control` does not
    /// exist, and the guest stays with bitmaps.
    ///
    /// # Errors
    /// As each operation. A port whose number can't be told to the guest is closed again.
    pub fn serve(
        &self,
        request: &EventRequest,
        offers_queues: bool,
        memory: &impl Arguments,
        frames: &impl Frames<Page = P>,
    ) -> Result<Effect, Errno> {
        let tell = |port: u32, out: &crate::decode::Out<u32>| {
            out.put(memory, &port).map(|()| Effect::NOTHING).inspect_err(|_| {
                // It was free a moment ago; if it is not there any more, all the better.
                let _ = self.close(port);
            })
        };
        let page = |frame| frames.page(frame).ok_or(Errno::Invalid);
        match request {
            EventRequest::AllocUnbound { remote, port } => tell(self.alloc_unbound(*remote)?, port),
            EventRequest::BindVirq { virq, vcpu, port } => tell(self.bind_virq(*virq, *vcpu)?, port),
            EventRequest::BindIpi { vcpu, port } => tell(self.bind_ipi(*vcpu)?, port),
            EventRequest::BindVcpu { port, vcpu } => self.bind_vcpu(*port, *vcpu).map(|()| Effect::NOTHING),
            EventRequest::Close(port) => match self.close(*port)? {
                Closed { backend: Some(end) } => Ok(Effect::Left(end)),
                Closed { backend: None } => Ok(Effect::NOTHING),
            },
            EventRequest::Send(port) => Ok(match self.send(*port)? {
                Sent::Guest(set) => Effect::Kick(set),
                Sent::Backend(end) => Effect::Notify(end),
            }),
            EventRequest::Unmask(port) => self.unmask(*port).map(Effect::Kick),
            EventRequest::Status { port, status } => status.put(memory, &self.status(*port)?).map(|()| Effect::NOTHING),
            EventRequest::InitControl { .. } if !offers_queues => Err(Errno::NoSystem),
            EventRequest::InitControl { frame, offset, vcpu, link_bits } => {
                self.init_control(*vcpu, page(*frame)?, *offset)?;
                link_bits.put(memory, &LINK_BITS).map(|()| Effect::NOTHING)
            }
            EventRequest::ExpandArray { frame } => self.expand_array(page(*frame)?).map(Effect::Kick),
            EventRequest::SetPriority { port, priority } => {
                self.set_priority(*port, *priority).map(|()| Effect::NOTHING)
            }
            EventRequest::Reset => {
                for (port, _) in (0u32..).zip(self.ports).skip(1) {
                    // Closed ones are refused, and that is as it should be.
                    let _ = self.close(port);
                }
                Ok(Effect::AllLeft)
            }
        }
    }
}
