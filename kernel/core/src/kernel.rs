// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A core's state, and what it is asked.
//!
//! ```text
//!   on_…  ─► changes state, may set `reschedule` ─► finish
//!                                                     │ 1 a few units of long work (lifecycle)
//!                                                     │ 2 dispatch: pick, switch, account, arm
//!                                                     │ 3 deliver: start, wake, events, upcalls
//!                                                     ▼
//!                                               current()
//! ```
//! What a core owns (`CoreData`) nobody else writes. What cores share is atomic words, or lies
//! behind a FIFO lock; a core that changes something of another's leaves a request in the vCPU's
//! mailbox and a bit in the core's inbox.

use crate::deadlines::Deadlines;
use crate::machine::{Fault, Machine};
use crate::partition::{Partition, WindowCount};
use crate::port::Channel;
use crate::ready::ReadySet;
use crate::trace::Trace;
use crate::vcpu::{Mailbox, Vcpu};
use core::sync::atomic::{AtomicU32, AtomicU64};
use parzelle_abi::aarch64::GuestExit;
use parzelle_abi::{Call, Error, NEVER};
use parzelle_plan::{Plan, Span};
use spin::mutex::TicketMutex;

/// What the cores share.
pub struct Shared {
    pub(crate) plan: Plan<'static>,
    pub(crate) partitions: &'static [Partition],
    pub(crate) channels: &'static [TicketMutex<Channel>],
    pub(crate) mailboxes: &'static [Mailbox],
    pub(crate) windows: &'static [WindowCount],
    pub(crate) cores: &'static [CoreShared],
    /// Schedule to run << 48 | number of the frame with which it begins.
    pub(crate) schedule: AtomicU64,
}

/// What other cores may see and change of a core.
pub(crate) struct CoreShared {
    /// The queue (on this core) whose window it is, and the least priority with which somebody of
    /// time partition 0 would run now: whether an interrupt makes sense.
    pub(crate) queue: AtomicU32,
    pub(crate) floor: AtomicU32,
    /// vCPUs (on this core) whose mailboxes have something new.
    pub(crate) inbox: &'static [AtomicU64],
}

/// A time partition on a core.
pub(crate) struct Queue {
    /// Its slots are the core's vCPUs from here on.
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) ready: ReadySet,
    pub(crate) deadlines: Deadlines,
    /// Where the next round among equals begins.
    pub(crate) cursor: u32,
    /// Its interrupt lines: a range of the core's.
    pub(crate) lines: (u32, u32),
    /// The first partition whose restart is done at this queue's expense, or NONE.
    pub(crate) work: u32,
}

/// A partition that this core restarts.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    /// Units done.
    pub(crate) progress: u32,
    /// It is in a queue's list.
    pub(crate) listed: bool,
    /// The next partition in that list, or NONE.
    pub(crate) next: u32,
}

/// An interrupt line of a core.
#[derive(Clone, Copy)]
pub(crate) struct Line {
    pub(crate) number: u32,
    /// Index in the plan.
    pub(crate) index: u32,
    /// The vCPU (on this core) that hears it, and the event that it hears.
    pub(crate) vcpu: u32,
    pub(crate) event: u32,
    /// The owner wants it: bound, and acknowledged since it was last raised.
    pub(crate) open: bool,
    pub(crate) queue: u32,
}

/// The current window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) schedule: u32,
    pub(crate) index: u32,
    pub(crate) frame: u64,
    pub(crate) frame_start: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) queue: u32,
    pub(crate) slack: bool,
}

impl Window {
    /// Before the first window.
    pub(crate) const NONE: Window = Window {
        schedule: 0,
        index: 0,
        frame: u64::MAX,
        frame_start: NEVER,
        start: NEVER,
        end: NEVER,
        queue: 0,
        slack: false,
    };
}

/// What a core owns beside its machine.
pub struct CoreData {
    pub(crate) number: u32,
    /// Index in the plan of its first vCPU, and of its first queue.
    pub(crate) first_vcpu: u32,
    pub(crate) first_queue: u32,
    pub(crate) vcpus: &'static mut [Vcpu],
    pub(crate) queues: &'static mut [Queue],
    pub(crate) lines: &'static mut [Line],
    /// From a line's number to its place in `lines`.
    pub(crate) line_places: &'static [u16],
    pub(crate) trace: Trace,
    pub(crate) window: Window,
    /// The vCPU (on this core) that runs, and the one whose context is loaded.
    pub(crate) current: Option<u32>,
    pub(crate) loaded: Option<u32>,
    /// Since when the current one runs.
    pub(crate) since: u64,
    pub(crate) armed: u64,
    pub(crate) reschedule: bool,
    /// The current vCPU may have something due: it is another one, or an event was raised in it.
    pub(crate) attend: bool,
    /// What is published in [`CoreShared::floor`].
    pub(crate) floor: u32,
    /// Something is left to do that is due to those who may run now: the timer fires at once.
    pub(crate) urgent: bool,
    /// Restarts under way, by partition; how many there are; changes of a new schedule to make.
    pub(crate) jobs: &'static mut [Job],
    pub(crate) working: u32,
    /// A restart has begun with this entry to the kernel: its units begin with the next.
    pub(crate) begun: bool,
    pub(crate) changes: Span,
}

/// A core.
pub struct CoreState<M: Machine> {
    /// The processor.
    pub machine: M,
    pub(crate) shared: &'static Shared,
    pub(crate) data: &'static mut CoreData,
}

impl<M: Machine> CoreState<M> {
    /// Joins a core's objects with its processor.
    pub fn new(shared: &'static Shared, data: &'static mut CoreData, machine: M) -> Self {
        CoreState { machine, shared, data }
    }

    /// Begins the first frame at `epoch` (nanoseconds since boot, the same on all cores) and
    /// starts the partitions that start at once.
    pub fn start(&mut self, epoch: u64) {
        self.begin_schedule(epoch);
        self.start_partitions();
        self.rearm();
    }

    /// A kernel call of the current vCPU's host context.
    #[inline]
    pub fn on_call(&mut self, number: u64, arguments: [u64; 5]) {
        let Some(caller) = self.data.current else { return };
        let result = match Call::from_number(number) {
            Some(call) => self.call(caller, call, arguments),
            None => Err(Error::UnknownCall),
        };
        match result {
            Ok(Some(value)) => self.machine.set_result(0, value),
            Ok(None) => {}
            Err(error) => self.machine.set_result(error as u64, 0),
        }
        self.finish();
    }

    /// A fault of the current vCPU's host context.
    pub fn on_fault(&mut self, fault: Fault) {
        if let Some(current) = self.data.current {
            self.report_fault(current, fault);
        }
        self.finish();
    }

    /// An error outside of any partition, which the processor survived: SError, machine check,
    /// a spurious NMI.
    pub fn on_module_error(&mut self, fault: Fault) {
        self.report_module(fault);
        self.finish();
    }

    /// An interrupt of a device, which the machine has acknowledged; it ends it before or after.
    pub fn on_line(&mut self, line: u32) {
        self.machine.mask_line(line);
        let place = self.data.line_places.get(line as usize).map_or(usize::MAX, |&place| place as usize);
        if let Some(entry) = self.data.lines.get_mut(place)
            && entry.open
        {
            entry.open = false;
            let (vcpu, event) = (entry.vcpu, entry.event);
            self.signal_local(vcpu, 1 << event);
        }
        self.finish();
    }

    /// The armed time has come.
    pub fn on_timer(&mut self) {
        self.data.armed = NEVER;
        let now = self.machine.now();
        if now >= self.data.window.end {
            self.next_window(now);
        }
        self.expire(now);
        self.enforce_budget(now);
        self.data.reschedule = true;
        self.finish();
    }

    /// Another core asked to look.
    pub fn on_kick(&mut self) {
        self.read_inbox();
        self.finish();
    }

    /// The guest context of the loaded vCPU must be left. It need not be the current one: its window
    /// may be over and nobody else's context loaded since; then it finds the exit in its next.
    pub fn on_guest_exit(&mut self, exit: GuestExit) {
        if let Some(loaded) = self.data.loaded {
            self.leave_guest(loaded, exit);
        }
        self.finish();
    }

    /// The vCPU to return to (index in the plan), or `None`: wait for an interrupt.
    #[inline]
    pub fn current(&self) -> Option<u32> {
        self.data.current.map(|local| self.data.first_vcpu + local)
    }

    /// What every entry ends with: for most calls, nothing.
    #[inline(always)]
    fn finish(&mut self) {
        let data = &self.data;
        if data.reschedule | data.attend || data.working | data.changes.count != 0 {
            self.finish_due();
        }
    }

    #[inline(never)]
    fn finish_due(&mut self) {
        if !core::mem::take(&mut self.data.begun) && (self.data.working != 0 || self.data.changes.count != 0) {
            self.work();
        }
        if self.data.reschedule {
            self.dispatch();
        }
        if self.data.attend {
            self.data.attend = false;
            self.deliver();
        }
    }

    /// Where a vCPU (index in the plan) stands among this core's, if it is one of them.
    #[inline(always)]
    pub(crate) fn local(&self, number: u32) -> Option<u32> {
        let local = number.wrapping_sub(self.data.first_vcpu);
        ((local as usize) < self.data.vcpus.len()).then_some(local)
    }

    /// The vCPU (on this core) of that number.
    #[inline]
    pub(crate) fn vcpu(&mut self, local: u32) -> Option<&mut Vcpu> {
        self.data.vcpus.get_mut(local as usize)
    }
}
