// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! How many frames to everybody a port may send: each costs all others time.

/// A second in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// A bucket of permissions that fills at a fixed rate.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Nanoseconds that one frame costs.
    cost: u64,
    /// The most that is saved up, in nanoseconds.
    most: u64,
    saved: u64,
    last: u64,
}

impl Limit {
    /// At most `rate` frames per second on average, and `burst` at once. Rate 0: none at all.
    pub fn new(rate: u64, burst: u64) -> Self {
        let cost = SECOND.checked_div(rate).unwrap_or(u64::MAX).max(1);
        let most = if rate == 0 { 0 } else { cost.saturating_mul(burst.max(1)) };
        Self { cost, most, saved: most, last: 0 }
    }

    /// Whether one more may pass at `now` (nanoseconds).
    pub fn pass(&mut self, now: u64) -> bool {
        self.saved = self.saved.saturating_add(now.saturating_sub(self.last)).min(self.most);
        self.last = self.last.max(now);
        let pays = self.saved >= self.cost;
        if pays {
            self.saved -= self.cost;
        }
        pays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_pass_and_then_the_rate_holds() {
        let mut limit = Limit::new(100, 10);
        assert_eq!((0..50).filter(|_| limit.pass(0)).count(), 10);
        let per_second = (0..10_000).filter(|n| limit.pass(n * SECOND / 10_000)).count();
        assert!((99..=100).contains(&per_second), "{per_second}");
        assert_eq!((0..50).filter(|_| limit.pass(10 * SECOND)).count(), 10);
        assert!(!limit.pass(0), "time that goes back gives nothing");
    }

    #[test]
    fn rate_zero_passes_nothing() {
        let mut limit = Limit::new(0, 10);
        assert!(!limit.pass(0) && !limit.pass(u64::MAX));
    }
}
