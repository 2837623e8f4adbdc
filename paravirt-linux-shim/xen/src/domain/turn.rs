// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a vCPU looks at before it runs: timers, its core's other vCPUs, the console, its account.

use core::sync::atomic::Ordering;

use spin::relax::RelaxStrategy;

use super::vcpu::Times;
use super::{Domain, Host, News, Turn, Vcpu};
use crate::abi::Errno;
use crate::abi::event::virq;
use crate::memory::{Arguments, Page};
use crate::time::{RunState, Timer};

/// For how long a vCPU has a core that it shares with another of this guest, in nanoseconds.
///
/// Short, because a guest's locks are queues: when the next in the queue has lost the core, the one
/// that has it spins to the end of its slice, at each lock that the two have in common.
const SLICE: u64 = 100_000;

/// A moment, as guest and host call it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// System time.
    pub(super) guest: u64,
    host: u64,
}

impl Moment {
    /// What the host calls a system time. Both clocks count nanoseconds of one counter; over days
    /// they differ by what their scales round, so distances are taken, not times.
    fn host_time(&self, guest: u64) -> u64 {
        self.host.saturating_add(guest.saturating_sub(self.guest))
    }
}

impl<P: Page, R: RelaxStrategy> Domain<'_, P, R> {
    /// Takes note of what the host told this vCPU. [`Self::before_guest`] has to follow.
    pub fn events(&self, vcpu: u32, news: News) {
        let Ok(own) = self.vcpu(vcpu) else { return };
        if news.timer {
            own.times.lock().armed = None;
        }
        if news.kick {
            own.kicked.store(true, Ordering::Relaxed);
        }
        if news.input {
            self.console.input_arrived();
        }
    }

    /// Looks at everything that concerns this vCPU: its timers, its turn on its core, the console,
    /// whether it is up at all (if not, this waits). For after events of the host, and before the
    /// vCPU runs first; hypercalls have done what they have to by themselves.
    pub fn before_guest(&self, vcpu: u32, memory: &impl Arguments, host: &impl Host) -> Turn {
        let Ok(own) = self.vcpu(vcpu) else { return Turn::Over };
        if !self.is_up(vcpu) {
            self.offline(vcpu, memory, host);
        }
        if self.is_over() {
            return Turn::Over;
        }
        let mut now = self.moment(host);
        let mut times = own.times.lock();
        if times.account.state() == RunState::Offline {
            // Only vCPU 0 runs without having been begun.
            times.account.change(RunState::Running, now.guest);
            own.renew_slice(&mut times, &now);
        }
        if now.guest >= times.slice_end {
            drop(times);
            self.make_way(vcpu, memory, host);
            now = self.moment(host);
            times = own.times.lock();
            own.renew_slice(&mut times, &now);
        }
        let fired = times.timer.fire(now.guest);
        self.arm_next(&mut times, &now, host);
        drop(times);
        if fired {
            self.timer_fired(vcpu, host);
        }
        self.kick(vcpu, self.console.input(&self.events, host).with(host.serve()), host);
        host.console_flush();
        if self.upcall(vcpu) { Turn::Upcall } else { Turn::Run }
    }

    /// Lets the others of this core go first.
    pub(super) fn make_way(&self, vcpu: u32, memory: &impl Arguments, host: &impl Host) {
        if !self.vcpu(vcpu).is_ok_and(Vcpu::has_neighbours) {
            return;
        }
        self.account(vcpu, RunState::Runnable, memory, host);
        host.console_flush();
        host.yield_now();
        self.account(vcpu, RunState::Running, memory, host);
    }

    /// Waits for a vCPU that is down to be brought up again.
    #[cold]
    fn offline(&self, vcpu: u32, memory: &impl Arguments, host: &impl Host) {
        self.account(vcpu, RunState::Offline, memory, host);
        self.park(vcpu, host);
        self.account(vcpu, RunState::Running, memory, host);
    }

    /// Changes a vCPU's account, and the guest's copy.
    fn account(&self, vcpu: u32, state: RunState, memory: &impl Arguments, host: &impl Host) {
        let Ok(own) = self.vcpu(vcpu) else { return };
        let now = self.moment(host);
        own.times.lock().account.change(state, now.guest);
        self.show_account(vcpu, memory);
    }

    /// Writes a vCPU's account where the guest wants it, if it still has memory there.
    pub(super) fn show_account(&self, vcpu: u32, memory: &impl Arguments) {
        let Ok(own) = self.vcpu(vcpu) else { return };
        let mut times = own.times.lock();
        let (account, area) = (times.account, times.area);
        let before = if area.is_some() { times.shown.replace(account) } else { None };
        drop(times);
        if let Some(area) = area {
            let marks = self.marks_runstates.load(Ordering::Relaxed);
            // Whoever took the memory away does not want to know.
            account.write(before.as_ref(), marks, |at, value| {
                let _ = memory.put_word(area.wrapping_add(at as u64), value);
            });
        }
    }

    /// Sets a vCPU's own one-shot timer, if it lies ahead: nothing else comes of that. None: nothing is done.
    pub fn set_timer_ahead(&self, vcpu: u32, timeout: u64, host: &impl Host) -> Option<()> {
        let now = self.moment(host);
        let mut times = self.vcpu(vcpu).ok()?.times.lock();
        if timeout <= now.guest {
            return None;
        }
        times.timer.set_at(Some(timeout));
        self.arm_next(&mut times, &now, host);
        Some(())
    }

    /// Changes a vCPU's own timers, and has it told if one has fired.
    pub(super) fn set_timers(
        &self,
        vcpu: u32,
        host: &impl Host,
        change: impl FnOnce(&mut Timer, u64) -> Result<(), Errno>,
    ) -> Result<u64, Errno> {
        let now = self.moment(host);
        let mut times = self.vcpu(vcpu)?.times.lock();
        change(&mut times.timer, now.guest)?;
        let fired = times.timer.fire(now.guest);
        self.arm_next(&mut times, &now, host);
        drop(times);
        if fired {
            self.timer_fired(vcpu, host);
        }
        Ok(0)
    }

    /// A timer of this vCPU has fired.
    pub(super) fn timer_fired(&self, vcpu: u32, host: &impl Host) {
        self.kick(vcpu, self.events.raise_virq(vcpu, virq::TIMER), host);
    }

    /// What time it is.
    #[inline]
    pub(super) fn moment(&self, host: &impl Host) -> Moment {
        let now = host.now();
        Moment { guest: self.clock.system_time(now.counter), host: now.nanoseconds }
    }

    /// Sets the host's timer to what is next while this vCPU runs.
    pub(super) fn arm_next(&self, times: &mut Times, now: &Moment, host: &impl Host) {
        let slice = Some(times.slice_end).filter(|end| *end != u64::MAX);
        let wanted = times.timer.next().into_iter().chain(slice).min();
        Self::arm(times, wanted, now, host);
    }

    /// Sets the host's timer.
    pub(super) fn arm(times: &mut Times, wanted: Option<u64>, now: &Moment, host: &impl Host) {
        if times.armed != wanted {
            host.set_timer(wanted.map(|at| now.host_time(at)));
            times.armed = wanted;
        }
    }
}

impl<R: RelaxStrategy> Vcpu<R> {
    /// Whether it shares its core with another vCPU of this guest.
    fn has_neighbours(&self) -> bool {
        self.neighbours.load(Ordering::Relaxed) != 0
    }

    /// Gives it its core for a while.
    pub(super) fn renew_slice(&self, times: &mut Times, now: &Moment) {
        times.slice_end = if self.has_neighbours() { now.guest.saturating_add(SLICE) } else { u64::MAX };
    }
}
