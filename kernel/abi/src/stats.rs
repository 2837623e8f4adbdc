// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the kernel counts for a partition.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The counters of a partition since boot. Times in nanoseconds; sums over its vCPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Statistics {
    /// When this was read.
    pub now: u64,
    /// Processor time used, kernel work on its behalf included.
    pub used: u64,
    /// Windows of its time partition that began by plan.
    pub windows_planned: u64,
    /// Windows that were entered.
    pub windows_run: u64,
    /// Windows entered later than the plan's tolerance, or not at all.
    pub windows_missed: u64,
    /// Least distance from planned to actual start.
    pub late_min: u64,
    /// Largest distance from planned to actual start.
    pub late_max: u64,
    /// Messages written or sent to ports.
    pub messages_sent: u64,
    /// Messages read or received from ports.
    pub messages_received: u64,
    /// Errors that reached the health monitor.
    pub health_events: u64,
    /// Restarts, the first start not counted.
    pub restarts: u64,
    /// How often it was woken.
    pub wake_ups: u64,
    /// The last error that reached the health monitor: number + 1, 0 for none.
    pub last_error: u64,
    /// The address that belongs to it.
    pub last_address: u64,
    /// The code that belongs to it (the processor's syndrome, or the length of a message).
    pub last_code: u64,
    /// Of `used`: in windows of others, which those left (time partition 0).
    pub slack: u64,
    /// What its runs were interrupted by, and guests left for: by [`Exit`].
    pub exits: [u64; Exit::ALL.len()],
    /// Longest path through the kernel with interrupts masked so far on the caller's core, in
    /// ticks of the processor's counter; 0 when the kernel was built without `measure`.
    pub longest_masked: u64,
}

crate::call::numbered! {
    /// Why a vCPU, or its guest, was left, not at its own wish: what [`Statistics::exits`] counts.
    Exit:
    /// A window's end, a deadline, a budget: the schedule timer.
    0 Timer "timer",
    /// A device's interrupt, its own or another's.
    1 Line "interrupt",
    /// Another core's request.
    2 Kick "kick",
    /// A fault.
    3 Fault "fault",
    /// From here on as [`crate::aarch64::GuestExit`]: the guest did what is the shim's to handle.
    4 GuestSync "guest sync",
    /// The guest's timer.
    5 GuestTimer "guest timer",
    /// An event for the shim while its guest ran.
    6 GuestEvent "guest event",
    /// The guest has ended an interrupt.
    7 GuestMaintenance "guest maintenance",
}
