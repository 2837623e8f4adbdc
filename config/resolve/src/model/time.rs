// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Time: schedules, their windows, and who runs in them.

use super::{PartitionIndex, Place, TimePartitionIndex};

/// So much time in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time, in nanoseconds; never more than the period.
    pub time: u64,
    /// Period, in nanoseconds.
    pub period: u64,
}

/// A time partition: partitions that share windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimePartition {
    /// `0` for time partition 0; else the name that windows have in `run`.
    pub name: String,
    /// The partitions in it, sorted.
    pub members: Vec<PartitionIndex>,
}

/// A schedule: all cores' windows over one major frame.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// The tool added it: no schedule was written.
    pub derived: bool,
    /// The major frame, in nanoseconds, common to all cores.
    pub frame: u64,
    /// One entry per core of the system, in order, also for cores without written windows.
    pub cores: Vec<CoreSchedule>,
    /// What happens to partitions when this schedule begins, sorted by partition.
    pub change_actions: Vec<ChangeRule>,
    /// The head of its table.
    pub head: Option<Place>,
}

/// The windows of one core: contiguous, from 0 to the frame's end.
#[derive(Clone, Debug)]
pub struct CoreSchedule {
    /// The core.
    pub core: u32,
    /// In the order of time; gaps are windows of time partition 0.
    pub windows: Vec<Window>,
}

/// One window, after expansion of periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From the frame's start, in nanoseconds.
    pub start: u64,
    /// In nanoseconds, never 0.
    pub duration: u64,
    /// Whose window it is.
    pub time_partition: TimePartitionIndex,
    /// Whether time partition 0 gets what it leaves.
    pub slack: bool,
    /// Whether its begin empties the core's caches and predictors.
    pub flush: bool,
    /// From its start until somebody runs in it, in nanoseconds; 0: as soon as may be. Always less
    /// than its duration.
    pub pad: u64,
    /// The entry in the file that it comes from; `None` for a gap.
    pub written: Option<Place>,
}

/// What happens to one partition when a schedule begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeRule {
    /// The partition.
    pub partition: PartitionIndex,
    /// What happens to it.
    pub action: ChangeAction,
}

/// An ARINC 653 schedule change action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeAction {
    /// Restart, keeping what a warm start keeps.
    WarmStart,
    /// Restart from pristine memory.
    ColdStart,
    /// Stop it.
    Stop,
}
