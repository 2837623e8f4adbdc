// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Rings in static shared memory, between two partitions that don't trust each other.
//!
//! ```text
//!          client                                              server
//!   ┌────────────────────┐    out ──────────▶ incoming   ┌────────────────────┐
//!   │ block::Client      │    one area each way,         │ block::Server      │
//!   │ network::Port      │    one doorbell each way      │ network::Port      │
//!   │ console::Console   │    incoming ◀────────── out   │ console::Console   │
//!   └────────────────────┘                               └────────────────────┘
//! ```
//! An area is written by one side and read by the other ([`layout`]). So a peer can make nothing
//! wrong but its own words, and each of these is loaded once, into a local, and checked before it
//! is used: an index may only tell of as many entries as the ring has, an id has to be in flight, a
//! range has to lie in the area. Each call does a bounded amount of work, whatever the peer writes
//! meanwhile. A peer that breaks the rules is not listened to until it starts anew
//! ([`connection::Connection::faults`]).
//!
//! No end waits and none rings. The caller's loop:
//!
//! ```text
//!   loop {
//!       … next_request/complete, read/completed, send/receive …   as long as there is something
//!       if end.notify()    { bell.ring() }                  the peer may sleep: wake it
//!       if end.may_sleep() { wait(event) }                  no wake-up is lost
//!   }
//! ```
//! Either side may start anew at any time, see [`connection`]. For programs that just want to use a
//! disk, a network or a console there are clients that wait, in the ecosystem's traits: [`client`].
#![cfg_attr(not(any(test, feature = "fake")), no_std)]
#![forbid(unsafe_code)]

pub mod block;
pub mod client;
pub mod connection;
pub mod console;
#[cfg(any(test, feature = "fake"))]
pub mod fake;
pub mod layout;
pub mod memory;
pub mod network;
#[cfg(test)]
mod tests;
#[cfg(feature = "rt")]
mod volatile;

pub use memory::Memory;

/// Why an end of a link could not be made, or did not take something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// An area is too small for the protocol.
    Area,
    /// The peer was not there yet, so nothing is known of what it serves.
    Down,
    /// No room now; there is some after the peer's next steps.
    Full,
    /// A range that does not lie within, or of a wrong size.
    Range,
    /// The disk may only be read.
    ReadOnly,
    /// The server does not do that.
    Unsupported,
    /// The server tried, and the device failed.
    Device,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Error::Area => "the area is too small",
            Error::Down => "the peer is not there",
            Error::Full => "no room now",
            Error::Range => "outside of what there is",
            Error::ReadOnly => "may only be read",
            Error::Unsupported => "not supported",
            Error::Device => "the device failed",
        })
    }
}

impl core::error::Error for Error {}
