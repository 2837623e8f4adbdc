// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Windows, and who runs in them.
//!
//! ```text
//!   frame │ control ▓▓▓▓▓▓▓░░░│ gap ░░░░░░░░░│ display ▓▓▓▓░░░░│ …
//!           ▓ the window's time partition    ░ slack and gaps: time partition 0 (queue 0)
//! ```
//! In a window the ready vCPU with the highest priority of its queue runs; one of queue 0 goes
//! first only with a higher priority, and takes what the window leaves. Equals take turns at
//! window boundaries and at polls. The hardware timer is armed for what can matter now: the
//! window's end, deadlines of eligible vCPUs, the current one's budget.

use crate::deadlines::Deadlines;
use crate::kernel::{CoreState, Queue, due};
use crate::machine::Machine;
use crate::vcpu::{State, Vcpu, task};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use parzelle_abi::trace::TraceKind;
use parzelle_abi::{Error, NEVER, event};
use parzelle_plan::{VCPU_GUEST, WINDOW_FLUSH, WINDOW_NO_SLACK, WindowRecord};

/// A switch of schedule asked for within this time before a frame's end waits for the next
/// frame's end, so that all cores see it in time.
const SWITCH_NOTICE: u64 = 100_000;

/// The part of a request that is a frame's number.
const FRAMES: u64 = (1 << 48) - 1;

/// How many deadlines of a queue are handled before interrupts are looked at again.
const DUE_AT_ONCE: usize = 4;

/// Whether both are the same vCPU, or nobody.
#[inline(always)]
fn same(one: Option<&Vcpu>, other: Option<&Vcpu>) -> bool {
    let address = |vcpu: Option<&Vcpu>| vcpu.map_or(core::ptr::null(), core::ptr::from_ref);
    address(one) == address(other)
}

impl<M: Machine> CoreState<M> {
    /// Enters the first window at `epoch`; until then nothing runs.
    pub(crate) fn begin_schedule(&mut self, epoch: u64) {
        let window = &mut self.data.window;
        (window.frame_start, window.start, window.end) = (epoch, epoch, epoch);
        self.data.vcpus.iter().for_each(|vcpu| vcpu.period_start.set(epoch));
    }

    /// Does what time has made due: the next window, deadlines, the end of a budget.
    pub(crate) fn advance(&mut self, mut now: u64) {
        let entered = now >= self.data.window.end;
        if entered {
            now = self.next_window(now);
        }
        let (queue, background) = (self.data.window.queue, self.data.background);
        self.expire(&queue.deadlines, queue, now);
        let turn = || self.data.current.is_none_or(|vcpu| vcpu.queue.is_background());
        // At a window's begin, time partition 0 has to wait until the window leaves something.
        if !queue.is_background() && !entered && turn() {
            self.expire(&background.deadlines, background, now);
        }
        self.expire(self.data.urgent, background, now);
        self.enforce_budget(now);
    }

    /// The windows of a schedule on this core.
    fn timeline(&self, schedule: u32) -> &'static [WindowRecord] {
        let plan = &self.shared.plan;
        let timeline = plan.timelines().get(schedule as usize * plan.cores().len() + self.data.core.number as usize);
        timeline.and_then(|timeline| plan.windows().get(timeline.windows.range())).unwrap_or(&[])
    }

    /// Goes on to the window after the current one; returns when that was.
    fn next_window(&mut self, now: u64) -> u64 {
        let last = self.data.window.queue;
        if self.data.window.rest.is_empty() {
            self.next_frame(now);
        }
        let window = &mut self.data.window;
        let Some((record, rest)) = window.rest.split_first() else { return now };
        let Some(queue) = self.data.queues.get(record.queue as usize) else { return now };
        window.start = window.frame_start + record.start;
        window.end = window.start + record.duration;
        (window.queue, window.rest) = (queue, rest);
        window.slack = queue.is_background() || record.flags & WINDOW_NO_SLACK == 0;
        window.start += record.pad;
        if record.flags & WINDOW_FLUSH != 0 || record.pad != 0 {
            self.data.due |= due::SEAL | if record.flags & WINDOW_FLUSH != 0 { due::FLUSH } else { 0 };
        }
        self.enter_window(last, now);
        // What falls into the pad is due when programs begin.
        now.max(self.data.window.start)
    }

    /// Does what separates a window from the one before, as the last thing before a program runs in it:
    /// empties caches, and lets time pass until a constant after its planned start, so that nothing
    /// about the last window shows in this one. It is charged to nobody.
    #[cold]
    pub(crate) fn seal(&mut self) {
        if self.data.due & due::FLUSH != 0 {
            self.machine.flush();
        }
        let (queue, begin) = (self.data.window.queue, self.data.window.start);
        self.data.since = self.machine.now();
        while self.data.since < begin {
            self.data.since = self.machine.now();
        }
        let now = self.data.since;
        self.count_window(queue, now - begin, now);
    }

    /// Begins the next frame, with another schedule if that was asked for.
    fn next_frame(&mut self, now: u64) {
        let plan = &self.shared.plan;
        let window = &mut self.data.window;
        if window.frame != u64::MAX {
            window.frame_start += plan.schedules().get(window.schedule as usize).map_or(0, |record| record.frame);
        }
        window.frame = window.frame.wrapping_add(1);
        let asked = self.shared.schedule.load(Relaxed);
        let wanted = (asked >> 48) as u32;
        if window.frame >= asked & FRAMES && window.schedule != wanted {
            window.schedule = wanted;
            self.data.trace.write(now, TraceKind::Schedule, wanted, 0);
            let changes = plan.schedules().get(wanted as usize).and_then(|it| plan.changes().get(it.changes.range()));
            self.data.changes = changes.unwrap_or(&[]);
            self.data.due |= due::WORK | due::BEGUN;
        }
        self.data.window.rest = self.timeline(self.data.window.schedule);
    }

    /// Makes the window's queue eligible: interrupts, events, accounts.
    fn enter_window(&mut self, last: &'static Queue, now: u64) {
        let (queue, start) = (self.data.window.queue, self.data.window.start);
        if self.shared.cores.len() > 1 {
            self.data.core.queue.store(queue.number, SeqCst);
            self.read_inbox();
        }
        if queue.number != last.number {
            self.open_lines(last, false);
            self.open_lines(queue, true);
        }
        let late = now.saturating_sub(start);
        self.data.trace.write(now, TraceKind::Window, queue.index, late);
        let background = self.data.background;
        background.cursor.set(background.cursor.get() + 1);
        if queue.is_background() {
            return;
        }
        queue.cursor.set(queue.cursor.get() + 1);
        if self.data.due & due::SEAL == 0 {
            self.count_window(queue, late, now);
        }
        for vcpu in self.data.vcpus.get(queue.vcpus.start as usize..queue.vcpus.end as usize).unwrap_or(&[]) {
            vcpu.tasks.set(vcpu.tasks.get() | task::WINDOW);
            self.signal_local(vcpu, event::WINDOW);
        }
    }

    /// Counts a window, in as many instructions whether it is late or not.
    fn count_window(&mut self, queue: &Queue, late: u64, now: u64) {
        let (count, tolerance) = (queue.count, self.shared.plan.system.late_tolerance);
        // All of it may have passed, as when a debugger had stopped the board.
        let over = u64::from(now >= self.data.window.end);
        count.skipped.add(over);
        count.run.add(1 - over);
        count.missed.add(u64::from(late > tolerance));
        count.late_min.set(late.min(count.late_min.get()));
        count.late_max.set(late.max(count.late_max.get()));
    }

    /// Masks or unmasks the lines of a queue that its window ends or begins. Those of time partition
    /// 0 stay as they are: it is always eligible.
    fn open_lines(&mut self, queue: &Queue, eligible: bool) {
        if queue.is_background() || queue.lines.is_empty() {
            return;
        }
        let lines = self.data.lines.get(queue.lines.start as usize..queue.lines.end as usize).unwrap_or(&[]);
        for line in lines.iter().filter(|line| line.open.get()) {
            if eligible { self.machine.unmask_line(line.number) } else { self.machine.mask_line(line.number) }
        }
    }

    /// Whether vCPUs of this queue may run now.
    pub(crate) fn eligible(&self, queue: &Queue) -> bool {
        queue.is_background() || queue.number == self.data.window.queue.number
    }

    /// Handles deadlines of a queue that have passed.
    fn expire(&mut self, deadlines: &'static Deadlines, queue: &'static Queue, now: u64) {
        if deadlines.earliest() > now {
            return;
        }
        for _ in 0..DUE_AT_ONCE {
            let Some(slot) = deadlines.take_due(now) else { return };
            if let Some(vcpu) = self.data.vcpus.get(queue.vcpus.start as usize + slot) {
                self.due(vcpu, now);
            }
        }
    }

    /// The wake time of a vCPU has come.
    fn due(&mut self, vcpu: &'static Vcpu, now: u64) {
        let timer = vcpu.timer.get() <= now;
        if timer {
            vcpu.timer.set(NEVER);
        }
        let ready = match vcpu.state.get() {
            State::Waiting => vcpu.deadline.get() <= now,
            State::Exhausted => vcpu.replenish(now),
            State::Ready | State::Stopped => false,
        };
        if ready {
            self.make_ready(vcpu);
        }
        if timer {
            self.signal_local(vcpu, event::TIMER);
        }
        self.update_deadline(vcpu);
    }

    /// Enters in a heap when a vCPU wants to be woken.
    pub(crate) fn update_deadline(&mut self, vcpu: &Vcpu) {
        if vcpu.update_deadline() {
            self.data.due |= due::REARM;
        }
    }

    /// The vCPU that should run.
    fn pick(&self) -> Option<&'static Vcpu> {
        let (queue, background) = (self.data.window.queue, self.data.background);
        if !queue.is_background()
            && let Some(own) = self.first_of(queue)
        {
            let first = background.ready.first();
            return if first.is_some_and(|slot| (slot as u32) < own.outranked) {
                self.first_of(background)
            } else {
                Some(own)
            };
        }
        if self.data.window.slack { self.first_of(background) } else { None }
    }

    /// The ready vCPU of a queue with the highest priority; among equals, the one whose turn it is.
    fn first_of(&self, queue: &Queue) -> Option<&'static Vcpu> {
        let at = |slot: usize| self.data.vcpus.get(queue.vcpus.start as usize + slot);
        let slot = queue.ready.first()?;
        let vcpu = at(slot)?;
        let (begin, end) = vcpu.class;
        if begin == end {
            return Some(vcpu);
        }
        let cursor = queue.cursor.get();
        let next = if begin <= cursor && cursor <= end { queue.ready.first_from(cursor as usize) } else { None };
        let turn = next.filter(|&next| next as u32 <= end).unwrap_or(slot);
        queue.cursor.set(turn as u32);
        at(turn)
    }

    /// Chooses who runs, switches to it, accounts for who ran, and arms the timer.
    pub(crate) fn dispatch(&mut self) {
        let next = loop {
            self.data.due &= !due::RESCHEDULE;
            let next = self.pick();
            // Who was made ready meanwhile did not know that the current one won't go on.
            let again = self.shared.cores.len() > 1 && self.publish(next);
            if !again && self.data.due & due::RESCHEDULE == 0 {
                break next;
            }
        };
        self.data.due |= due::ATTEND;
        if !same(next, self.data.current) {
            self.switch(next);
        }
    }

    fn switch(&mut self, next: Option<&'static Vcpu>) {
        if self.data.due & due::CHARGED == 0 {
            let now = self.machine.now();
            self.charge(now);
        }
        let kind = |vcpu: Option<&Vcpu>| vcpu.map_or(u32::MAX, |vcpu| vcpu.horizon);
        if kind(next) != kind(self.data.current) || next.is_some_and(|vcpu| vcpu.limited) {
            self.data.due |= due::REARM;
        }
        self.data.current = next;
        let Some(vcpu) = next else { return };
        if !same(next, self.data.loaded) {
            self.machine.switch(vcpu.number, vcpu.record);
            self.data.loaded = next;
            // With a guest's context to load, a start is as much again: it comes with the next entry, at once.
            if vcpu.tasks.get() & task::START != 0 && vcpu.record.flags & VCPU_GUEST != 0 {
                self.data.current = None;
                self.data.due |= due::URGENT | due::RESCHEDULE;
            }
        }
        if vcpu.limited {
            vcpu.replenish(self.data.since);
        }
    }

    /// Tells other cores with which priority time partition 0 would run now; when that falls, looks
    /// what they have left meanwhile, and tells so.
    fn publish(&mut self, next: Option<&Vcpu>) -> bool {
        let floor = match next {
            Some(vcpu) if !vcpu.queue.is_background() => vcpu.record.priority + 1,
            None if !self.data.window.slack => u32::MAX,
            _ => 0,
        };
        let before = core::mem::replace(&mut self.data.floor, floor);
        if floor == before {
            return false;
        }
        self.data.core.floor.store(floor, SeqCst);
        if floor < before {
            self.read_inbox();
        }
        floor < before
    }

    /// Charges the current vCPU for the time since it was last charged.
    pub(crate) fn charge(&mut self, now: u64) {
        let spent = now.saturating_sub(self.data.since);
        self.data.since = now;
        self.data.due |= due::CHARGED;
        let Some(vcpu) = self.data.current else { return };
        vcpu.mailbox.accounts.used.add(spent);
        if vcpu.queue.number != self.data.window.queue.number {
            vcpu.mailbox.accounts.slack.add(spent);
        }
        if vcpu.limited {
            vcpu.budget_left.set(vcpu.budget_left.get().saturating_sub(spent));
        }
    }

    /// Arms the timer for the next thing that can matter.
    pub(crate) fn rearm(&mut self) {
        let data = &*self.data;
        let mut at = data.window.end.min(data.window.queue.deadlines.earliest());
        let (urgent, background) = (data.urgent.earliest(), data.background.deadlines.earliest());
        match data.current {
            // Deadlines of time partition 0 matter to a window only if they may end in going before.
            Some(own) if !own.queue.is_background() => at = at.min(if own.outranked != 0 { urgent } else { NEVER }),
            _ if data.window.slack => at = at.min(urgent).min(background),
            Some(_) => at = at.min(urgent),
            None => {}
        }
        if let Some(vcpu) = data.current
            && vcpu.limited
        {
            at = at.min(data.since.saturating_add(vcpu.budget_left.get()));
        }
        if data.due & (due::WORK | due::URGENT) != 0 && self.is_pressing() {
            at = 0;
        }
        if at != self.data.armed {
            self.data.armed = at;
            self.machine.arm(at);
        }
    }

    /// Whether something is left to be done at once: mail, or work that may be paid for now.
    fn is_pressing(&self) -> bool {
        self.data.due & due::URGENT != 0
            || !self.data.changes.is_empty()
            || self.data.working != 0 && self.payable().is_some()
    }

    /// Whether the current vCPU's budget is used up; then it waits for its next period. It was
    /// charged at `now`.
    fn enforce_budget(&mut self, now: u64) {
        let Some(vcpu) = self.data.current else { return };
        if !vcpu.limited || vcpu.state.get() != State::Ready {
            return;
        }
        if !vcpu.replenish(now) && vcpu.budget_left.get() == 0 {
            vcpu.state.set(State::Exhausted);
            self.not_ready(vcpu);
            self.update_deadline(vcpu);
        }
    }

    /// Asks for another schedule at the end of this frame, or of the next when that is too near.
    ///
    /// # Errors
    /// [`Error::InvalidMode`] while cores are just taking up another request: all of them have to
    /// see the same ones.
    pub(crate) fn request_schedule(&mut self, schedule: u32) -> Result<(), Error> {
        let now = self.machine.now();
        let (frame, frame_start) = (self.data.window.frame, self.data.window.frame_start);
        let running = self.shared.plan.schedules().get(self.data.window.schedule as usize);
        let length = running.map_or(0, |record| record.frame);
        let near = frame_start.saturating_add(length) < now.saturating_add(SWITCH_NOTICE);
        let fresh = now < frame_start.saturating_add(SWITCH_NOTICE);
        let wanted = frame.wrapping_add(if near { 2 } else { 1 }) & FRAMES;
        let asked = |old: u64| {
            let pending = old & FRAMES;
            let taken_up =
                near && pending == frame.wrapping_add(1) & FRAMES || fresh && pending == frame & FRAMES && frame != 0;
            (!taken_up).then_some(u64::from(schedule) << 48 | wanted)
        };
        self.shared.schedule.fetch_update(SeqCst, SeqCst, asked).map(|_| ()).map_err(|_| Error::InvalidMode)
    }
}
