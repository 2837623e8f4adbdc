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
//! The ring is read while it is written, so both sides use whole words (8 bytes, atomic), and a
//! reader has to find out whether what it read was overwritten meanwhile:
//!
//! ```text
//!   kernel                                 reader, of record n
//!   ──────                                 ──────
//!   fence (release)                        wait until next > n (load, acquire)
//!   store both words of slot n % capacity  load both words of slot n % capacity
//!   next = n + 1 (store, release)          fence (acquire)
//!                                          next < n + capacity (load)? else the record is lost
//! ```
//! The last comparison leaves out `next == n + capacity`: then the kernel may be at this very slot.
//! `next` only grows (64 bits never wrap); it begins at 0 at boot, and the kernel never waits for a
//! reader.

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
    /// An error reached the health monitor: partition; value = error | action << 16.
    1 Health "health",
    /// A partition (re)starts: partition; value = generation.
    2 Start "start",
    /// A partition changed its mode: partition; value = mode.
    3 Mode "mode",
    /// The schedule changed: number.
    4 Schedule "schedule",
    /// A partition stopped.
    5 Stop "stop",
}
