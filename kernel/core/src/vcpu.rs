// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the kernel knows of a vCPU beside its registers.

use core::sync::atomic::{AtomicU32, AtomicU64};
use parzelle_abi::NEVER;
use spin::mutex::TicketMutex;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Nothing: it continues where it was.
    Continue,
    /// It returns from `wait` with the events of its interest.
    Wake,
    /// It begins.
    Fresh,
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
    pub(crate) state: State,
    pub(crate) entry: Entry,
    /// Index in the plan, partition, slot in its queue, queue on its core.
    pub(crate) number: u32,
    pub(crate) partition: u32,
    pub(crate) slot: u32,
    pub(crate) queue: u32,
    pub(crate) priority: u32,
    /// The first and the last slot of the same priority.
    pub(crate) class: (u32, u32),
    /// Events that end a `wait`.
    pub(crate) interest: u64,
    /// Events that leave the guest context.
    pub(crate) guest_interest: u64,
    /// The upcall handler; 0 = none.
    pub(crate) upcall_entry: u64,
    pub(crate) upcall_stack: u64,
    pub(crate) upcall_interest: u64,
    /// When the wait ends, when the timer's event is due.
    pub(crate) deadline: u64,
    pub(crate) timer: u64,
    /// Budget per period (0 = no limit), what is left, when the period began.
    pub(crate) budget: u64,
    pub(crate) period: u64,
    pub(crate) budget_left: u64,
    pub(crate) period_start: u64,
    pub(crate) start: Start,
    /// The region that the latest address was found in.
    pub(crate) region_hint: u32,
    /// Its window began since it last ran: tell it the planned start.
    pub(crate) window_news: bool,
}

impl Vcpu {
    /// When it wants to be woken: the earlier of deadline and timer, or the budget's next period.
    pub(crate) fn wake_time(&self) -> u64 {
        match self.state {
            State::Stopped => NEVER,
            State::Ready => self.timer,
            State::Waiting => self.deadline.min(self.timer),
            State::Exhausted => self.period_start.saturating_add(self.period).min(self.timer),
        }
    }

    /// Begins the budget's period that `now` lies in, if that is another than the last; periods
    /// begin with the first frame. Tells whether there is a new budget.
    pub(crate) fn replenish(&mut self, now: u64) -> bool {
        let since = now.saturating_sub(self.period_start);
        let begun = since >= self.period;
        if begun {
            self.period_start = now - since.checked_rem(self.period).unwrap_or(0);
            self.budget_left = self.budget;
        }
        begun
    }

    /// Forgets all but what the plan says.
    pub(crate) fn reset(&mut self) {
        self.state = State::Stopped;
        self.entry = Entry::Fresh;
        (self.interest, self.guest_interest) = (0, 0);
        (self.upcall_entry, self.upcall_stack, self.upcall_interest) = (0, 0, 0);
        (self.deadline, self.timer) = (NEVER, NEVER);
        self.window_news = false;
    }
}

/// What other cores may do to a vCPU: leave events and requests. Everything else has one writer,
/// its core.
#[derive(Default)]
pub(crate) struct Mailbox {
    /// Pending events.
    pub(crate) pending: AtomicU64,
    /// Requests: [`REQUEST_STOP`], [`REQUEST_START`].
    pub(crate) requests: AtomicU32,
    /// How to start, for [`REQUEST_START`].
    pub(crate) start: TicketMutex<Start>,
    /// Time used, in nanoseconds. Written by its core only.
    pub(crate) used: AtomicU64,
}

/// Stop it; its core counts it down in the partition's `stopping`.
pub(crate) const REQUEST_STOP: u32 = 1;
/// Start it as its mailbox says.
pub(crate) const REQUEST_START: u32 = 2;
