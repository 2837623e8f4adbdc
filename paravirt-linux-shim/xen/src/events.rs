// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Event channels: how a guest is told that something happened, and how it tells others.
//!
//! ```text
//!   backend, timer, other vCPU ─▶ raise(port) ─▶ pending bit of the port     (shared page)
//!                                                 │ not masked
//!                                                 ▼
//!                                     the vCPU's selector or queue           (shared)
//!                                                 │ was empty
//!                                                 ▼
//!                                     evtchn_upcall_pending = 1 ──▶ VcpuSet: kick these
//! ```
//!
//! Two schemes say *which* ports are pending: bitmaps (`two_level`, where every guest begins) and
//! queues of event words (`fifo`, if it asks). Ports are the same for both.
//!
//! Everything here works on `&self`, from several vCPUs at once: a port's state is one word that
//! changes atomically, so sending takes no lock. Only the queues of FIFO do; and a holder may lose
//! the processor, so the lock's owner chooses how to wait for it (`R`).
//!
//! No wake-up is lost, because both sides write before they read: the raiser sets selector or ready
//! bit, *then* looks whether the upcall is pending already; the guest clears `upcall_pending`,
//! *then* takes the selector. Whoever is second sees what the first wrote.

mod bind;
mod control;
mod fifo;
mod port;
mod serve;
mod two_level;
mod vcpu;

#[cfg(test)]
mod tests;

/// For tests of other modules.
#[cfg(test)]
pub(crate) mod tests_support {
    use super::*;
    use crate::memory::fake::FakePage;

    /// Runs something with event channels that have so many vCPUs and ports.
    pub(crate) fn house(vcpus: usize, ports: usize, run: impl FnOnce(&Events<'_, FakePage>)) {
        let house = tests::House::new(vcpus, ports);
        run(&house.events());
    }
}

use core::sync::atomic::{AtomicU64, Ordering};

use spin::relax::{RelaxStrategy, Spin};

pub use bind::Closed;
pub use port::{Kind, Port};
pub use serve::Effect;
pub use vcpu::{VcpuEvents, VcpuSet};

use crate::abi::Errno;
use crate::abi::event::TWO_LEVEL_PORTS;
use crate::memory::Page;
use fifo::Fifo;

/// What a send does besides pending bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// vCPUs of this guest were told: kick those that are not the caller's.
    Guest(VcpuSet),
    /// The shim's own end of that number is to be told.
    Backend(u32),
}

/// The event channels of a guest.
#[derive(Debug)]
pub struct Events<'a, P: Page, R: RelaxStrategy = Spin> {
    shared_info: P,
    ports: &'a [Port],
    vcpus: &'a [VcpuEvents<P>],
    /// vCPUs that wait for certain ports, masked or not ([`Self::begin_poll`]).
    polling: AtomicU64,
    fifo: Fifo<P, R>,
}

impl<'a, P: Page, R: RelaxStrategy> Events<'a, P, R> {
    /// Begins with all ports closed, in the two-level scheme. `ports`: one for each port that the
    /// guest may have; port 0 never exists, and what is above [`TWO_LEVEL_PORTS`] is not used.
    /// `vcpus`: at most 64 are used.
    #[must_use]
    pub fn new(shared_info: P, ports: &'a [Port], vcpus: &'a [VcpuEvents<P>]) -> Self {
        let ports = ports.get(..TWO_LEVEL_PORTS).unwrap_or(ports);
        let vcpus = vcpus.get(..VcpuSet::MAX).unwrap_or(vcpus);
        Self { shared_info, ports, vcpus, polling: AtomicU64::new(0), fifo: Fifo::new() }
    }

    /// Signals the other end of `port`, for the guest.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: it has none that could be signalled so.
    pub fn send(&self, port: u32) -> Result<Sent, Errno> {
        match self.port(port)?.load().kind {
            Kind::Ipi => Ok(Sent::Guest(self.raise(port))),
            Kind::Backend(end) => Ok(Sent::Backend(end)),
            // Somebody may yet connect: nobody hears it, and that is not an error.
            Kind::Unbound => Ok(Sent::Guest(VcpuSet::NONE)),
            Kind::Free | Kind::Virq(_) => Err(Errno::Invalid),
        }
    }

    /// Makes `port` pending and returns who is to be kicked. For backends, and for everybody who
    /// knows the port; a closed one is left alone.
    pub fn raise(&self, port: u32) -> VcpuSet {
        let Ok(entry) = self.port(port) else { return VcpuSet::NONE };
        let state = entry.load();
        if state.kind == Kind::Free {
            return VcpuSet::NONE;
        }
        let set = match self.fifo.raise(self, port, entry) {
            Some(set) => set,
            None => self.raise_two_level(port, &state),
        };
        set.with(self.wake_pollers(port))
    }

    /// Makes a virtual interrupt pending, if the guest has bound it.
    pub fn raise_virq(&self, vcpu: u32, virq: u32) -> VcpuSet {
        let port = self.vcpu(vcpu).ok().and_then(|vcpu| vcpu.virq(virq));
        port.map_or(VcpuSet::NONE, |port| self.raise(port))
    }

    /// Clears the mask of `port`, for the guest; tells its vCPU of what came meanwhile.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: there is no such port.
    pub fn unmask(&self, port: u32) -> Result<VcpuSet, Errno> {
        let entry = self.port(port)?;
        match self.fifo.unmask(self, port, entry) {
            Some(set) => Ok(set),
            None => Ok(self.unmask_two_level(port, &entry.load())),
        }
    }

    /// Tells whether `port` is pending.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: there is no such port.
    pub fn is_pending(&self, port: u32) -> Result<bool, Errno> {
        let entry = self.port(port)?;
        Ok(self.fifo.is_pending(port, entry).unwrap_or_else(|| self.is_pending_two_level(port)))
    }

    /// Tells whether the vCPU has an upcall to take and takes upcalls.
    pub fn is_deliverable(&self, vcpu: u32) -> bool {
        self.vcpu(vcpu).ok().and_then(|v| v.info(vcpu, &self.shared_info)).is_some_and(|info| info.is_deliverable())
    }

    /// The page and offset of a vCPU's `vcpu_info`; none: it has yet to register one.
    pub fn vcpu_info(&self, vcpu: u32) -> Option<(P, usize)> {
        let info = self.vcpu(vcpu).ok()?.info(vcpu, &self.shared_info)?;
        Some((info.page, info.at))
    }

    /// Begins to wait for `ports`, as `sched_op.poll` does. True: one is pending already, and the
    /// wait is over. Otherwise the vCPU is in the set that a later [`Self::raise`] of one returns;
    /// call [`Self::end_poll`] when it goes on for any reason.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: a port or the vCPU does not exist.
    pub fn begin_poll(&self, vcpu: u32, ports: &[u32]) -> Result<bool, Errno> {
        let state = self.vcpu(vcpu)?;
        // Announced first, looked at then: a raise in between is seen by one side or the other.
        state.poll(ports);
        self.polling.fetch_or(1 << vcpu, Ordering::SeqCst);
        let mut result = Ok(false);
        for port in ports {
            result = self.is_pending(*port);
            if result != Ok(false) {
                self.end_poll(vcpu);
                break;
            }
        }
        result
    }

    /// Ends the wait of a vCPU.
    pub fn end_poll(&self, vcpu: u32) {
        if (vcpu as usize) < VcpuSet::MAX {
            self.polling.fetch_and(!(1 << vcpu), Ordering::SeqCst);
        }
    }

    fn wake_pollers(&self, port: u32) -> VcpuSet {
        let polling = VcpuSet::from_bits(self.polling.load(Ordering::SeqCst));
        let wanted = polling.iter().filter(|v| self.vcpu(*v).is_ok_and(|vcpu| vcpu.polls(port)));
        wanted.fold(VcpuSet::NONE, VcpuSet::with_vcpu)
    }

    fn port(&self, port: u32) -> Result<&'a Port, Errno> {
        match port {
            0 => Err(Errno::Invalid),
            _ => self.ports.get(port as usize).ok_or(Errno::Invalid),
        }
    }

    fn vcpu(&self, vcpu: u32) -> Result<&'a VcpuEvents<P>, Errno> {
        self.vcpus.get(vcpu as usize).ok_or(Errno::NoEntry)
    }

    /// Sets a vCPU's upcall pending. It is in the result if it was not before.
    fn tell(&self, vcpu: u8) -> VcpuSet {
        let vcpu = u32::from(vcpu);
        let info = self.vcpu(vcpu).ok().and_then(|v| v.info(vcpu, &self.shared_info));
        if info.is_some_and(|info| info.set_upcall_pending()) { VcpuSet::NONE.with_vcpu(vcpu) } else { VcpuSet::NONE }
    }
}
