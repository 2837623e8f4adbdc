// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the domain needs of the shim, over the runtime: time, other vCPUs, the console.

use parzelle_abi::{NEVER, event};
use parzelle_rt::{time, vcpu};
use parzelle_xen::abi::Errno;
use parzelle_xen::domain::{Host, News, Now};
use parzelle_xen::events::VcpuSet;

use crate::machine::Shared;

/// "Look again", from one vCPU to another.
const KICK: u64 = 1 << event::SOFTWARE_FIRST;

/// One vCPU's.
#[derive(Clone, Copy)]
pub struct VcpuHost {
    shared: &'static Shared,
    /// Zero and scale of the counter.
    counter: (u64, u64),
}

impl VcpuHost {
    /// For a vCPU whose page has this zero and scale.
    #[must_use]
    pub const fn new(shared: &'static Shared, counter: (u64, u64)) -> Self {
        Self { shared, counter }
    }

    /// The events that concern a guest's vCPU, as a mask.
    #[must_use]
    pub fn interest(&self) -> u64 {
        event::TIMER | KICK | self.shared.input_events | self.shared.devices.events()
    }

    /// What events mean.
    #[must_use]
    pub fn news(&self, events: u64) -> News {
        self.shared.devices.told(events);
        let has = |mask: u64| events & mask != 0;
        News { timer: has(event::TIMER), kick: has(KICK), input: has(self.shared.input_events) }
    }

    /// Takes what has come.
    #[must_use]
    pub fn poll(&self) -> News {
        self.news(time::poll(self.interest()))
    }
}

impl Host for VcpuHost {
    fn now(&self) -> Now {
        let counter = parzelle_sys::counter();
        let (zero, scale) = self.counter;
        Now { nanoseconds: time::scaled(counter.wrapping_sub(zero), scale), counter }
    }

    fn kick(&self, vcpu: u32) {
        // Refused only for a vCPU that isn't there, which the domain never names.
        let _ = vcpu::kick(vcpu, KICK);
    }

    fn start_vcpu(&self, number: u32) -> Result<(), Errno> {
        vcpu::start(number, crate::machine::other, number.into()).map_err(|_| Errno::NoMemory)
    }

    fn set_timer(&self, deadline: Option<u64>) {
        // Without an error for a vCPU of its own.
        let _ = time::set_timer(deadline.unwrap_or(NEVER));
    }

    fn wait(&self) -> News {
        self.news(time::wait(NEVER, self.interest()))
    }

    fn yield_now(&self) {
        // A poll for nothing takes no event.
        time::poll(0);
    }

    fn console_out(&self, bytes: &[u8]) {
        self.shared.output.lock().write(bytes);
    }

    fn console_flush(&self) {
        self.shared.output.lock().flush();
    }

    fn console_in(&self, into: &mut [u8]) -> usize {
        self.shared.input.lock().take(into)
    }

    fn signalled(&self, end: u32) -> VcpuSet {
        let shared = self.shared;
        shared.devices.signalled(end, shared.domain.channels(), &shared.ram, |text| shared.output.lock().say(text))
    }

    #[inline]
    fn serve(&self) -> VcpuSet {
        let shared = self.shared;
        if shared.devices.is_busy() {
            shared.devices.serve(shared.domain.channels(), &shared.ram, |text| shared.output.lock().say(text))
        } else {
            VcpuSet::NONE
        }
    }

    #[inline]
    fn is_busy(&self) -> bool {
        self.shared.devices.is_busy()
    }

    #[cold]
    fn unknown(&self, number: u64, argument: u64) {
        self.shared.output.lock().say(format_args!("hypercall {number} ({argument:#x}) does not exist here"));
    }
}
