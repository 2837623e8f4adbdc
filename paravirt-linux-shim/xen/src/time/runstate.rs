// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where a vCPU's time went: Linux makes "stolen" time and scheduler clocks of it.

use crate::abi::shared::{RUNSTATE_UPDATE, RunstateInfo};

/// What a vCPU does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum RunState {
    /// It runs.
    Running = 0,
    /// It could, but others do.
    Runnable = 1,
    /// It waits for an event.
    Blocked = 2,
    /// It is not started.
    #[default]
    Offline = 3,
}

/// A vCPU's account. Times are system time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunStates {
    state: RunState,
    since: u64,
    spent: [u64; 4],
}

impl RunStates {
    /// Begins the account of a vCPU that is not started.
    #[must_use]
    pub const fn new(now: u64) -> Self {
        Self { state: RunState::Offline, since: now, spent: [0; 4] }
    }

    /// What it does.
    #[must_use]
    pub const fn state(&self) -> RunState {
        self.state
    }

    /// It does something else from now on.
    pub fn change(&mut self, state: RunState, now: u64) {
        let spent = now.saturating_sub(self.since);
        if let Some(sum) = self.spent.get_mut(self.state as usize) {
            *sum = sum.wrapping_add(spent);
        }
        self.state = state;
        // Time does not go back, even if the caller's clock did.
        self.since = self.since.max(now);
    }

    /// It was preempted at `at` and runs again now: for shims that learn so only afterwards.
    pub fn was_preempted(&mut self, at: u64, now: u64) {
        self.change(RunState::Runnable, at);
        self.change(RunState::Running, now);
    }

    /// What the guest is told (`get_runstate_info`).
    #[must_use]
    pub fn info(&self) -> RunstateInfo {
        RunstateInfo { state: self.state as u32, pad: 0, state_entry_time: self.since, time: self.spent }
    }

    /// Writes it to the guest's area, by words: `put(offset, value)`; what was there `before` need not be written again. With `marks` (the assist
    /// `RunstateUpdateFlag`) the guest sees that it is being changed, so that another vCPU may read
    /// it, too.
    pub fn write(&self, before: Option<&Self>, marks: bool, mut put: impl FnMut(usize, u64)) {
        const ENTRY: usize = core::mem::offset_of!(RunstateInfo, state_entry_time);
        const TIME: usize = core::mem::offset_of!(RunstateInfo, time);
        if marks {
            put(ENTRY, self.since | RUNSTATE_UPDATE);
        }
        if before.is_none_or(|before| before.state != self.state) {
            put(0, u64::from(self.state as u32));
        }
        for (index, spent) in self.spent.iter().enumerate() {
            if before.is_none_or(|before| before.spent.get(index) != Some(spent)) {
                put(TIME + 8 * index, *spent);
            }
        }
        put(ENTRY, self.since);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATES: [RunState; 4] = [RunState::Running, RunState::Runnable, RunState::Blocked, RunState::Offline];

    proptest! {
        #[test]
        fn all_time_is_accounted_for(start in 0u64..1 << 40, steps in prop::collection::vec((0usize..4, 0u64..1 << 40), 0..40)) {
            let mut account = RunStates::new(start);
            let mut now = start;
            for (state, wait) in steps {
                now += wait;
                account.change(STATES[state], now);
                let info = account.info();
                prop_assert_eq!(info.state, state as u32);
                prop_assert_eq!(info.time.iter().sum::<u64>(), now - start);
                prop_assert_eq!(info.state_entry_time, now);
            }
        }
    }

    #[test]
    fn a_change_is_marked_first_and_unmarked_last() {
        let mut account = RunStates::new(0);
        account.change(RunState::Running, 7);
        let mut writes = Vec::new();
        account.write(None, true, |at, value| writes.push((at, value)));
        assert_eq!(writes.first(), Some(&(8, 7 | RUNSTATE_UPDATE)));
        assert_eq!(writes.last(), Some(&(8, 7)));
        assert!(writes.contains(&(16 + 3 * 8, 7)), "offline until 7");
        let before = account;
        account.was_preempted(10, 15);
        let mut changes = Vec::new();
        account.write(Some(&before), false, |at, value| changes.push((at, value)));
        assert_eq!(changes, [(16, 3), (24, 5), (8, 15)]);
        assert_eq!(account.info().time, [3, 5, 0, 7]);
    }
}
