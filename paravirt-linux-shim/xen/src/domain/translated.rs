// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Guests whose memory the processor translates, on a board with interrupts and firmware of its own
//! (arm64): they use Xen's interface for devices only.
//!
//! ```text
//!   hvm_op.get_param ───▶ console, store: frame and port      (others find them in start_info)
//!   add_to_physmap ─────▶ "my frame n is the shared page, frame i of the grant table"
//!   everything else ────▶ Domain::handle, without timers and life of vCPUs
//! ```
//! A page that such a guest wants to share is memory of its own, at a place that it chooses: it is
//! used there, and nothing has to be mapped. The frames that old kernels give back in exchange are
//! theirs still; nobody else could use them.

use core::sync::atomic::Ordering;

use spin::relax::RelaxStrategy;

use super::{Answer, Domain, Host};
use crate::abi::hvm::Parameter;
use crate::abi::memory::space;
use crate::abi::version::{FeatureInfo, VersionCommand, feature};
use crate::abi::{Errno, PAGE};
use crate::decode::{MemoryRequest, Request, SchedRequest, VcpuRequest};
use crate::memory::{Arguments, Frames, Page};

/// What a shim has for such a guest.
pub trait Given<P: Page> {
    /// A parameter; 0: there is no such thing.
    fn parameter(&self, parameter: Parameter) -> u64;

    /// From now on `page`, which is zeroed, is the page that the domain was made with.
    fn share_info(&self, page: P);

    /// From now on `page` is frame `index` of the grant table.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: the table doesn't grow that far.
    fn share_grants(&self, index: u64, page: P) -> Result<(), Errno>;
}

impl<P: Page, R: RelaxStrategy> Domain<'_, P, R> {
    /// Carries out a request of `vcpu`, whose memory is translated: as [`Self::handle`] otherwise.
    pub fn handle_translated<G: Arguments + Frames<Page = P>>(
        &self,
        vcpu: u32,
        request: &Request,
        given: &impl Given<P>,
        guest: &G,
        host: &impl Host,
    ) -> Answer {
        let result = match request {
            Request::Parameter { parameter, value } => value.put(guest, &given.parameter(*parameter)).map(|()| 0),
            Request::Version { command: VersionCommand::GetFeatures, argument } => features(*argument, guest),
            Request::Memory(MemoryRequest::AddToPhysmap(wanted)) => {
                let page = guest.page(wanted.gpfn).ok_or(Errno::Invalid);
                match (wanted.space, page) {
                    (_, Err(errno)) => Err(errno),
                    (space::SHARED_INFO, Ok(page)) => {
                        (0..PAGE as usize).step_by(8).for_each(|word| page.store64(word, 0));
                        given.share_info(page);
                        Ok(0)
                    }
                    (space::GRANT_TABLE, Ok(page)) => given.share_grants(wanted.idx, page).map(|()| 0),
                    _ => Err(Errno::NoSystem),
                }
            }
            // All of them, so that kernels go on that make room for shared pages in this way. The
            // memory stays where it is.
            Request::Memory(MemoryRequest::Decrease(wanted) | MemoryRequest::Populate(wanted)) => Ok(wanted.nr_extents),
            // Nobody takes time from it that it could not see on its own clock.
            Request::Vcpu { request: VcpuRequest::RegisterRunstateArea(_), .. } => Ok(0),
            Request::Vcpu { request: VcpuRequest::RegisterVcpuInfo { .. } | VcpuRequest::IsUp, .. }
            | Request::Sched(SchedRequest::Yield | SchedRequest::Shutdown { .. })
            | Request::Version { .. }
            | Request::Event(_)
            | Request::Grant { .. }
            | Request::Console { .. } => {
                return self.handle(vcpu, request, guest, host).unwrap_or_else(|| Errno::NoSystem.into());
            }
            _ => Err(Errno::NoSystem),
        };
        result.into()
    }

    /// A vCPU runs that the domain has not brought up: the guest's firmware does.
    pub fn appear(&self, vcpu: u32) {
        if let Ok(own) = self.vcpu(vcpu) {
            own.up.store(true, Ordering::Release);
        }
    }

    /// Whether this vCPU has been told of something since it was asked last; for whoever brings
    /// upcalls as interrupts.
    pub fn take_told(&self, vcpu: u32) -> bool {
        self.vcpu(vcpu).is_ok_and(|own| own.kicked.load(Ordering::Relaxed) && own.kicked.swap(false, Ordering::Relaxed))
    }

    /// Looks at what has come from outside, for whoever has vCPUs on loops of another kind than
    /// [`Self::before_guest`]'s.
    pub fn look_outside(&self, vcpu: u32, host: &impl Host) {
        self.kick(vcpu, self.console.input(&self.events, host).with(host.serve()), host);
        host.console_flush();
    }
}

/// What such a guest gets to know of Xen: its frames are not those of the machine.
fn features(argument: u64, memory: &impl Arguments) -> Result<u64, Errno> {
    let wanted: FeatureInfo = memory.get(argument)?;
    match wanted.submap_idx {
        0 => memory.put(argument, &FeatureInfo { submap: feature::TRANSLATED, ..wanted }).map(|()| 0),
        _ => Err(Errno::Invalid),
    }
}
