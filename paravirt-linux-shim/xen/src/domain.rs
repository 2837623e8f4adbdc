// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest's domain: all of its hypercalls that are neither page tables nor processor state.
//!
//! ```text
//!             vCPU 0                 vCPU 1 …           loops of the shim
//!   decode ─▶ handle ─▶ Answer ┐
//!                ┌─ Next ──────┘
//!                ├─ Resume ─▶ upcall? ─▶ the guest     (the short way: a look at two bytes)
//!                └─ others ─▶ pause ─┐
//!   events of the host ─▶ events ────┴▶ before_guest ─▶ Turn ─▶ the guest
//!                                            │
//!          Domain (&self for all vCPUs): event channels, timers, who is up, console ─▶ Host
//! ```
//!
//! One domain is shared by all vCPUs of the guest, each on a loop of its own. Nothing is lost between
//! them by this rule: whoever makes something pending writes it *first* and kicks *then*, and who is
//! kicked looks at *everything* again ([`Domain::before_guest`]), because kicks are kept until taken.
//! What a vCPU has to itself (timers, account of time) is behind a lock that others take only when
//! the guest names that vCPU in a call; no lock is held while anything waits.
//!
//! vCPUs that share a core take turns: the host has one timer for each vCPU, and it is set to
//! whichever is earlier, the guest's timer or the end of the slice.

mod answer;
mod console;
mod context;
mod handle;
mod host;
mod sched;
mod translated;
mod turn;
mod vcpu;
mod vcpu_op;

#[cfg(test)]
mod tests;

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spin::relax::{RelaxStrategy, Spin};

pub use answer::{Answer, Next, Turn};
pub use host::{Host, News, Now};
pub use translated::Given;
pub use vcpu::Vcpu;

use crate::abi::shared::at;
use crate::abi::{Errno, PAGE};
use crate::answer::MemoryFacts;
use crate::decode::Refusal;
use crate::events::{Events, Port, VcpuEvents, VcpuSet};
use crate::grants::Grants;
use crate::memory::Page;
use crate::time::{Clock, write_wall_clock};
use console::Console;

/// What a domain is made of. Slices are as long as there are ports and vCPUs.
#[derive(Debug)]
pub struct Setup<'a, P: Page, R: RelaxStrategy = Spin> {
    /// The shared page.
    pub shared_info: P,
    /// The page of the console's rings; none: no console.
    pub console: Option<P>,
    /// Port 0 never exists.
    pub ports: &'a [Port],
    /// At most 64, like the next two.
    pub channels: &'a [VcpuEvents<P>],
    /// vCPU 0 is up from the start.
    pub vcpus: &'a [Vcpu<R>],
    /// The core of each vCPU; vCPUs with the same number take turns.
    pub cores: &'a [u8],
    /// System time.
    pub clock: Clock,
    /// When system time was 0: nanoseconds since 1970.
    pub wall_clock: u64,
    /// Its memory.
    pub memory: MemoryFacts,
    /// Offers queues of events (FIFO), too.
    pub queues: bool,
    /// What it lends to devices; none: it has no devices.
    pub grants: Option<&'a Grants<P>>,
}

/// A guest's domain.
#[derive(Debug)]
pub struct Domain<'a, P: Page, R: RelaxStrategy = Spin> {
    events: Events<'a, P, R>,
    vcpus: &'a [Vcpu<R>],
    clock: Clock,
    memory: MemoryFacts,
    queues: bool,
    grants: Option<&'a Grants<P>>,
    console: Console<P, R>,
    /// The assist that marks accounts of time while they change.
    marks_runstates: AtomicBool,
    /// Calls that were noted already: a bit for each number, the last one for all others.
    noted: AtomicU64,
    over: AtomicBool,
}

impl<'a, P: Page, R: RelaxStrategy> Domain<'a, P, R> {
    /// Makes a domain that has not begun: fills the shared page, and gives the console a port.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: no vCPU, or not as many in all slices. [`Errno::NoSpace`]: no port.
    pub fn new(setup: Setup<'a, P, R>) -> Result<Self, Errno> {
        let Setup { shared_info, ports, channels, vcpus, cores, clock, .. } = setup;
        let first = vcpus.first().ok_or(Errno::Invalid)?;
        if vcpus.len() > VcpuSet::MAX || channels.len() != vcpus.len() || cores.len() != vcpus.len() {
            return Err(Errno::Invalid);
        }
        (0..PAGE as usize).step_by(8).for_each(|word| shared_info.store64(word, 0));
        for vcpu in 0..P::LAYOUT.legacy_vcpus {
            let info = vcpu * P::LAYOUT.vcpu_info;
            shared_info.store8(info + at::UPCALL_MASK, 1);
            if let Some(time) = P::LAYOUT.time {
                clock.write(&shared_info, info + time);
            }
        }
        write_wall_clock(&shared_info, setup.wall_clock);
        let events = Events::new(shared_info, ports, channels);
        let console = Console::new(setup.console, &events)?;
        for (this, (vcpu, core)) in (0u32..).zip(vcpus.iter().zip(cores)) {
            let others = (0u32..).zip(cores).filter(|(other, its)| *other != this && *its == core);
            let set = others.fold(VcpuSet::NONE, |set, (other, _)| set.with_vcpu(other));
            vcpu.neighbours.store(set.bits(), Ordering::Relaxed);
        }
        first.up.store(true, Ordering::Release);
        first.life.lock().started = true;
        Ok(Self {
            events,
            vcpus,
            clock,
            memory: setup.memory,
            queues: setup.queues,
            grants: setup.grants,
            console,
            marks_runstates: AtomicBool::new(false),
            noted: AtomicU64::new(0),
            over: AtomicBool::new(false),
        })
    }

    /// The console's port, for `start_info`.
    #[must_use]
    pub fn console_port(&self) -> Option<u32> {
        self.console.port()
    }

    /// The event channels: `vcpu_info` of a vCPU (upcall mask, CR2), ports of devices.
    #[must_use]
    pub fn channels(&self) -> &Events<'a, P, R> {
        &self.events
    }

    /// How many vCPUs there are.
    #[must_use]
    pub fn vcpu_count(&self) -> u32 {
        self.vcpus.len() as u32
    }

    /// Whether the guest has come to an end.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether an upcall is to be injected into the vCPU: for the way back from a hypercall that
    /// [`Answer`]s [`Next::Resume`].
    #[inline]
    pub fn upcall(&self, vcpu: u32) -> bool {
        self.events.is_deliverable(vcpu)
    }

    /// Ends the guest, and makes its other vCPUs notice. For crashes; a call that ends it does this
    /// by itself.
    pub fn end(&self, vcpu: u32, host: &impl Host) {
        self.over.store(true, Ordering::Release);
        host.console_flush();
        (0..self.vcpu_count()).filter(|other| *other != vcpu).for_each(|other| host.kick(other));
    }

    /// Makes a port pending, for the shim's own end of it, and tells whom that concerns.
    pub fn raise(&self, vcpu: u32, port: u32, host: &impl Host) {
        self.kick(vcpu, self.events.raise(port), host);
    }

    /// What the guest is told of a call that [`crate::decode`] refused. The first of each number
    /// is noted.
    #[cold]
    pub fn refuse(&self, refusal: Refusal, host: &impl Host) -> u64 {
        if let Some((number, argument)) = refusal.unknown {
            let bit = 1u64 << number.min(63);
            if self.noted.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
                host.unknown(number, argument);
            }
        }
        refusal.errno.result()
    }

    /// Tells vCPUs of what is pending. `vcpu` is the one that does so.
    fn kick(&self, vcpu: u32, set: VcpuSet, host: &impl Host) {
        if set != VcpuSet::NONE {
            self.kick_all(vcpu, set, host);
        }
    }

    fn kick_all(&self, vcpu: u32, set: VcpuSet, host: &impl Host) {
        let Ok(own) = self.vcpu(vcpu) else { return };
        if set.contains(vcpu) {
            own.kicked.store(true, Ordering::Relaxed);
        }
        set.iter().filter(|other| *other != vcpu).for_each(|other| host.kick(other));
        // Who has told another mostly waits for the answer.
        if set.bits() & own.neighbours.load(Ordering::Relaxed) != 0 {
            host.yield_now();
        }
    }

    fn vcpu(&self, vcpu: u32) -> Result<&'a Vcpu<R>, Errno> {
        self.vcpus.get(vcpu as usize).ok_or(Errno::NoEntry)
    }
}
