// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Time: the generic timer's counter as clock, the hypervisor's physical timer (CNTHP, PPI 26) as
//! schedule timer. CNTHP exists only for EL2; guests have CNTV.
//!
//! Both ways between ticks and nanoseconds are one multiplication by a fixed-point factor with 32
//! bits behind the point. Counters of 1 GHz and 62.5 MHz come out exact.

use crate::registers::CnthpCval;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTHP_CTL_EL2, CNTPCT_EL0, Readable, Writeable};
use parzelle_abi::NEVER;

/// The interrupt of CNTHP (Arm BSA, PPI assignments).
pub(crate) const TIMER_LINE: u32 = 26;
/// The interrupt of CNTV.
pub(crate) const GUEST_TIMER_LINE: u32 = 27;

const SECOND: u128 = 1_000_000_000;

/// The relation between the counter and nanoseconds since boot; the same on all cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Ticks per second.
    pub(crate) frequency: u64,
    /// The counter when boot began.
    pub(crate) zero: u64,
    /// Nanoseconds per tick, 32 bits behind the point.
    pub(crate) scale: u64,
    /// Ticks per nanosecond, 32 bits behind the point, rounded up.
    inverse: u64,
}

impl Clock {
    /// Starts the clock. `None` for a frequency with which one can't calculate.
    pub(crate) fn new(frequency: u64, zero: u64) -> Option<Clock> {
        let wide = u128::from(frequency);
        let scale = (SECOND << 32).checked_div(wide)?;
        let inverse = (wide << 32).div_ceil(SECOND);
        Some(Clock { frequency, zero, scale: u64::try_from(scale).ok()?, inverse: u64::try_from(inverse).ok()? })
    }

    /// Starts the clock now, from this processor's counter.
    pub(crate) fn start() -> Option<Clock> {
        Clock::new(CNTFRQ_EL0.get(), CNTPCT_EL0.get())
    }

    /// Converts a value of the counter.
    pub(crate) fn nanoseconds(&self, ticks: u64) -> u64 {
        let passed = u128::from(ticks.wrapping_sub(self.zero));
        ((passed * u128::from(self.scale)) >> 32) as u64
    }

    /// The value of the counter at which a time is reached, not earlier, seen from `counter`: what
    /// rounding costs grows with the distance only.
    pub(crate) fn alarm(&self, counter: u64, at: u64) -> u64 {
        let distance = u128::from(at.saturating_sub(self.nanoseconds(counter)));
        counter.wrapping_add(((distance * u128::from(self.inverse) + 0xffff_ffff) >> 32) as u64)
    }

    /// Nanoseconds since boot.
    pub(crate) fn now(&self) -> u64 {
        self.nanoseconds(CNTPCT_EL0.get())
    }

    /// Lets the timer interrupt at a time; [`NEVER`] stops it.
    #[inline(always)]
    pub(crate) fn arm(&self, at: u64) {
        if at == NEVER {
            stop();
        } else {
            CnthpCval.set(self.alarm(CNTPCT_EL0.get(), at));
            CNTHP_CTL_EL2.set(1);
        }
    }
}

/// Stops the timer: its line falls.
pub(crate) fn stop() {
    CNTHP_CTL_EL2.set(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_frequencies_are_exact() {
        for (frequency, nanoseconds) in [(1_000_000_000, 1), (62_500_000, 16), (100_000_000, 10)] {
            let clock = Clock::new(frequency, 77).unwrap();
            for ticks in [0, 1, 12_345, 1 << 40] {
                let expected = ticks * nanoseconds;
                let found = clock.nanoseconds(77 + ticks);
                assert!(expected - found <= expected >> 30, "{frequency} {ticks}");
            }
        }
        let clock = Clock::new(1_000_000_000, 0).unwrap();
        assert_eq!(clock.nanoseconds(1 << 60), 1 << 60);
        assert_eq!(clock.alarm(77, 1 << 60), 1 << 60);
    }

    /// A timer that fires too early would fire again, and again; one that is late by more the longer
    /// the board runs, too late.
    #[test]
    fn the_timer_is_in_time_however_long_the_board_runs() {
        for frequency in [1_000_000_000, 62_500_000, 54_000_000, 24_000_000, 19_200_000, 33_333_333] {
            let clock = Clock::new(frequency, 5).unwrap();
            for uptime in [0, 1, 3_600, 86_400 * 365] {
                let counter = 5 + uptime * frequency;
                for distance in [0, 1, 999, 1_000_000, 1_000_000_000] {
                    let at = clock.nanoseconds(counter) + distance;
                    let late = clock.nanoseconds(clock.alarm(counter, at)) as i128 - at as i128;
                    let tick = (SECOND / u128::from(frequency)) as i128;
                    assert!((-1..=2 * tick + 20).contains(&late), "{frequency} {uptime} {distance} {late}");
                }
            }
        }
    }

    #[test]
    fn no_frequency_no_clock() {
        assert!(Clock::new(0, 0).is_none());
    }
}
