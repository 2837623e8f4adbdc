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

use crate::kernel::{CoreState, Window};
use crate::machine::Machine;
use crate::vcpu::State;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use parzelle_abi::trace::TraceKind;
use parzelle_abi::{Error, NEVER, event};
use parzelle_plan::{Span, SystemRecord, WINDOW_NO_SLACK};

/// A switch of schedule asked for within this time before a frame's end waits for the next
/// frame's end, so that all cores see it in time.
const SWITCH_NOTICE: u64 = 100_000;

/// The part of a request that is a frame's number.
const FRAMES: u64 = (1 << 48) - 1;

/// How many deadlines are handled before interrupts are looked at again.
const DUE_AT_ONCE: usize = 4;

impl<M: Machine> CoreState<M> {
    /// Enters the first window at `epoch`; until then nothing runs.
    pub(crate) fn begin_schedule(&mut self, epoch: u64) {
        let SystemRecord { first_schedule, .. } = *self.shared.plan.system;
        self.data.window =
            Window { schedule: first_schedule, frame_start: epoch, start: epoch, end: epoch, ..Window::NONE };
        self.data.vcpus.iter_mut().for_each(|vcpu| vcpu.period_start = epoch);
    }

    /// Goes on to the window after the current one.
    pub(crate) fn next_window(&mut self, now: u64) {
        let plan = &self.shared.plan;
        let last = self.data.window;
        let (cores, core) = (plan.cores().len(), self.data.number as usize);
        let windows = |schedule: u32| {
            plan.timelines()
                .get(schedule as usize * cores + core)
                .and_then(|timeline| plan.windows().get(timeline.windows.range()))
                .unwrap_or(&[])
        };
        let (mut schedule, mut index, mut frame, mut frame_start) =
            (last.schedule, last.index + 1, last.frame, last.frame_start);
        if frame == u64::MAX || index as usize >= windows(schedule).len() {
            if frame != u64::MAX {
                frame_start += plan.schedules().get(schedule as usize).map_or(0, |record| record.frame);
            }
            (index, frame) = (0, frame.wrapping_add(1));
            let asked = self.shared.schedule.load(Relaxed);
            if frame >= asked & FRAMES && schedule != (asked >> 48) as u32 {
                schedule = (asked >> 48) as u32;
                self.data.trace.write(now, TraceKind::Schedule, schedule, 0);
                self.data.changes =
                    plan.schedules().get(schedule as usize).map_or(Span::default(), |record| record.changes);
            }
        }
        let Some(record) = windows(schedule).get(index as usize) else { return };
        let start = frame_start + record.start;
        let window = Window {
            schedule,
            index,
            frame,
            frame_start,
            start,
            end: start + record.duration,
            queue: record.queue,
            slack: record.flags & WINDOW_NO_SLACK == 0,
        };
        self.data.window = window;
        self.enter_window(last.queue, now);
    }

    /// Makes the window's queue eligible: interrupts, events, accounts.
    fn enter_window(&mut self, last_queue: u32, now: u64) {
        let Window { queue, start, .. } = self.data.window;
        if let Some(core) = self.shared.cores.get(self.data.number as usize) {
            core.queue.store(queue, SeqCst);
        }
        self.read_inbox();
        if queue != last_queue {
            self.open_lines(last_queue, false);
            self.open_lines(queue, true);
        }
        for rotated in [0, queue] {
            if let Some(queue) = self.data.queues.get_mut(rotated as usize) {
                queue.cursor += 1;
            }
            if queue == 0 {
                break;
            }
        }
        let late = now.saturating_sub(start);
        let global = self.data.first_queue + queue;
        self.data.trace.write(now, TraceKind::Window, global, late);
        if queue == 0 {
            return;
        }
        self.count_window(global, late, now);
        let Some((first, count)) = self.data.queues.get(queue as usize).map(|queue| (queue.first, queue.count)) else {
            return;
        };
        for local in first..first + count {
            if let Some(vcpu) = self.vcpu(local) {
                vcpu.window_news = true;
            }
            self.signal_local(local, event::WINDOW);
        }
    }

    fn count_window(&mut self, global: u32, late: u64, now: u64) {
        let Some(count) = self.shared.windows.get(global as usize) else { return };
        // One writer: plain loads and stores suffice.
        count.planned.store(count.planned.load(Relaxed) + 1, Relaxed);
        count.run.store(count.run.load(Relaxed) + 1, Relaxed);
        if late > self.shared.plan.system.late_tolerance {
            count.missed.store(count.missed.load(Relaxed) + 1, Relaxed);
            self.data.trace.write(now, TraceKind::Missed, global, late);
        }
        if late < count.late_min.load(Relaxed) {
            count.late_min.store(late, Relaxed);
        }
        if late > count.late_max.load(Relaxed) {
            count.late_max.store(late, Relaxed);
        }
    }

    /// Masks or unmasks the lines of a queue that its window ends or begins. Those of queue 0
    /// stay as they are: it is always eligible.
    fn open_lines(&mut self, queue: u32, eligible: bool) {
        if queue == 0 {
            return;
        }
        let Some((first, end)) = self.data.queues.get(queue as usize).map(|queue| queue.lines) else { return };
        for line in self.data.lines.get(first as usize..end as usize).unwrap_or(&[]) {
            match (line.open, eligible) {
                (false, _) => {}
                (true, true) => self.machine.unmask_line(line.number),
                (true, false) => self.machine.mask_line(line.number),
            }
        }
    }

    /// Whether vCPUs of this queue may run now.
    #[inline]
    pub(crate) fn eligible(&self, queue: u32) -> bool {
        queue == 0 || queue == self.data.window.queue
    }

    /// Handles deadlines that have passed, of eligible queues.
    pub(crate) fn expire(&mut self, now: u64) {
        let queues = [self.data.window.queue, 0];
        for queue in queues.into_iter().take(if self.data.window.queue == 0 { 1 } else { 2 }) {
            for _ in 0..DUE_AT_ONCE {
                let Some((slot, first)) = self
                    .data
                    .queues
                    .get_mut(queue as usize)
                    .and_then(|queue| Some((queue.deadlines.take_due(now)?, queue.first)))
                else {
                    break;
                };
                self.due(first + slot as u32, now);
            }
        }
    }

    /// The wake time of a vCPU has come.
    fn due(&mut self, local: u32, now: u64) {
        let Some(vcpu) = self.vcpu(local) else { return };
        let timer = vcpu.timer <= now;
        if timer {
            vcpu.timer = NEVER;
        }
        let waited = vcpu.state == State::Waiting && vcpu.deadline <= now;
        let replenished = vcpu.state == State::Exhausted && vcpu.replenish(now);
        if waited || replenished {
            self.make_ready(local);
        }
        if timer {
            self.signal_local(local, event::TIMER);
        }
        self.update_deadline(local);
    }

    /// Enters the vCPU's wake time in its queue's heap.
    pub(crate) fn update_deadline(&mut self, local: u32) {
        let Some(vcpu) = self.data.vcpus.get(local as usize) else { return };
        if let Some(queue) = self.data.queues.get_mut(vcpu.queue as usize) {
            queue.deadlines.set(vcpu.slot as usize, vcpu.wake_time());
        }
    }

    /// The vCPU that should run.
    #[inline]
    fn pick(&mut self) -> Option<u32> {
        let Window { queue, slack, frame, .. } = self.data.window;
        if frame == u64::MAX {
            return None;
        }
        let background = self.first_of(0);
        if queue == 0 {
            return background;
        }
        let Some(window) = self.first_of(queue) else {
            return if slack { background } else { None };
        };
        match background {
            Some(background) if self.priority(background) > self.priority(window) => Some(background),
            _ => Some(window),
        }
    }

    #[inline]
    fn priority(&self, local: u32) -> u32 {
        self.data.vcpus.get(local as usize).map_or(0, |vcpu| vcpu.priority)
    }

    /// The ready vCPU of a queue with the highest priority; among equals, the one whose turn it is.
    #[inline]
    fn first_of(&mut self, queue: u32) -> Option<u32> {
        let queue = self.data.queues.get_mut(queue as usize)?;
        let mut slot = queue.ready.first()? as u32;
        let (begin, end) = self.data.vcpus.get((queue.first + slot) as usize)?.class;
        if begin != end {
            if (begin..=end).contains(&queue.cursor)
                && let Some(next) = queue.ready.first_from(queue.cursor as usize)
                && next as u32 <= end
            {
                slot = next as u32;
            }
            queue.cursor = slot;
        }
        Some(queue.first + slot)
    }

    /// Chooses who runs, switches to it, accounts for who ran, and arms the timer.
    pub(crate) fn dispatch(&mut self) {
        self.data.attend = true;
        let next = loop {
            self.data.reschedule = false;
            let next = self.pick();
            self.publish(next);
            if !self.data.reschedule {
                break next;
            }
        };
        if next != self.data.current {
            let now = self.machine.now();
            self.charge(now);
            self.data.current = next;
            if next.is_some() && next != self.data.loaded {
                let first = self.data.first_vcpu;
                self.machine.switch(self.data.loaded.map(|local| first + local), next.map(|local| first + local));
                self.data.loaded = next;
            }
            if let Some(vcpu) = next.and_then(|local| self.data.vcpus.get_mut(local as usize))
                && vcpu.budget != 0
            {
                vcpu.replenish(now);
            }
        }
        self.rearm();
    }

    /// Tells other cores with which priority time partition 0 would run now; when that falls, looks
    /// what they have left meanwhile.
    #[inline]
    fn publish(&mut self, next: Option<u32>) {
        let Window { queue, slack, .. } = self.data.window;
        let floor = match next.and_then(|next| self.data.vcpus.get(next as usize)) {
            Some(vcpu) if vcpu.queue != 0 => vcpu.priority + 1,
            None if queue != 0 && !slack => u32::MAX,
            _ => 0,
        };
        let before = core::mem::replace(&mut self.data.floor, floor);
        if floor == before {
            return;
        }
        if let Some(core) = self.shared.cores.get(self.data.number as usize) {
            core.floor.store(floor, SeqCst);
        }
        if floor < before {
            self.read_inbox();
        }
    }

    /// Charges the current vCPU for the time since it was last charged.
    pub(crate) fn charge(&mut self, now: u64) {
        let spent = now.saturating_sub(self.data.since);
        self.data.since = now;
        let Some(current) = self.data.current else { return };
        let Some(vcpu) = self.data.vcpus.get_mut(current as usize) else { return };
        if let Some(mailbox) = self.shared.mailboxes.get(vcpu.number as usize) {
            mailbox.used.store(mailbox.used.load(Relaxed) + spent, Relaxed);
        }
        if vcpu.budget != 0 {
            vcpu.budget_left = vcpu.budget_left.saturating_sub(spent);
        }
    }

    /// Arms the timer for the next thing that can matter.
    pub(crate) fn rearm(&mut self) {
        let Window { queue, end, .. } = self.data.window;
        let mut at = end;
        let earliest =
            |queue: u32| self.data.queues.get(queue as usize).map_or(NEVER, |queue| queue.deadlines.earliest());
        at = at.min(earliest(queue));
        let current = self.data.current.and_then(|local| self.data.vcpus.get(local as usize));
        // A waiting vCPU of time partition 0 matters while a window's own vCPU runs only if one
        // of them could go before it.
        let background = self.data.queues.first().map_or(0, |queue| queue.first);
        let own = current.is_some_and(|vcpu| vcpu.queue != 0 && self.priority(background) <= vcpu.priority);
        if queue != 0 && !own {
            at = at.min(earliest(0));
        }
        if let Some(vcpu) = current
            && vcpu.budget != 0
        {
            at = at.min(self.data.since.saturating_add(vcpu.budget_left));
        }
        let work = self.data.working != 0 && self.payable().is_some();
        if work || self.data.changes.count != 0 || core::mem::take(&mut self.data.urgent) {
            at = 0;
        }
        if at != self.data.armed {
            self.data.armed = at;
            self.machine.arm(at);
        }
    }

    /// Whether the current vCPU's budget is used up; then it waits for its next period.
    pub(crate) fn enforce_budget(&mut self, now: u64) {
        let Some(current) = self.data.current else { return };
        if self.data.vcpus.get(current as usize).is_none_or(|vcpu| vcpu.budget == 0) {
            return;
        }
        self.charge(now);
        let Some(vcpu) = self.vcpu(current) else { return };
        if vcpu.state != State::Ready {
            return;
        }
        if !vcpu.replenish(now) && vcpu.budget_left == 0 {
            vcpu.state = State::Exhausted;
            self.not_ready(current);
            self.update_deadline(current);
        }
    }

    /// Asks for another schedule at the end of this frame, or of the next when that is too near.
    ///
    /// # Errors
    /// [`Error::InvalidMode`] while cores are just taking up another request: all of them have to
    /// see the same ones.
    pub(crate) fn request_schedule(&mut self, schedule: u32) -> Result<(), Error> {
        let now = self.machine.now();
        let Window { frame, frame_start, schedule: running, .. } = self.data.window;
        let length = self.shared.plan.schedules().get(running as usize).map_or(0, |record| record.frame);
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
