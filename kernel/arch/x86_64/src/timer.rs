// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Time: the time-stamp counter as clock, the local APIC's timer as alarm.
//!
//! All conversions are a multiplication and a shift by 32; the factors are made once, at boot,
//! from frequencies that were measured against the ACPI timer (`boot::calibrate`).

use crate::instructions::{read_tsc, write_msr};
use crate::irqchip::Local;
use crate::registers::msr;
use core::ops::RangeInclusive;
use parzelle_abi::NEVER;

/// Nanoseconds per second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// The clock of the module: the same numbers on all cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// The counter at time 0.
    pub(crate) zero: u64,
    /// Nanoseconds per tick, 32 bits behind the point.
    pub(crate) scale: u64,
    /// Ticks per second.
    pub(crate) frequency: u64,
}

impl Clock {
    /// Makes a clock that is 0 at `zero`. A frequency of 0 counts as 1 Hz.
    pub(crate) const fn new(zero: u64, frequency: u64) -> Clock {
        let frequency = if frequency == 0 { 1 } else { frequency };
        Clock { zero, scale: ((SECOND as u128) << 32).div_euclid(frequency as u128) as u64, frequency }
    }

    /// The time at which the counter shows `ticks`.
    pub(crate) const fn at(&self, ticks: u64) -> u64 {
        ((ticks.wrapping_sub(self.zero) as u128 * self.scale as u128) >> 32) as u64
    }

    /// The time.
    pub(crate) fn now(&self) -> u64 {
        self.at(read_tsc())
    }
}

/// The longest wait that is counted, in nanoseconds: what is farther comes early, and the alarm is
/// set again then. So the product below has room for timers of up to 7.9 GHz.
const FAR: u64 = 1 << 29;

/// Ticks per second that a clock or an alarm may have; boot refuses others.
pub(crate) const FREQUENCIES: RangeInclusive<u64> = 1_000_000..=7_900_000_000;
// The product is below 2⁶⁴, and a timer that counts down has 32 bits.
const _: () = assert!(Rate::new(*FREQUENCIES.end()).ticks(FAR) <= u32::MAX as u64);

/// Ticks per nanosecond of a timer, 32 bits behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(u64);

impl Rate {
    /// The rate of `frequency` ticks per second.
    pub(crate) const fn new(frequency: u64) -> Rate {
        Rate(((frequency as u128) << 32).div_ceil(SECOND as u128) as u64)
    }

    /// The ticks that `nanoseconds` take, rounded up (an alarm is never early by calculation), at
    /// least 1.
    pub(crate) const fn ticks(self, nanoseconds: u64) -> u64 {
        let nanoseconds = if nanoseconds < FAR { nanoseconds } else { FAR };
        let ticks = (nanoseconds * self.0 + u32::MAX as u64) >> 32;
        if ticks == 0 { 1 } else { ticks }
    }
}

/// How a core tells the time and is woken. All cores have the same numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timer {
    /// The clock of the module.
    pub(crate) clock: Clock,
    /// The alarm's rate.
    pub(crate) rate: Rate,
    /// The alarm compares with the time-stamp counter; else it counts down.
    pub(crate) deadline: bool,
    /// The local APIC of whoever asks.
    pub(crate) local: Local,
}

impl Timer {
    /// Sets the alarm; [`NEVER`] stops it.
    pub(crate) fn arm(&self, at: u64) {
        let now = read_tsc();
        let count = if at == NEVER { 0 } else { self.rate.ticks(at.saturating_sub(self.clock.at(now))) };
        if self.deadline {
            let deadline = if count == 0 { 0 } else { now.wrapping_add(count) };
            // SAFETY: `deadline` is chosen only where CPUID tells of this register.
            unsafe { write_msr(msr::TSC_DEADLINE, deadline) };
        } else {
            self.local.set_count(count as u32);
        }
    }
}

/// What a measured frequency was meant to be: whole megahertz if those are within 100 ppm (the
/// crystal is better than our measurement), else as measured.
pub(crate) const fn rounded(measured: u64) -> u64 {
    const MEGAHERTZ: u64 = 1_000_000;
    let whole = (measured + MEGAHERTZ / 2) / MEGAHERTZ * MEGAHERTZ;
    if whole != 0 && whole.abs_diff(measured) <= measured / 10_000 { whole } else { measured }
}

/// Frequency of the ACPI timer (ACPI specification, §4.8.3.3).
pub(crate) const ACPI_TIMER: u64 = 3_579_545;

/// The frequency of a counter that advanced by `ticks` while the ACPI timer advanced by `reference`.
pub(crate) fn frequency(ticks: u64, reference: u64) -> u64 {
    (u128::from(ticks) * u128::from(ACPI_TIMER)).checked_div(u128::from(reference)).unwrap_or(0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_gigahertz_is_exact() {
        let clock = Clock::new(1000, SECOND);
        assert_eq!(clock.scale, 1 << 32);
        assert_eq!(clock.at(1000), 0);
        assert_eq!(clock.at(u64::MAX), u64::MAX - 1000);
        assert_eq!(Rate::new(SECOND).ticks(123_456_789), 123_456_789);
        assert_eq!(Rate::new(SECOND).ticks(0), 1);
        assert_eq!(Rate::new(SECOND).ticks(u64::MAX), FAR, "comes early");
    }

    #[test]
    fn measured_frequencies_are_rounded_to_what_was_meant() {
        assert_eq!(rounded(999_960_000), SECOND);
        assert_eq!(rounded(1_000_040_001), SECOND);
        assert_eq!(rounded(2_399_870_000), 2_400_000_000);
        assert_eq!(rounded(2_394_454_000), 2_394_454_000, "too far from 2394");
        assert_eq!(rounded(0), 0);
        assert_eq!(frequency(SECOND, ACPI_TIMER), SECOND);
        assert_eq!(rounded(frequency(SECOND / 50, ACPI_TIMER / 50)), SECOND);
    }

    proptest! {
        #[test]
        fn time_never_goes_back(frequency in 1_000_000u64..10_000_000_000, ticks in 0u64..1 << 60) {
            let clock = Clock::new(0, frequency);
            prop_assert!(clock.at(ticks) <= clock.at(ticks + 1));
        }

        #[test]
        fn an_alarm_is_not_early(frequency in 1_000_000u64..7_900_000_000, wait in 1u64..FAR) {
            let clock = Clock::new(0, frequency);
            let ticks = Rate::new(frequency).ticks(wait);
            // The clock's factor is rounded down by less than 2⁻³² per tick.
            prop_assert!(clock.at(ticks) + (ticks >> 32) + 1 >= wait);
            prop_assert!(clock.at(ticks) <= wait + SECOND / frequency + 1 + wait / 1_000_000);
        }
    }
}
