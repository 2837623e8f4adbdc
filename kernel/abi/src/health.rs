// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The vocabulary of the health monitor (ARINC 653 Part 1, §2.4 and §3.8): operating modes, start
//! conditions, errors and actions.

use crate::call::numbered;

numbered! {
    /// The operating mode of a partition (ARINC 653 Part 1, §2.3.1.4).
    Mode:
    /// Not running; only another partition or the health monitor can start it.
    0 Idle "idle",
    /// Starting with everything as in the image.
    1 ColdStart "cold-start",
    /// Starting with retained memory kept.
    2 WarmStart "warm-start",
    /// Started.
    3 Normal "normal",
}

numbered! {
    /// Why a partition (re)starts (ARINC 653 START_CONDITION).
    Condition:
    /// The module was switched on or reset.
    0 NormalStart "normal start",
    /// It asked for it by SET_PARTITION_MODE.
    1 PartitionRestart "partition restart",
    /// The health monitor restarted it.
    2 HealthMonitorRestart "health monitor restart",
    /// Another partition with the right restarted it.
    3 ControlledRestart "controlled restart",
}

numbered! {
    /// The errors of ARINC 653 Part 1 (§2.4.2.1), as keys of a health table.
    ErrorId:
    /// A process missed its deadline.
    0 DeadlineMissed "deadline-missed",
    /// A program reported an error; Rust's panic comes here too.
    1 ApplicationError "application-error",
    /// Division by zero, overflow, floating point exception.
    2 NumericError "numeric-error",
    /// An instruction, call or register that is not the partition's to use.
    3 IllegalRequest "illegal-request",
    /// The guard page below a stack was touched.
    4 StackOverflow "stack-overflow",
    /// Memory outside of the partition's, or used against its rights.
    5 MemoryViolation "memory-violation",
    /// The hardware reported an error.
    6 HardwareFault "hardware-fault",
    /// Power is about to fail.
    7 PowerFail "power-fail",
}

/// How many errors there are.
pub const ERRORS: usize = ErrorId::ALL.len();

numbered! {
    /// What the health monitor does about an error.
    Action:
    /// Nothing; the event is counted and traced like all.
    0 Ignore "ignore",
    /// Leaves a message in the health log.
    1 Log "log",
    /// An upcall to the partition's error handler (process level).
    2 Process "process",
    /// Stops the partition.
    3 Stop "stop",
    /// Restarts it, retained memory kept.
    4 WarmStart "warm-start",
    /// Restarts it as from the image.
    5 ColdStart "cold-start",
    /// Resets the module.
    6 ModuleReset "module-reset",
    /// Stops the module.
    7 ModuleStop "module-stop",
    /// Switches to another schedule.
    8 Schedule "schedule",
}
