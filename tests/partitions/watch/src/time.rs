// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! When windows begin, as their partition sees it.

use parzelle_rt::abi::MASKED_PATH_MAX;
use parzelle_rt::{VcpuPage, now};
use test_support::Test;

use crate::PERIOD;

/// How much later a window may begin than the latest quiet one (ns, instructions under icount): by L,
/// the longest path with interrupts masked, and by a switch of the space (the plan allows 400): a quiet
/// window begins on an idle core.
pub(crate) const TOLERANCE: u64 = MASKED_PATH_MAX as u64 + 400;

/// The starts that were seen.
pub(crate) struct Starts {
    last: u64,
    count: u64,
    least: u64,
    most: u64,
    quiet: (u64, u64),
}

impl Starts {
    pub(crate) fn new() -> Self {
        Self { last: 0, count: 0, least: u64::MAX, most: 0, quiet: (0, 0) }
    }

    /// Looks at the start of a window. To be called first in it.
    pub(crate) fn look(&mut self, came: bool, test: &mut Test) {
        let (now, start) = (now(), VcpuPage::first().window_start());
        let late = now.saturating_sub(start);
        test.check(came, "a window did not come");
        if self.last != 0 {
            test.equal("distance of windows", start - self.last, PERIOD);
        }
        self.last = start;
        self.count += 1;
        // The first one may have been under way when this program was loaded.
        if self.count > 2 {
            (self.least, self.most) = (self.least.min(late), self.most.max(late));
        }
    }

    /// What was seen so far is how it is without an attack.
    pub(crate) fn end_of_quiet(&mut self) {
        self.quiet = (self.least, self.most);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Least distance from planned start to the first look.
    pub(crate) fn least(&self) -> u64 {
        self.least
    }

    /// Largest distance.
    pub(crate) fn most(&self) -> u64 {
        self.most
    }

    /// Both, before the attack.
    pub(crate) fn quiet(&self) -> (u64, u64) {
        self.quiet
    }
}
