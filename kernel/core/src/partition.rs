// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What all cores know of a partition.

use core::sync::atomic::{AtomicU32, AtomicU64};

/// A partition's state. Its mode, generation and condition are written by the core that restarts
/// it, under the partition's `stopping` count; the counters by whoever counts.
#[derive(Default)]
pub(crate) struct Partition {
    /// A [`parzelle_abi::health::Mode`].
    pub(crate) mode: AtomicU32,
    /// A [`parzelle_abi::health::Condition`].
    pub(crate) condition: AtomicU32,
    /// Restarts so far.
    pub(crate) generation: AtomicU32,
    /// vCPUs on other cores that have yet to stop before it can start again.
    pub(crate) stopping: AtomicU32,
    /// How often it was stopped or restarted: a request of a former life means nothing any more.
    pub(crate) life: AtomicU32,
    /// 1: it was NORMAL once; those that wait for it were started.
    pub(crate) was_normal: AtomicU32,
    /// 1: it was started once.
    pub(crate) started: AtomicU32,
    /// Restarts by the health monitor in the current period, and when that began.
    pub(crate) restarts_counted: AtomicU32,
    pub(crate) restarts_since: AtomicU64,
    pub(crate) messages_sent: AtomicU64,
    pub(crate) messages_received: AtomicU64,
    pub(crate) health_events: AtomicU64,
    pub(crate) wake_ups: AtomicU64,
    pub(crate) last_error: AtomicU64,
    pub(crate) last_address: AtomicU64,
    pub(crate) last_code: AtomicU64,
}

/// The windows of a queue, counted by its core, read by all.
pub(crate) struct WindowCount {
    pub(crate) planned: AtomicU64,
    pub(crate) run: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) late_min: AtomicU64,
    pub(crate) late_max: AtomicU64,
}

impl Default for WindowCount {
    fn default() -> Self {
        WindowCount {
            planned: AtomicU64::new(0),
            run: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            late_min: AtomicU64::new(u64::MAX),
            late_max: AtomicU64::new(0),
        }
    }
}
