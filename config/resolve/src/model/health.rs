// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Health tables: error → action, complete (`otherwise` is applied already).

use super::ScheduleIndex;

/// An error of ARINC 653 Part 1. The discriminant is its position in [`HealthTable::actions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process missed its deadline.
    DeadlineMissed,
    /// The program raised an error itself.
    ApplicationError,
    /// Division by zero, FP exception.
    NumericError,
    /// A kernel call that is not allowed.
    IllegalRequest,
    /// A stack overflowed.
    StackOverflow,
    /// An access outside of the partition's memory.
    MemoryViolation,
    /// The hardware reported an error.
    HardwareFault,
    /// Power is about to fail.
    PowerFail,
}

impl Fault {
    /// All errors, in the order of [`HealthTable::actions`].
    pub const ALL: [Fault; 8] = [
        Fault::DeadlineMissed,
        Fault::ApplicationError,
        Fault::NumericError,
        Fault::IllegalRequest,
        Fault::StackOverflow,
        Fault::MemoryViolation,
        Fault::HardwareFault,
        Fault::PowerFail,
    ];

    /// The key in the description.
    pub fn key(self) -> &'static str {
        match self {
            Fault::DeadlineMissed => "deadline-missed",
            Fault::ApplicationError => "application-error",
            Fault::NumericError => "numeric-error",
            Fault::IllegalRequest => "illegal-request",
            Fault::StackOverflow => "stack-overflow",
            Fault::MemoryViolation => "memory-violation",
            Fault::HardwareFault => "hardware-fault",
            Fault::PowerFail => "power-fail",
        }
    }
}

/// What the health monitor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell the partition's error handler (process level).
    Process,
    /// Nothing.
    Ignore,
    /// Only count and trace it.
    Log,
    /// Stop the partition (ARINC 653: IDLE).
    Stop,
    /// Restart it, keeping what a warm start keeps.
    WarmStart,
    /// Restart it from pristine memory.
    ColdStart,
    /// Reset the module.
    ModuleReset,
    /// Stop the module.
    ModuleStop,
    /// Switch the schedule.
    Schedule(ScheduleIndex),
}

/// A table of actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthTable {
    /// Its name; `default` and `module` always exist.
    pub name: String,
    /// One action per error, indexed by [`Fault`].
    pub actions: [Action; 8],
    /// When a handler process is missing or fails.
    pub otherwise: Action,
    /// More than these: [`give_up`](Self::give_up).
    pub restarts: Restarts,
    /// What happens to a partition that restarts too often.
    pub give_up: Action,
}

/// A number of restarts within some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarts {
    /// So many are allowed.
    pub count: u32,
    /// Within this time, nanoseconds.
    pub within: u64,
}
