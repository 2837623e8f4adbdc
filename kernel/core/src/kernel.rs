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
use crate::events::count;
use crate::machine::{Fault, Machine};
use crate::partition::{Partition, WindowCount};
use crate::port::Channel;
use crate::ready::ReadySet;
use crate::sync::{AtomicU32, AtomicU64};
use crate::trace::Trace;
use crate::vcpu::{Mailbox, Vcpu};
use core::cell::Cell;
use core::ops::Range;
use parzelle_abi::aarch64::GuestExit;
use parzelle_abi::stats::Exit;
use parzelle_abi::{Call, Error, NEVER};
use parzelle_plan::{ChangeRecord, Plan, WindowRecord};

/// What the cores share.
pub struct Shared {
    pub(crate) plan: Plan<'static>,
    pub(crate) partitions: &'static [Partition],
    pub(crate) channels: &'static [Channel],
    /// By the vCPU's index in the plan.
    pub(crate) mailboxes: &'static [Mailbox],
    pub(crate) windows: &'static [WindowCount],
    pub(crate) cores: &'static [CoreShared],
    /// Schedule to run << 48 | number of the frame with which it begins.
    pub(crate) schedule: AtomicU64,
}

/// What other cores may see and change of a core.
pub(crate) struct CoreShared {
    pub(crate) number: u32,
    /// The queue (on this core) whose window it is, and the least priority with which somebody of
    /// time partition 0 would run now: whether an interrupt makes sense.
    pub(crate) queue: AtomicU32,
    pub(crate) floor: AtomicU32,
    /// vCPUs (on this core) whose mailboxes have something new.
    pub(crate) inbox: &'static [AtomicU64],
}

/// A time partition on a core.
pub(crate) struct Queue {
    /// Number on its core, where 0 is time partition 0, and index in the plan.
    pub(crate) number: u32,
    pub(crate) index: u32,
    /// Its slots are these vCPUs of the core.
    pub(crate) vcpus: Range<u32>,
    pub(crate) ready: ReadySet,
    /// Of all slots, but those that may go before a window: see [`CoreData::urgent`].
    pub(crate) deadlines: Deadlines,
    /// Where the next round among equals begins.
    pub(crate) cursor: Cell<u32>,
    /// Its interrupt lines, among the core's.
    pub(crate) lines: Range<u32>,
    /// The first partition whose restart is done at this queue's expense, or NONE.
    pub(crate) work: Cell<u32>,
    pub(crate) count: &'static WindowCount,
}

impl Queue {
    /// Whether it is time partition 0, which runs in gaps and slack.
    pub(crate) fn is_background(&self) -> bool {
        self.number == 0
    }
}

/// A partition that this core restarts.
#[derive(Clone, Copy)]
pub(crate) struct Job {
    /// Units done.
    pub(crate) progress: u32,
    /// The life that it is done for.
    pub(crate) life: u32,
    /// The next partition in that list, or NONE.
    pub(crate) next: u32,
}

/// An interrupt line of a core.
pub(crate) struct Line {
    pub(crate) number: u32,
    /// Index in the plan.
    pub(crate) index: u32,
    /// The vCPU that hears it, and the event that it hears.
    pub(crate) vcpu: &'static Vcpu,
    pub(crate) event: u32,
    /// The owner wants it: bound, and acknowledged since it was last raised.
    pub(crate) open: Cell<bool>,
}

/// The current window.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) schedule: u32,
    /// `u64::MAX` before the first.
    pub(crate) frame: u64,
    pub(crate) frame_start: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) queue: &'static Queue,
    /// Time partition 0 may run when the queue has nobody.
    pub(crate) slack: bool,
    /// The windows behind it in the frame.
    pub(crate) rest: &'static [WindowRecord],
}

/// What is left to do before the kernel is left, as bits of [`CoreData::due`].
pub(crate) mod due {
    /// Somebody became ready, or isn't any more.
    pub(crate) const RESCHEDULE: u32 = 1;
    /// The current vCPU may have something due: it is another one, or an event was raised in it.
    pub(crate) const ATTEND: u32 = 2;
    /// Restarts or changes of a new schedule are under way.
    pub(crate) const WORK: u32 = 4;
    /// They have begun with this entry to the kernel: their units begin with the next.
    pub(crate) const BEGUN: u32 = 8;
    /// The current vCPU was charged with this entry.
    pub(crate) const CHARGED: u32 = 16;
    /// Mail is left for those who may run now: the timer fires at once.
    pub(crate) const URGENT: u32 = 32;
    /// What the timer is armed for may have changed.
    pub(crate) const REARM: u32 = 64;
    /// A window has begun that is sealed from the one before, by empty caches, too.
    pub(crate) const SEAL: u32 = 128;
    pub(crate) const FLUSH: u32 = 256;
}

/// What a core owns beside its machine.
pub struct CoreData {
    pub(crate) core: &'static CoreShared,
    /// Index in the plan of its first vCPU.
    pub(crate) first_vcpu: u32,
    pub(crate) vcpus: &'static [Vcpu],
    pub(crate) queues: &'static [Queue],
    /// Time partition 0, and the deadlines of those in it that may go before a window.
    pub(crate) background: &'static Queue,
    pub(crate) urgent: &'static Deadlines,
    pub(crate) lines: &'static [Line],
    /// From a line's number to its place in `lines`.
    pub(crate) line_places: &'static [u16],
    pub(crate) trace: Trace,
    pub(crate) window: Window,
    /// The vCPU that runs, and the one whose context is loaded.
    pub(crate) current: Option<&'static Vcpu>,
    pub(crate) loaded: Option<&'static Vcpu>,
    /// Since when the current one runs.
    pub(crate) since: u64,
    pub(crate) armed: u64,
    /// Bits of [`due`].
    pub(crate) due: u32,
    /// What is published in [`CoreShared::floor`].
    pub(crate) floor: u32,
    /// Restarts under way, by partition; how many there are; changes of a new schedule to make.
    pub(crate) jobs: &'static mut [Job],
    pub(crate) working: u32,
    pub(crate) changes: &'static [ChangeRecord],
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
            count(Some(current), Exit::Fault as usize);
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
        count(self.data.current, Exit::Line as usize);
        self.machine.mask_line(line);
        let place = self.data.line_places.get(line as usize).map_or(usize::MAX, |&place| place as usize);
        if let Some(line) = self.data.lines.get(place)
            && line.open.replace(false)
        {
            self.signal_local(line.vcpu, 1 << (line.event & 63));
        }
        self.finish();
    }

    /// The armed time has come.
    pub fn on_timer(&mut self) {
        count(self.data.current, Exit::Timer as usize);
        self.data.armed = NEVER;
        let now = self.machine.now();
        self.charge(now);
        self.advance(now);
        self.data.due |= due::RESCHEDULE | due::REARM;
        self.finish();
    }

    /// Another core asked to look.
    pub fn on_kick(&mut self) {
        count(self.data.current, Exit::Kick as usize);
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
    pub fn current(&self) -> Option<u32> {
        self.data.current.map(|vcpu| vcpu.number)
    }

    /// What every entry ends with: for most calls, nothing.
    #[inline(always)]
    fn finish(&mut self) {
        if self.data.due != 0 {
            self.finish_due();
        }
    }

    #[inline(never)]
    fn finish_due(&mut self) {
        if self.data.due & due::URGENT != 0 {
            self.data.due &= !due::URGENT;
            self.read_inbox();
        }
        if self.data.due & (due::WORK | due::BEGUN) == due::WORK {
            self.work();
        }
        if self.data.due & due::RESCHEDULE != 0 {
            self.dispatch();
        }
        if self.data.due & (due::REARM | due::WORK | due::URGENT) != 0 {
            self.rearm();
        }
        if self.data.due & due::ATTEND != 0 {
            self.deliver();
        }
        if self.data.due & due::SEAL != 0 {
            self.seal();
        }
        self.data.due &= due::WORK | due::URGENT | due::RESCHEDULE;
    }

    /// The vCPU of that index in the plan, if it is one of this core's.
    #[inline(always)]
    pub(crate) fn local(&self, number: u32) -> Option<&'static Vcpu> {
        self.data.vcpus.get(number.wrapping_sub(self.data.first_vcpu) as usize)
    }
}
