// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What comes of a hypercall.

use crate::abi::Errno;
use crate::abi::sched::Shutdown;

/// What a vCPU's loop does with its guest next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Goes on.
    Resume,
    /// Lets others of this guest run first.
    Yield,
    /// Waits for an event (which is unmasked by now).
    Block,
    /// Waits for a port, until then (system time; none: for ever).
    Poll(Option<u64>),
    /// Waits until another vCPU brings this one up again; then it goes on behind the call.
    Down,
    /// Nothing: the guest has come to an end. The other vCPUs are told.
    Shutdown(Shutdown),
}

/// The answer to a hypercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Answer {
    /// For rax; set before what is next is done.
    pub result: u64,
    /// If it is not [`Next::Resume`], it is for [`super::Domain::pause`].
    pub next: Next,
}

impl Answer {
    pub(super) const fn of(next: Next) -> Self {
        Self { result: 0, next }
    }
}

impl From<Result<u64, Errno>> for Answer {
    fn from(result: Result<u64, Errno>) -> Self {
        Self { result: result.unwrap_or_else(Errno::result), next: Next::Resume }
    }
}

impl From<Errno> for Answer {
    fn from(errno: Errno) -> Self {
        Err(errno).into()
    }
}

/// How a vCPU goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Turn {
    /// Where it is.
    Run,
    /// With an upcall: the guest is entered at its event entry.
    Upcall,
    /// Not at all: the guest has come to an end, and nobody runs it any more.
    Over,
}
