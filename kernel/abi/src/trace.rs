// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The trace ring: one per core, written by the kernel, mapped read-only to a partition that has
//! the right `trace`.
//!
//! ```text
//!   ┌────────────┬────────┬────────┬─────
//!   │ TraceHeader│ record │ record │ …      record n of the run lies in slot n % capacity
//!   └────────────┴────────┴────────┴─────
//! ```
//! The writer fills the slot, then increments `next`. A reader that lags by more than the
//! capacity has lost records: it sees so from `next`.

use crate::call::numbered;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The head of a ring; 64 bytes, so that records stay on lines of their own.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TraceHeader {
    /// How many records have been written.
    pub next: u64,
    /// How many records the ring holds.
    pub capacity: u64,
    /// Keeps the size.
    pub reserved: [u64; 6],
}

/// One record.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TraceRecord {
    /// When, in nanoseconds since boot.
    pub time: u64,
    /// A [`TraceKind`].
    pub kind: u16,
    /// What it is about: a partition, time partition, vCPU or call.
    pub subject: u16,
    /// More of it.
    pub value: u32,
}

numbered! {
    /// What a record tells.
    TraceKind:
    /// A window began: time partition; value = lateness in nanoseconds.
    0 Window "window",
    /// A vCPU runs: its global number; value = its partition.
    1 Switch "switch",
    /// An error reached the health monitor: partition; value = error | action << 16.
    2 Health "health",
    /// A partition (re)starts: partition; value = generation.
    3 Start "start",
    /// A partition changed its mode: partition; value = mode.
    4 Mode "mode",
    /// The schedule changed: number.
    5 Schedule "schedule",
    /// A window was missed: time partition; value = lateness.
    6 Missed "missed",
    /// A partition stopped.
    7 Stop "stop",
}
