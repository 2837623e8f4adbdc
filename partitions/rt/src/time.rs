// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Time: nanoseconds since boot, read from the processor's counter without a call, and the two
//! things that a program does with it, waiting and timers.

use parzelle_abi::{Call, NEVER};

use crate::call;
use crate::error::Error;
use crate::vcpu::VcpuPage;

/// A microsecond in nanoseconds.
pub const MICROSECOND: u64 = 1_000;
/// A millisecond in nanoseconds.
pub const MILLISECOND: u64 = 1_000_000;
/// A second in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds since boot. No kernel call.
#[inline]
pub fn now() -> u64 {
    let (_, zero, scale) = VcpuPage::first().counter();
    scaled(parzelle_sys::counter().wrapping_sub(zero), scale)
}

/// Ticks to nanoseconds: `ticks × scale / 2³²`.
#[inline]
pub fn scaled(ticks: u64, scale: u64) -> u64 {
    ((u128::from(ticks) * u128::from(scale)) >> 32) as u64
}

/// Nanoseconds since boot as the kernel counts them.
///
/// # Errors
/// None with a kernel.
pub fn kernel_now() -> Result<u64, Error> {
    Ok(call::plain(Call::Time, [0; 3])?)
}

/// Blocks until an event of `interest` is pending or `deadline` (nanoseconds since boot,
/// [`NEVER`]) has passed. Takes the events that it returns; 0 after a time-out.
#[inline]
pub fn wait(deadline: u64, interest: u64) -> u64 {
    // The call has no error for a vCPU of its own; without a kernel there is nothing to wait for.
    call::plain(Call::Wait, [deadline, interest, 0]).unwrap_or(0)
}

/// Takes the events of `interest` that are pending, without blocking.
#[inline]
pub fn poll(interest: u64) -> u64 {
    wait(0, interest)
}

/// Blocks until `deadline`, whatever happens meanwhile; events stay pending.
pub fn sleep_until(deadline: u64) {
    wait(deadline, 0);
}

/// Blocks for at least `nanoseconds`; events stay pending.
pub fn sleep(nanoseconds: u64) {
    sleep_until(now().saturating_add(nanoseconds));
}

/// Raises [`parzelle_abi::event::TIMER`] at `deadline`; [`NEVER`] disarms.
///
/// # Errors
/// None with a kernel.
pub fn set_timer(deadline: u64) -> Result<(), Error> {
    Ok(call::plain(Call::SetTimer, [deadline, 0, 0]).map(|_| ())?)
}

/// Ticks at a fixed period, without drift: the next one is counted from the last, not from now.
#[derive(Clone, Copy, Debug)]
pub struct Periodic {
    period: u64,
    next: u64,
}

impl Periodic {
    /// Ticks every `period` nanoseconds, for the first time in one period.
    pub fn new(period: u64) -> Self {
        Self { period, next: now().saturating_add(period) }
    }

    /// When the next tick is due.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Blocks until the next tick (0), or an event of `interest` before it.
    pub fn wait(&mut self, interest: u64) -> u64 {
        let events = wait(self.next, interest);
        if events == 0 {
            self.advance(now());
        }
        events
    }

    /// Whether the tick is due; then the next one is set.
    pub fn is_due(&mut self) -> bool {
        let now = now();
        let due = now >= self.next;
        if due {
            self.advance(now);
        }
        due
    }

    /// Sets the first tick after `now`.
    fn advance(&mut self, now: u64) {
        let behind = now.saturating_sub(self.next) / self.period.max(1);
        self.next = self.next.saturating_add(self.period.saturating_mul(behind + 1));
    }
}

/// Waits for ever: what a program does that has nothing left to do.
pub fn idle() -> ! {
    loop {
        wait(NEVER, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds_without_overflow() {
        assert_eq!(scaled(1_000, 1 << 32), 1_000);
        assert_eq!(scaled(62_500_000, 16 << 32), SECOND);
        assert_eq!(scaled(u64::MAX, 1 << 32), u64::MAX);
    }

    #[test]
    fn ticks_that_were_slept_through_are_not_made_up() {
        let mut tick = Periodic { period: 10, next: 10 };
        tick.advance(10);
        assert_eq!(tick.next(), 20);
        tick.advance(57);
        assert_eq!(tick.next(), 60);
    }
}
