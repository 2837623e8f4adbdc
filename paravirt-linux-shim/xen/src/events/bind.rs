// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Making, binding and closing ports.

use core::sync::atomic::Ordering;

use spin::relax::RelaxStrategy;

use super::Events;
use super::port::{Kind, State};
use super::vcpu::VcpuSet;
use crate::abi::event::{PortStatus, Status, virq};
use crate::abi::shared::at;
use crate::abi::{DOMID_SELF, Errno, PAGE};
use crate::memory::Page;

/// What a closed port was connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The shim's end, which has no guest any more.
    pub backend: Option<u32>,
}

impl<P: Page, R: RelaxStrategy> Events<'_, P, R> {
    /// Makes a port to which domain `remote` may connect, for the guest.
    ///
    /// # Errors
    /// [`Errno::NoSpace`]: all ports are taken.
    pub fn alloc_unbound(&self, remote: u16) -> Result<u32, Errno> {
        self.allocate(State { kind: Kind::Unbound, domain: remote, ..State::FREE })
    }

    /// Makes a port that is connected to the shim's end `end` from the start (console, xenstore).
    ///
    /// # Errors
    /// [`Errno::NoSpace`]: all ports are taken.
    pub fn connected(&self, remote: u16, end: u32) -> Result<u32, Errno> {
        self.allocate(State { kind: Kind::Backend(end), domain: remote, ..State::FREE })
    }

    /// Connects the shim's end `end` to a port that the guest made for domain `remote`.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: there is no such port, or it is not waiting for that domain.
    pub fn connect(&self, port: u32, remote: u16, end: u32) -> Result<(), Errno> {
        let connect = |state: State| {
            let fits = state.kind == Kind::Unbound && state.domain == remote;
            fits.then_some(State { kind: Kind::Backend(end), ..state })
        };
        self.port(port)?.update(connect).map(|_| ()).ok_or(Errno::Invalid)
    }

    /// Whether `port` is connected to the shim's end `end`.
    pub fn is_connected(&self, port: u32, end: u32) -> bool {
        self.port(port).is_ok_and(|entry| entry.load().kind == Kind::Backend(end))
    }

    /// Gives a virtual interrupt of a vCPU a port.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: no such interrupt, or it belongs to vCPU 0. [`Errno::NoEntry`]: no such
    /// vCPU. [`Errno::Exists`]: it has one. [`Errno::NoSpace`]: all ports are taken.
    pub fn bind_virq(&self, virq: u32, vcpu: u32) -> Result<u32, Errno> {
        if virq as usize >= virq::COUNT || vcpu != 0 && !is_per_vcpu(virq) {
            return Err(Errno::Invalid);
        }
        let slot = self.vcpu(vcpu)?.virqs.get(virq as usize).ok_or(Errno::Invalid)?;
        if slot.load(Ordering::Acquire) != 0 {
            return Err(Errno::Exists);
        }
        let port = self.allocate(State { kind: Kind::Virq(virq), vcpu: vcpu as u8, ..State::FREE })?;
        if slot.compare_exchange(0, port, Ordering::SeqCst, Ordering::Relaxed).is_err() {
            self.port(port)?.update(|_| Some(State::FREE));
            return Err(Errno::Exists);
        }
        Ok(port)
    }

    /// Makes a port by which vCPUs signal `vcpu`.
    ///
    /// # Errors
    /// [`Errno::NoEntry`]: no such vCPU. [`Errno::NoSpace`]: all ports are taken.
    pub fn bind_ipi(&self, vcpu: u32) -> Result<u32, Errno> {
        self.vcpu(vcpu)?;
        self.allocate(State { kind: Kind::Ipi, vcpu: vcpu as u8, ..State::FREE })
    }

    /// Says which vCPU is told of `port`.
    ///
    /// # Errors
    /// [`Errno::NoEntry`]: no such vCPU. [`Errno::Invalid`]: no such port, or it belongs to a vCPU.
    pub fn bind_vcpu(&self, port: u32, vcpu: u32) -> Result<(), Errno> {
        self.vcpu(vcpu)?;
        let bind = |state: State| {
            let free = match state.kind {
                Kind::Unbound | Kind::Backend(_) => true,
                Kind::Virq(virq) => !is_per_vcpu(virq),
                Kind::Free | Kind::Ipi => false,
            };
            free.then_some(State { vcpu: vcpu as u8, ..state })
        };
        self.port(port)?.update(bind).map(|_| ()).ok_or(Errno::Invalid)
    }

    /// Closes a port and forgets that it is pending.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: there is no such port.
    pub fn close(&self, port: u32) -> Result<Closed, Errno> {
        let entry = self.port(port)?;
        let close = |state: State| (state.kind != Kind::Free).then_some(State::FREE);
        let state = entry.update(close).ok_or(Errno::Invalid)?;
        if let Kind::Virq(virq) = state.kind
            && let Some(slot) = self.vcpu(state.vcpu.into())?.virqs.get(virq as usize)
        {
            // If it is another port's already, that one is left alone.
            let _ = slot.compare_exchange(port, 0, Ordering::SeqCst, Ordering::Relaxed);
        }
        if !self.fifo.clear(port) {
            self.clear_two_level(port);
        }
        let backend = if let Kind::Backend(end) = state.kind { Some(end) } else { None };
        Ok(Closed { backend })
    }

    /// Tells what a port is.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: there is no such port.
    pub fn status(&self, port: u32) -> Result<Status, Errno> {
        let state = self.port(port)?.load();
        let (status, detail) = match state.kind {
            Kind::Free => (PortStatus::Closed, 0),
            Kind::Unbound => (PortStatus::Unbound, state.domain.into()),
            Kind::Backend(_) => (PortStatus::Interdomain, state.domain.into()),
            Kind::Virq(virq) => (PortStatus::Virq, virq),
            Kind::Ipi => (PortStatus::Ipi, 0),
        };
        let (status, vcpu) = (status.number(), state.vcpu.into());
        Ok(Status { dom: DOMID_SELF, port, status, vcpu, detail, ..Status::default() })
    }

    /// Moves a vCPU's `vcpu_info` to where the guest wants it, and marks everything pending, so
    /// that nothing is lost on the way.
    ///
    /// # Errors
    /// [`Errno::NoEntry`]: no such vCPU. [`Errno::Invalid`]: it does not fit the page, or it is
    /// registered already.
    pub fn register_vcpu_info(&self, vcpu: u32, page: P, offset: u32) -> Result<VcpuSet, Errno> {
        let state = self.vcpu(vcpu)?;
        let to = offset as usize;
        if to > PAGE as usize - P::LAYOUT.vcpu_info || !to.is_multiple_of(8) || state.info.is_completed() {
            return Err(Errno::Invalid);
        }
        if let Some(old) = state.info(vcpu, &self.shared_info) {
            for word in (0..P::LAYOUT.vcpu_info).step_by(8) {
                page.store64(to + word, old.page.load64(old.at + word));
            }
        } else {
            page.store8(to + at::UPCALL_MASK, 1);
        }
        let mut mine = false;
        let (page, _) = state.info.call_once(|| {
            mine = true;
            (page, to)
        });
        if !mine {
            return Err(Errno::Invalid);
        }
        page.set64(to + at::PENDING_SEL, u64::MAX);
        page.store8(to + at::UPCALL_PENDING, 1);
        Ok(VcpuSet::NONE.with_vcpu(vcpu))
    }

    fn allocate(&self, state: State) -> Result<u32, Errno> {
        let mut free = (0u32..).zip(self.ports).skip(1);
        free.find(|(_, entry)| entry.claim(state)).map(|(port, _)| port).ok_or(Errno::NoSpace)
    }
}

/// Whether each vCPU has its own.
fn is_per_vcpu(virq: u32) -> bool {
    matches!(virq, virq::TIMER | virq::DEBUG | virq::XENOPROF | virq::XENPMU)
}
