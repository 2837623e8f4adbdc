// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Xen's interface beside the virtual board: hypercalls, event channels, and the devices behind them.
//!
//! ```text
//!   hvc #0xea1 ─▶ Next::Hypercall ─▶ decode ─▶ Domain ─▶ x0
//!                                               │ events
//!                                               ▼
//!   links, console input ─▶ look_outside ─▶ upcall pending ─▶ the board's private interrupt 31
//! ```
//! The domain is for all vCPUs and has locks of its own; nobody who asks it for something has the
//! board's. It takes that itself, to note an interrupt; the vCPU that asked tells the others
//! afterwards, as for every interrupt.

use core::fmt;

use parzelle_abi::aarch64::Guest;
use parzelle_rt::{Partition, time};
use parzelle_shim_backends::devices::grant_frames;
use parzelle_shim_backends::{Devices, GiveWay, Input, Lock};
use parzelle_shim_board::map::MAX_VCPUS;
use parzelle_shim_board::xen::Pages;
use parzelle_xen::abi::Errno;
use parzelle_xen::abi::hvm::Parameter;
use parzelle_xen::answer::MemoryFacts;
use parzelle_xen::decode::Call;
use parzelle_xen::domain::{self, Answer, Domain, Given, Host, News, Next, Now, Setup};
use parzelle_xen::events::{Port, VcpuEvents, VcpuSet};
use parzelle_xen::memory::Frames;
use parzelle_xen::time::{Clock, Scale};

use crate::board::Shared;
use crate::failure::Failure;
use crate::files::GuestRam;
use crate::frame::Frame;
use crate::space::Space;

/// Ports that a guest has: enough for 8 vCPUs and some devices with several queues.
const PORTS: usize = 256;

/// Frames of grants that kernels want in any case.
const GRANTS: u64 = 4;

static PORT: [Port; PORTS] = [const { Port::new() }; PORTS];
static CHANNELS: [VcpuEvents<Frame>; MAX_VCPUS] = [const { VcpuEvents::new() }; MAX_VCPUS];
static DEVICES: Devices<Frame> = Devices::new();
static VCPU: [domain::Vcpu<GiveWay>; MAX_VCPUS] = [const { domain::Vcpu::new() }; MAX_VCPUS];

/// Xen's interface of the guest.
#[derive(Debug)]
pub struct Xen {
    domain: Domain<'static, Frame, GiveWay>,
    pages: Pages,
    /// The input of its console, if it has one.
    input: Lock<Input>,
    /// The events that concern this, as a mask; they come to vCPU 0.
    pub events: u64,
    /// Those of them that say that there is input.
    input_events: u64,
}

impl Xen {
    /// Makes it, for a guest that has not begun. `input`: it has a console, which takes this.
    ///
    /// # Errors
    /// Links that can't be devices.
    pub fn new(
        me: &Partition,
        ram: &GuestRam,
        pages: Pages,
        cores: &'static [u8],
        frequency: u64,
        input: Option<Input>,
    ) -> Result<Self, Failure> {
        let console = input.as_ref().and_then(|_| ram.page(pages.console));
        let input = input.unwrap_or(Input::none());
        let frames = pages.ram.size / parzelle_xen::abi::PAGE;
        let scale = Scale::of_frequency(frequency).ok_or(Failure::NoGuest)?;
        let setup = Setup {
            shared_info: Frame::shared_info(),
            console,
            ports: &PORT,
            channels: CHANNELS.get(..cores.len()).ok_or(Failure::NoGuest)?,
            vcpus: VCPU.get(..cores.len()).ok_or(Failure::NoGuest)?,
            cores,
            // The guest has the processor's own.
            clock: Clock { zero: 0, offset: 0, scale, stable: true },
            wall_clock: 0,
            memory: MemoryFacts { frames, machine_to_physical: 0, machine_frames: frames },
            queues: false,
            grants: Some(DEVICES.grants(grant_frames(me).max(GRANTS), None)),
        };
        let domain = Domain::new(setup).map_err(|_| Failure::NoGuest)?;
        (0..domain.vcpu_count()).for_each(|vcpu| domain.appear(vcpu));
        DEVICES.find(me, domain.vcpu_count(), ram.page(pages.store), domain.channels())?;
        let events = input.events | DEVICES.events();
        Ok(Self { domain, pages, events, input_events: input.events, input: Lock::new(input) })
    }

    /// Answers the hypercall in the registers of a vCPU.
    pub fn call(&self, shared: &Shared, vcpu: usize, guest: &mut Guest) -> Next {
        let [x0, x1, x2, x3, x4, ..] = guest.frame.x;
        let call = Call { number: guest.frame.x[16], arguments: [x0, x1, x2, x3, x4, 0] };
        let (space, host) = (Space::new(&shared.ram, guest), XenHost { shared, xen: self });
        let answer = match call.decode(&space) {
            Ok(request) => self.domain.handle_translated(vcpu as u32, &request, self, &space, &host),
            Err(refusal) => Answer { result: self.domain.refuse(refusal, &host), next: Next::Resume },
        };
        guest.frame.x[0] = answer.result;
        self.show(shared, vcpu);
        answer.next
    }

    /// Looks at what `events` have brought.
    pub fn take(&self, shared: &Shared, vcpu: usize, events: u64) {
        DEVICES.told(events);
        let news = News { input: events & self.input_events != 0, ..News::default() };
        self.domain.events(vcpu as u32, news);
        self.domain.look_outside(vcpu as u32, &XenHost { shared, xen: self });
        self.show(shared, vcpu);
    }

    /// Whether [`Self::take`] has to be called, whatever `events` have come.
    #[inline]
    #[must_use]
    pub fn concerns(&self, events: u64) -> bool {
        events & self.events != 0 || DEVICES.is_busy()
    }

    /// Has a vCPU interrupted that was told of something by itself.
    fn show(&self, shared: &Shared, vcpu: usize) {
        if self.domain.take_told(vcpu as u32) {
            shared.board.lock().vmm.raise_event(vcpu);
        }
    }
}

impl Given<Frame> for Xen {
    fn parameter(&self, parameter: Parameter) -> u64 {
        let console = self.domain.console_port();
        match parameter {
            Parameter::ConsoleFrame => console.map_or(0, |_| self.pages.console),
            Parameter::ConsolePort => console.map_or(0, u64::from),
            Parameter::StoreFrame => DEVICES.store_port().map_or(0, |_| self.pages.store),
            Parameter::StorePort => DEVICES.store_port().map_or(0, u64::from),
        }
    }

    fn share_info(&self, page: Frame) {
        page.share_info();
    }

    fn share_grants(&self, index: u64, page: Frame) -> Result<(), Errno> {
        DEVICES.grants(GRANTS, None).place(index, page)
    }
}

/// What the domain needs of a vCPU's loop: the console, and a place to note interrupts.
#[derive(Clone, Copy)]
struct XenHost<'a> {
    shared: &'a Shared,
    xen: &'a Xen,
}

impl XenHost<'_> {
    #[cold]
    fn say(&self, text: fmt::Arguments<'_>) {
        self.shared.board.lock().output.say(text);
    }
}

impl Host for XenHost<'_> {
    fn now(&self) -> Now {
        Now { nanoseconds: time::now(), counter: parzelle_sys::counter() }
    }

    /// Noted; whoever caused it tells that vCPU when it has let go of the domain.
    fn kick(&self, vcpu: u32) {
        self.shared.board.lock().vmm.raise_event(vcpu as usize);
    }

    /// The guest's firmware does that.
    fn start_vcpu(&self, _: u32) -> Result<(), Errno> {
        Err(Errno::NoSystem)
    }

    fn set_timer(&self, _: Option<u64>) {}

    fn wait(&self) -> News {
        News::default()
    }

    /// Too early: nobody was told yet.
    fn yield_now(&self) {}

    fn console_out(&self, bytes: &[u8]) {
        self.shared.board.lock().output.write(bytes);
    }

    fn console_flush(&self) {
        self.shared.board.lock().output.flush();
    }

    fn console_in(&self, into: &mut [u8]) -> usize {
        self.xen.input.lock().take(into)
    }

    fn signalled(&self, end: u32) -> VcpuSet {
        DEVICES.signalled(end, self.xen.domain.channels(), &self.shared.ram, |text| self.say(text))
    }

    #[inline]
    fn serve(&self) -> VcpuSet {
        if self.is_busy() {
            DEVICES.serve(self.xen.domain.channels(), &self.shared.ram, |text| self.say(text))
        } else {
            VcpuSet::NONE
        }
    }

    #[inline]
    fn is_busy(&self) -> bool {
        DEVICES.is_busy()
    }

    #[cold]
    fn unknown(&self, number: u64, argument: u64) {
        self.say(format_args!("hypercall {number} ({argument:#x}) does not exist here"));
    }
}
