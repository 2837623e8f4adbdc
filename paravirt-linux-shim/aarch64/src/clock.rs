// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's timer in the kernel's time.
//!
//! Guest and partition read the same counter (the kernel keeps CNTVOFF_EL2 at 0), so a deadline of
//! the guest becomes one of `wait` by the scale in the head of the vCPU page.

/// When the counter reaches `ticks`, in nanoseconds since boot, rounded up; 0 for what has passed
/// before boot, `u64::MAX` (never) for what lies beyond.
///
/// `zero`, `scale`: `counter_zero` and `counter_scale` of the vCPU page.
#[must_use]
pub fn deadline(ticks: u64, zero: u64, scale: u64) -> u64 {
    let Some(since_boot) = ticks.checked_sub(zero) else {
        return 0;
    };
    let scaled = u128::from(since_boot) * u128::from(scale);
    u64::try_from(scaled.div_ceil(1 << 32)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_deadlines_that_are_not_too_early() {
        let scale = 16 << 32;
        assert_eq!(deadline(1_000, 900, scale), 1_600);
        assert_eq!(deadline(899, 900, scale), 0);
        assert_eq!(deadline(u64::MAX, 0, scale), u64::MAX);
        assert_eq!(deadline(3, 0, (1 << 32) + 1), 4, "rounded up");
    }
}
