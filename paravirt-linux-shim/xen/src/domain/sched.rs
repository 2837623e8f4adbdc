// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Waiting: for events, for ports, to be brought up.

use core::sync::atomic::Ordering;

use spin::relax::RelaxStrategy;
use zerocopy::IntoBytes;

use super::{Answer, Domain, Host, Next, Turn};
use crate::abi::Errno;
use crate::abi::sched::{POLL_PORTS_MAX, Shutdown};
use crate::abi::shared::at;
use crate::abi::trap::GuestContext;
use crate::decode::SchedRequest;
use crate::memory::{Arguments, Page};
use crate::time::RunState;

impl<P: Page, R: RelaxStrategy> Domain<'_, P, R> {
    pub(super) fn sched(&self, vcpu: u32, request: &SchedRequest, memory: &impl Arguments, host: &impl Host) -> Answer {
        match *request {
            SchedRequest::Yield => Answer::of(Next::Yield),
            SchedRequest::Block => {
                if let Some((page, info)) = self.events.vcpu_info(vcpu) {
                    page.store8(info + at::UPCALL_MASK, 0);
                }
                Answer::of(Next::Block)
            }
            SchedRequest::Poll { ports, count, timeout } => match self.begin_poll(vcpu, ports, count, memory) {
                Ok(true) => Answer::of(Next::Resume),
                Ok(false) => Answer::of(Next::Poll((timeout != 0).then_some(timeout))),
                Err(errno) => errno.into(),
            },
            SchedRequest::Shutdown { reason } => {
                let Some(reason) = Shutdown::from_number(reason.into()) else { return Errno::Invalid.into() };
                self.end(vcpu, host);
                Answer::of(Next::Shutdown(reason))
            }
        }
    }

    /// Tells whether the poll is over at once.
    fn begin_poll(&self, vcpu: u32, address: u64, count: u32, memory: &impl Arguments) -> Result<bool, Errno> {
        let mut ports = [0u32; POLL_PORTS_MAX as usize];
        let ports = ports.get_mut(..count as usize).ok_or(Errno::Invalid)?;
        memory.read(address, ports.as_mut_bytes())?;
        // From here on a kick may be for this; the shim may see it before it pauses.
        self.vcpu(vcpu)?.kicked.store(false, Ordering::Relaxed);
        self.events.begin_poll(vcpu, ports)
    }

    /// Does what an [`Answer`] says is next, and then [`Self::before_guest`].
    pub fn pause(&self, vcpu: u32, next: Next, memory: &impl Arguments, host: &impl Host) -> Turn {
        match next {
            Next::Resume | Next::Down => {}
            Next::Yield => self.make_way(vcpu, memory, host),
            Next::Block => return self.sleep(vcpu, None, || self.events.is_deliverable(vcpu), memory, host),
            Next::Poll(until) => {
                let kicked = || self.vcpu(vcpu).is_ok_and(|own| own.kicked.load(Ordering::Relaxed));
                let turn = self.sleep(vcpu, until, || kicked() || self.events.is_deliverable(vcpu), memory, host);
                self.events.end_poll(vcpu);
                return turn;
            }
            Next::Shutdown(_) => return Turn::Over,
        }
        self.before_guest(vcpu, memory, host)
    }

    /// Begins a vCPU's loop: waits until the guest brings it up, and shows what it begins with to
    /// `take`. `None`: the guest has come to an end, or the vCPU does not begin so (vCPU 0).
    pub fn begin<T>(&self, vcpu: u32, host: &impl Host, take: impl FnOnce(&GuestContext) -> T) -> Option<T> {
        self.park(vcpu, host);
        let own = self.vcpu(vcpu).ok().filter(|_| !self.is_over())?;
        let now = self.moment(host);
        {
            let mut times = own.times.lock();
            times.account.change(RunState::Running, now.guest);
            own.renew_slice(&mut times, &now);
        }
        own.life.lock().context.as_ref().map(take)
    }

    /// Waits until the vCPU is up, or there is no more guest.
    pub(super) fn park(&self, vcpu: u32, host: &impl Host) {
        while !self.is_over() && !self.is_up(vcpu) {
            // It may be the one that is told of input.
            self.kick(vcpu, self.console.input(&self.events, host), host);
            host.console_flush();
            let news = host.wait();
            self.events(vcpu, news);
        }
    }

    /// Waits until `done`, or the time `until`, or there is something else to look at. At the end it has looked at all
    /// that [`Self::before_guest`] does.
    fn sleep(
        &self,
        vcpu: u32,
        until: Option<u64>,
        done: impl Fn() -> bool,
        memory: &impl Arguments,
        host: &impl Host,
    ) -> Turn {
        let Ok(own) = self.vcpu(vcpu) else { return Turn::Over };
        let mut slept = false;
        while !self.is_over() && self.is_up(vcpu) {
            let now = self.moment(host);
            let mut times = own.times.lock();
            let fired = times.timer.fire(now.guest);
            drop(times);
            if fired {
                self.timer_fired(vcpu, host);
            }
            self.kick(vcpu, self.console.input(&self.events, host), host);
            let done = done() || until.is_some_and(|until| until <= now.guest);
            let mut times = own.times.lock();
            if done {
                if slept {
                    times.account.change(RunState::Running, now.guest);
                    own.renew_slice(&mut times, &now);
                }
                self.arm_next(&mut times, &now, host);
                drop(times);
                if slept {
                    self.show_account(vcpu, memory)
                } else {
                    host.console_flush()
                }
                return if self.upcall(vcpu) { Turn::Upcall } else { Turn::Run };
            }
            if !slept {
                times.account.change(RunState::Blocked, now.guest);
            }
            let wanted = times.timer.next().into_iter().chain(until).min();
            Self::arm(&mut times, wanted, &now, host);
            drop(times);
            slept = true;
            host.console_flush();
            let news = host.wait();
            self.events(vcpu, news);
        }
        self.before_guest(vcpu, memory, host)
    }
}
