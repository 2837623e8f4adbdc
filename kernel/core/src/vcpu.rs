// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the kernel knows of a vCPU beside its registers.
//!
//! ```text
//!   Vcpu     its core's alone: state, interests, deadlines; cells, so that whoever
//!     │      runs on that core may hold a reference
//!     ▼
//!   Mailbox  everybody's: events and requests left there by any core, atomic words
//! ```

use crate::deadlines::Deadlines;
use crate::kernel::{CoreShared, Queue};
use crate::partition::{Partition, WindowCount};
use crate::sync::{AtomicU32, AtomicU64, Lock};
use core::cell::Cell;
use core::sync::atomic::Ordering::Relaxed;
use parzelle_abi::NEVER;
use parzelle_abi::stats::Exit;
use parzelle_plan::VcpuRecord;

/// Whether a vCPU can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It does not exist for the time being.
    Stopped,
    /// It can run.
    Ready,
    /// It waits for an event in its interest, or its deadline.
    Waiting,
    /// Its budget is used up until the next period.
    Exhausted,
}

/// What has to be done to a vCPU's context before it runs, when its space is loaded.
pub(crate) mod task {
    /// It returns from `wait` with the events of its interest.
    pub(crate) const WAKE: u32 = 1;
    /// It begins; nothing else matters then.
    pub(crate) const START: u32 = 2;
    /// Its window has begun since it last ran: it is told the planned start.
    pub(crate) const WINDOW: u32 = 4;
}

/// How a vCPU begins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start {
    pub(crate) entry: u64,
    pub(crate) stack: u64,
    pub(crate) arguments: [u64; 2],
    /// The partition's life that this belongs to; a start of a former life is dropped.
    pub(crate) life: u32,
}

/// A vCPU, owned by its core.
pub(crate) struct Vcpu {
    pub(crate) record: &'static VcpuRecord,
    /// Index in the plan.
    pub(crate) number: u32,
    pub(crate) partition: &'static Partition,
    pub(crate) mailbox: &'static Mailbox,
    /// Its time partition here, its place there, the first and the last place of equal priority.
    pub(crate) queue: &'static Queue,
    pub(crate) slot: u32,
    pub(crate) class: (u32, u32),
    /// The slots of time partition 0 below this one go before it.
    pub(crate) outranked: u32,
    pub(crate) deadlines: &'static Deadlines,
    /// Whether it has a budget.
    pub(crate) limited: bool,
    /// What the timer is armed for while it runs: the same for all with the same number.
    pub(crate) horizon: u32,
    pub(crate) state: Cell<State>,
    /// Bits of [`task`].
    pub(crate) tasks: Cell<u32>,
    /// Events that end a `wait`, enter the upcall handler, leave the guest context.
    pub(crate) interest: Cell<u64>,
    pub(crate) upcall_interest: Cell<u64>,
    pub(crate) guest_interest: Cell<u64>,
    /// The upcall handler (0 = none) and its stack.
    pub(crate) upcall: Cell<(u64, u64)>,
    /// When the wait ends, when the timer's event is due.
    pub(crate) deadline: Cell<u64>,
    pub(crate) timer: Cell<u64>,
    /// What is left of the budget, when the period began.
    pub(crate) budget_left: Cell<u64>,
    pub(crate) period_start: Cell<u64>,
    pub(crate) start: Cell<Start>,
    /// Where the stack begins that the plan gives it, below which a page guards it.
    pub(crate) floor: u64,
    /// The region that the latest address was found in.
    pub(crate) region_hint: Cell<u32>,
}

impl Vcpu {
    /// Enters in its heap when it wants to be woken: the earlier of deadline and timer, or the budget's
    /// next period. Tells whether the heap has changed.
    pub(crate) fn update_deadline(&self) -> bool {
        let timer = self.timer.get();
        let time = match self.state.get() {
            State::Stopped => NEVER,
            State::Ready => timer,
            State::Waiting => self.deadline.get().min(timer),
            State::Exhausted => self.period_start.get().saturating_add(self.record.period).min(timer),
        };
        self.deadlines.set(self.slot as usize, time)
    }

    /// Begins the budget's period that `now` lies in, if that is another than the last; periods
    /// begin with the first frame. Tells whether there is a new budget.
    pub(crate) fn replenish(&self, now: u64) -> bool {
        let since = now.saturating_sub(self.period_start.get());
        let begun = since >= self.record.period;
        if begun {
            self.period_start.set(now - since.checked_rem(self.record.period).unwrap_or(0));
            self.budget_left.set(self.record.budget);
        }
        begun
    }

    /// Forgets all but what the plan says.
    pub(crate) fn reset(&self) {
        self.state.set(State::Stopped);
        self.tasks.set(task::START);
        [&self.interest, &self.upcall_interest, &self.guest_interest].iter().for_each(|interest| interest.set(0));
        self.upcall.set((0, 0));
        [&self.deadline, &self.timer].iter().for_each(|time| time.set(NEVER));
    }
}

/// What all cores know of a vCPU, and may do to it: leave events and requests. The counters have
/// one writer, its core.
pub(crate) struct Mailbox {
    /// Pending events.
    pub(crate) pending: AtomicU64,
    /// Requests: [`REQUEST_STOP`], [`REQUEST_START`].
    pub(crate) requests: AtomicU32,
    /// How to start, for [`REQUEST_START`]; until its core has read that.
    pub(crate) start: Lock<Option<Start>>,
    /// The partition's life in which one of its other vCPUs has started it, plus 1.
    pub(crate) begun: AtomicU32,
    /// Where it runs: core, place among the vCPUs there, time partition there, priority.
    pub(crate) core: &'static CoreShared,
    pub(crate) local: u32,
    pub(crate) queue: u32,
    pub(crate) priority: u32,
    pub(crate) windows: &'static WindowCount,
    pub(crate) accounts: Accounts,
}

/// What a vCPU has done so far.
#[derive(Default)]
pub(crate) struct Accounts {
    /// Time, in nanoseconds; and of that, in windows of others.
    pub(crate) used: Counter,
    pub(crate) slack: Counter,
    /// Messages.
    pub(crate) sent: Counter,
    pub(crate) received: Counter,
    pub(crate) wake_ups: Counter,
    /// By [`parzelle_abi::stats::Exit`].
    pub(crate) exits: [Counter; Exit::ALL.len()],
}

/// A count with one writer and any number of readers.
#[derive(Default)]
pub(crate) struct Counter(core::sync::atomic::AtomicU64);

impl Counter {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// For the writer: plain instructions, as nobody else writes.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub(crate) fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }
}

/// Stop it; its core counts it down in the partition's `stopping`.
pub(crate) const REQUEST_STOP: u32 = 1;
/// Start it as its mailbox says.
pub(crate) const REQUEST_START: u32 = 2;
