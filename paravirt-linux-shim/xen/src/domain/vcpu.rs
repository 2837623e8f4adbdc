// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a vCPU has, besides its event channels ([`crate::events::VcpuEvents`]).

use core::sync::atomic::{AtomicBool, AtomicU64};

use spin::mutex::SpinMutex;
use spin::relax::{RelaxStrategy, Spin};

use crate::abi::trap::GuestContext;
use crate::time::{RunStates, Timer};

/// A vCPU's part of a domain.
#[derive(Debug)]
pub struct Vcpu<R: RelaxStrategy = Spin> {
    /// It is to run.
    pub(super) up: AtomicBool,
    /// The other vCPUs of its core.
    pub(super) neighbours: AtomicU64,
    /// It was kicked since it began to poll.
    pub(super) kicked: AtomicBool,
    pub(super) life: SpinMutex<Life, R>,
    pub(super) times: SpinMutex<Times, R>,
}

/// How far it has come.
#[derive(Debug)]
pub(super) struct Life {
    /// What it begins with, once the guest has said so.
    pub(super) context: Option<GuestContext>,
    /// Its loop was started.
    pub(super) started: bool,
}

/// Its times, in system time.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) timer: Timer,
    /// What the host's timer is set to.
    pub(super) armed: Option<u64>,
    /// When others of its core are to have their turn.
    pub(super) slice_end: u64,
    pub(super) account: RunStates,
    /// The account as the guest was shown it last.
    pub(super) shown: Option<RunStates>,
    /// Where the guest wants to see the account.
    pub(super) area: Option<u64>,
}

impl<R: RelaxStrategy> Default for Vcpu<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: RelaxStrategy> Vcpu<R> {
    /// Begins with nothing, and down.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            up: AtomicBool::new(false),
            neighbours: AtomicU64::new(0),
            kicked: AtomicBool::new(false),
            life: SpinMutex::new(Life { context: None, started: false }),
            times: SpinMutex::new(Times {
                timer: Timer::new(),
                armed: None,
                slice_end: u64::MAX,
                account: RunStates::new(0),
                shown: None,
                area: None,
            }),
        }
    }
}
