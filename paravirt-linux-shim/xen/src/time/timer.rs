// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A vCPU's one-shot timer, and the repeating one that nobody uses.

use crate::abi::Errno;
use crate::abi::vcpu::FUTURE;

/// The shortest period of a repeating timer, as Xen has it: 1 ms.
const SHORTEST: u64 = 1_000_000;
/// Times further away than 2^50 ns (13 days) were meant for soon: old kernels' overflows.
const FAR: u64 = 1 << 50;
/// How soon, then.
const SOON: u64 = 100_000_000;

/// A vCPU's timers. Times are system time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    once: Option<u64>,
    /// Period, and when next.
    periodic: Option<(u64, u64)>,
}

impl Timer {
    /// With neither.
    #[must_use]
    pub const fn new() -> Self {
        Self { once: None, periodic: None }
    }

    /// Sets the one-shot timer (`set_singleshot_timer`). What has passed fires at once.
    ///
    /// # Errors
    /// [`Errno::Time`]: it has passed, and the guest asked to be refused then.
    pub fn set(&mut self, timeout: u64, flags: u32, now: u64) -> Result<(), Errno> {
        if flags & FUTURE != 0 && timeout < now {
            return Err(Errno::Time);
        }
        self.once = Some(timeout);
        Ok(())
    }

    /// Sets or stops the one-shot timer; see [`deadline_of_set_timer`].
    pub fn set_at(&mut self, deadline: Option<u64>) {
        self.once = deadline;
    }

    /// Stops the one-shot timer.
    pub fn stop(&mut self) {
        self.once = None;
    }

    /// Sets the repeating timer.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: a period below 1 ms, or beyond what time can tell.
    pub fn set_periodic(&mut self, period: u64, now: u64) -> Result<(), Errno> {
        let next = now.checked_add(period).filter(|_| period >= SHORTEST).ok_or(Errno::Invalid)?;
        self.periodic = Some((period, next));
        Ok(())
    }

    /// Stops the repeating timer.
    pub fn stop_periodic(&mut self) {
        self.periodic = None;
    }

    /// When [`Self::fire`] has something to say; none: never.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        let periodic = self.periodic.map(|(_, next)| next);
        match (self.once, periodic) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Tells whether a timer is due: then raise the vCPU's timer interrupt. Periods that were slept
    /// through are one.
    #[must_use]
    pub fn fire(&mut self, now: u64) -> bool {
        let mut due = false;
        if self.once.is_some_and(|at| at <= now) {
            self.once = None;
            due = true;
        }
        if let Some((period, next)) = self.periodic
            && next <= now
        {
            // SHORTEST keeps this from dividing by 0.
            let passed = (now - next) / period.max(1) + 1;
            self.periodic = next.checked_add(passed.saturating_mul(period)).map(|next| (period, next));
            due = true;
        }
        due
    }
}

/// What `set_timer_op(timeout)` asks for: 0 stops the timer, and a time that can't be meant (an
/// overflow in the guest) is a while from now.
#[must_use]
pub fn deadline_of_set_timer(timeout: u64, now: u64) -> Option<u64> {
    match timeout {
        0 => None,
        _ if timeout.cast_signed() < 0 || timeout.saturating_sub(now) > FAR => Some(now.saturating_add(SOON)),
        _ => Some(timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_shot_fires_once_and_the_past_at_once() {
        let mut timer = Timer::new();
        assert_eq!(timer.set(50, FUTURE, 100), Err(Errno::Time));
        assert_eq!(timer.next(), None);
        timer.set(50, 0, 100).unwrap();
        assert_eq!(timer.next(), Some(50));
        assert!(timer.fire(100) && !timer.fire(100));
        timer.set(200, FUTURE, 100).unwrap();
        assert!(!timer.fire(199));
        timer.stop();
        assert!(!timer.fire(u64::MAX));
    }

    #[test]
    fn slept_periods_are_one() {
        let mut timer = Timer::new();
        assert_eq!(timer.set_periodic(999_999, 0), Err(Errno::Invalid));
        assert_eq!(timer.set_periodic(u64::MAX, 1), Err(Errno::Invalid));
        timer.set_periodic(1_000_000, 5).unwrap();
        assert!(timer.fire(7_000_005) && !timer.fire(7_000_005));
        assert_eq!(timer.next(), Some(8_000_005));
        assert!(timer.fire(u64::MAX));
        assert_eq!(timer.next(), None, "there is no time after that");
    }

    #[test]
    fn the_old_call_stops_with_zero_and_forgives_overflows() {
        assert_eq!(deadline_of_set_timer(0, 100), None);
        assert_eq!(deadline_of_set_timer(50, 100), Some(50));
        assert_eq!(deadline_of_set_timer(u64::MAX, 100), Some(100 + SOON));
        assert_eq!(deadline_of_set_timer(FAR + 101, 100), Some(100 + SOON));
    }
}
