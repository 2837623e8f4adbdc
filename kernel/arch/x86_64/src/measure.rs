// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The longest stretch with interrupts masked (feature `measure`).

/// What the entry and the exit around the measured part take at most, in instructions (counted from outside, after a
/// fault): the stub, both saves and restores, here and in `trap.S`; less what the measuring itself takes. Under
/// instruction counting a tick is one.
const AROUND: u64 = 72;

/// The stopwatch of a core.
#[derive(Debug, Default)]
pub(crate) struct Measure {
    begun: u64,
    longest: u64,
}

impl Measure {
    /// The kernel was entered when the counter showed `ticks`.
    pub(crate) fn begin(&mut self, ticks: u64) {
        self.begun = ticks;
    }

    /// The kernel is left.
    pub(crate) fn end(&mut self, ticks: u64) {
        let passed = ticks.wrapping_sub(self.begun) + AROUND;
        self.longest = self.longest.max(passed);
    }

    /// The longest stretch so far, in ticks.
    pub(crate) fn longest(&self) -> u64 {
        self.longest
    }
}
