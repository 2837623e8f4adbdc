// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From counter ticks to nanoseconds, as `vcpu_time_info` says it.
//!
//! ```text
//!   ns = (ticks shifted left by `shift`, or right if that is negative) * multiplier / 2^32
//! ```

/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;

/// How ticks become nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Nanoseconds of a shifted tick, times 2^32: at least 2^31, so that no precision is given away.
    pub multiplier: u32,
    /// Bits by which ticks are shifted before.
    pub shift: i8,
}

impl Scale {
    /// Makes the most precise scale for a counter of so many ticks a second. None: no counter
    /// ticks 0 times, nor more often than 2^61 times.
    #[must_use]
    pub fn of_frequency(hertz: u64) -> Option<Self> {
        if hertz == 0 || hertz >= 1 << 61 {
            return None;
        }
        // ns per tick = SECOND / hertz = multiplier / 2^32 * 2^shift. Find the shift that brings
        // the multiplier into [2^31, 2^32).
        let mut shift = 0i8;
        loop {
            let scaled = if shift >= 0 {
                (SECOND << 32) / (u128::from(hertz) << shift)
            } else {
                (SECOND << 32 << shift.unsigned_abs()) / u128::from(hertz)
            };
            match u32::try_from(scaled) {
                Ok(multiplier) if multiplier >= 1 << 31 => return Some(Self { multiplier, shift }),
                Ok(_) => shift -= 1,
                Err(_) => shift += 1,
            }
        }
    }

    /// Takes over a scale of 32.32 bits, so that both clocks tell the same time: `ns = ticks * fixed /
    /// 2^32`. None: 0.
    #[must_use]
    pub const fn of_fixed(fixed: u64) -> Option<Self> {
        if fixed == 0 {
            return None;
        }
        // The highest bit set becomes bit 31.
        let shift = 32 - fixed.leading_zeros() as i8;
        let multiplier = if shift >= 0 { fixed >> shift } else { fixed << -shift };
        Some(Self { multiplier: multiplier as u32, shift })
    }

    /// Nanoseconds of so many ticks, rounded down, as the guest computes them.
    #[must_use]
    pub fn nanoseconds(self, ticks: u64) -> u64 {
        let shifted = match self.shift {
            0.. => ticks.wrapping_shl(self.shift.unsigned_abs().into()),
            _ => ticks.wrapping_shr(self.shift.unsigned_abs().into()),
        };
        ((u128::from(shifted) * u128::from(self.multiplier)) >> 32) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tick_of_a_nanosecond_is_one() {
        let scale = Scale::of_frequency(1_000_000_000).unwrap();
        assert_eq!(scale, Scale { multiplier: 1 << 31, shift: 1 });
        assert_eq!(scale.nanoseconds(123_456_789), 123_456_789);
        assert_eq!(Scale::of_frequency(0), None);
        assert_eq!(Scale::of_frequency(u64::MAX), None);
    }

    proptest! {
        /// Over a day, to a nanosecond in 2^31, and what the shift cuts off.
        #[test]
        fn time_is_right_for_any_counter(hertz in 1_000u64..20_000_000_000, seconds in 0u64..86_400) {
            let scale = Scale::of_frequency(hertz).unwrap();
            prop_assert!(scale.multiplier >= 1 << 31);
            let ns = scale.nanoseconds(hertz * seconds);
            let right = seconds * 1_000_000_000;
            let slack = (right >> 31) + 2 + (1u64 << scale.shift.unsigned_abs().min(40));
            prop_assert!(ns <= right && right - ns <= slack, "{ns} for {right}");
        }

        /// Over a day.
        #[test]
        fn a_fixed_scale_tells_the_same_time(fixed in 1u64 << 28..1 << 38, ticks in 0u64..86_400_000_000_000) {
            let scale = Scale::of_fixed(fixed).unwrap();
            prop_assert!(scale.multiplier >= 1 << 31);
            let right = ((u128::from(fixed) * u128::from(ticks)) >> 32) as u64;
            let slack = (right >> 31) + 2;
            let ns = scale.nanoseconds(ticks);
            prop_assert!(ns <= right && right - ns <= slack, "{ns} for {right}");
        }

        #[test]
        fn any_frequency_ends_in_a_scale(hertz in 1u64..1 << 61) {
            prop_assert!(Scale::of_frequency(hertz).is_some());
        }
    }
}
