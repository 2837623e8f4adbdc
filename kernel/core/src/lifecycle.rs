// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Starting, stopping and restarting partitions.
//!
//! A restart only changes state: the partition's own loader, in its own windows, makes its memory
//! what it was. It is long work (a partition may have hundreds of ports and peers), so only the
//! vCPUs stop at once; the rest goes in units, a few per entry to the kernel:
//!
//! ```text
//!   restart ─► vCPUs stop, ─► │ devices silenced │ queues emptied │ peers told │ ─► vCPU 0 starts
//!              lines masked     └──────────── units, in `work` ──────────────┘
//!              (other cores: by request, counted down)
//! ```
//! The progress may be abandoned at any point: a second restart begins it anew. Units are done in
//! the partition's own windows, or when it is time partition 0's turn: never at another's expense.

use crate::kernel::{CoreState, Line};
use crate::machine::Machine;
use crate::vcpu::{REQUEST_START, REQUEST_STOP, Start};
use core::sync::atomic::Ordering::{AcqRel, Relaxed, SeqCst};
use parzelle_abi::event;
use parzelle_abi::health::{Action, Condition, Mode};
use parzelle_abi::trace::TraceKind;
use parzelle_plan::{DESTINATION, NONE, PARTITION_IDLE, PARTITION_WAITS, Span};

/// Units of long work per entry to the kernel.
const UNITS: u32 = 1;

impl<M: Machine> CoreState<M> {
    /// Starts, at boot, the partitions whose first vCPU is on this core and that start at once.
    pub(crate) fn start_partitions(&mut self) {
        for local in 0..self.data.vcpus.len() as u32 {
            let Some(vcpu) = self.data.vcpus.get(local as usize) else {
                continue;
            };
            let (number, partition) = (vcpu.number, vcpu.partition);
            let plan = &self.shared.plan;
            let Some((record, home)) = plan.vcpus().get(number as usize).zip(plan.partitions().get(partition as usize))
            else {
                continue;
            };
            if record.index == 0 && home.flags & (PARTITION_IDLE | PARTITION_WAITS) == 0 {
                self.set_mode(partition, Mode::ColdStart, Condition::NormalStart);
                let start = self.first_start(partition);
                self.start_vcpu(local, start);
            }
        }
    }

    /// How vCPU 0 of a partition begins: in the loader.
    fn first_start(&self, partition: u32) -> Start {
        let plan = &self.shared.plan;
        let Some(record) = plan.partitions().get(partition as usize) else { return Start::default() };
        let Some(vcpu) = self.vcpu_of(partition, 0).and_then(|number| plan.vcpus().get(number as usize)) else {
            return Start::default();
        };
        let life = self.shared.partitions.get(partition as usize).map_or(0, |state| state.life.load(SeqCst));
        Start { entry: record.entry, stack: vcpu.stack, arguments: [record.info, vcpu.page_virtual], life }
    }

    /// The number in the plan of a partition's vCPU.
    pub(crate) fn vcpu_of(&self, partition: u32, index: u32) -> Option<u32> {
        let plan = &self.shared.plan;
        let span = plan.partitions().get(partition as usize)?.vcpus;
        plan.partition_vcpus().get(span.range())?.get(index as usize).copied()
    }

    fn set_mode(&mut self, partition: u32, mode: Mode, condition: Condition) {
        let now = self.machine.now();
        if let Some(state) = self.shared.partitions.get(partition as usize) {
            state.condition.store(condition as u32, Relaxed);
            state.mode.store(mode as u32, SeqCst);
        }
        self.data.trace.write(now, TraceKind::Mode, partition, mode as u64);
    }

    /// The operating mode of a partition.
    pub(crate) fn mode(&self, partition: u32) -> Mode {
        let mode = self.shared.partitions.get(partition as usize).map_or(0, |state| state.mode.load(SeqCst));
        Mode::from_number(u64::from(mode)).unwrap_or(Mode::Idle)
    }

    /// Gives a vCPU of this core a fresh start, unless its partition has been stopped since.
    pub(crate) fn start_vcpu(&mut self, local: u32, start: Start) {
        let partition = self.partition_of(local);
        let Some(state) = self.shared.partitions.get(partition as usize) else { return };
        let over = state.life.load(SeqCst) != start.life || state.stopping.load(SeqCst) != 0;
        if over || state.mode.load(SeqCst) == Mode::Idle as u32 {
            return;
        }
        state.started.store(1, SeqCst);
        self.not_ready(local);
        let Some(vcpu) = self.vcpu(local) else { return };
        vcpu.reset();
        vcpu.start = start;
        self.make_ready(local);
        self.update_deadline(local);
    }

    /// Stops a vCPU of this core.
    pub(crate) fn stop_vcpu(&mut self, local: u32) {
        let Some(vcpu) = self.vcpu(local) else { return };
        vcpu.reset();
        let number = vcpu.number;
        if let Some(mailbox) = self.shared.mailboxes.get(number as usize) {
            mailbox.pending.store(0, SeqCst);
            mailbox.requests.fetch_and(!REQUEST_START, SeqCst);
        }
        self.not_ready(local);
        self.update_deadline(local);
    }

    /// Masks the lines of a partition on this core; it has to bind them again.
    pub(crate) fn close_lines(&mut self, partition: u32) {
        let vcpus = &self.data.vcpus;
        let owner = |line: &Line| vcpus.get(line.vcpu as usize).map(|vcpu| vcpu.partition);
        for line in self.data.lines.iter_mut().filter(|line| owner(line) == Some(partition)) {
            line.open = false;
            self.machine.mask_line(line.number);
        }
    }

    /// Restarts a partition (`mode` warm or cold start) or stops it (`Idle`).
    pub(crate) fn restart(&mut self, partition: u32, mode: Mode, condition: Condition) {
        let now = self.machine.now();
        let Some(state) = self.shared.partitions.get(partition as usize) else { return };
        // This core counts as one that has yet to stop, until its own vCPUs have.
        state.stopping.fetch_add(1, SeqCst);
        state.life.fetch_add(1, SeqCst);
        self.set_mode(partition, mode, condition);
        let again = mode != Mode::Idle;
        let generation = state.generation.fetch_add(u32::from(again), SeqCst) + u32::from(again);
        let kind = if again { TraceKind::Start } else { TraceKind::Stop };
        self.data.trace.write(now, kind, partition, u64::from(generation));
        let vcpus = self.shared.plan.partitions().get(partition as usize).map_or(0, |record| record.vcpus.count);
        for index in 0..vcpus {
            let Some(number) = self.vcpu_of(partition, index) else { continue };
            if let Some(local) = self.local(number) {
                self.stop_vcpu(local);
            } else if let Some(mailbox) = self.shared.mailboxes.get(number as usize) {
                // Counted before it can be counted down; a start that was not read is dropped.
                state.stopping.fetch_add(1, SeqCst);
                if mailbox.requests.swap(REQUEST_STOP, SeqCst) & REQUEST_STOP != 0 {
                    state.stopping.fetch_sub(1, SeqCst);
                }
                self.notify(number);
            }
        }
        self.close_lines(partition);
        self.stopped(partition);
    }

    /// A vCPU of this core has stopped at another core's request.
    pub(crate) fn stopped_one(&mut self, local: u32) {
        self.stopped(self.partition_of(local));
    }

    /// Counts down; the last one takes over the rest of the work.
    fn stopped(&mut self, partition: u32) {
        let Some(state) = self.shared.partitions.get(partition as usize) else { return };
        if state.stopping.fetch_sub(1, AcqRel) != 1 {
            return;
        }
        let queue = self.payer(partition);
        let Some(job) = self.data.jobs.get_mut(partition as usize) else { return };
        job.progress = 0;
        if !job.listed
            && let Some(queue) = self.data.queues.get_mut(queue as usize)
        {
            (job.listed, job.next) = (true, queue.work);
            queue.work = partition;
            self.data.working += 1;
            self.data.begun = true;
        }
    }

    /// The queue at whose expense a partition's restart is done: its own, if it has one here, else
    /// that of whoever asked for it.
    fn payer(&self, partition: u32) -> u32 {
        let vcpus = self.shared.plan.partitions().get(partition as usize).map_or(0, |record| record.vcpus.count);
        let locals = (0..vcpus).filter_map(|index| self.vcpu_of(partition, index)?.checked_sub(self.data.first_vcpu));
        let mut queues = locals.chain(self.data.current).filter_map(|local| self.data.vcpus.get(local as usize));
        queues.next().map_or(0, |vcpu| vcpu.queue)
    }

    /// The queue that has work which may be done now: that of the window, or time partition 0 when
    /// it is its turn. So nobody's restart takes time from another's window.
    pub(crate) fn payable(&self) -> Option<u32> {
        let has_work = |queue: u32| self.data.queues.get(queue as usize).is_some_and(|queue| queue.work != NONE);
        let queue = self.data.window.queue;
        if has_work(queue) {
            return Some(queue);
        }
        let turn = self.data.current.and_then(|local| self.data.vcpus.get(local as usize));
        (turn.is_none_or(|vcpu| vcpu.queue == 0) && has_work(0)).then_some(0)
    }

    /// Does the next units of long work; what is left makes the timer fire at once.
    pub(crate) fn work(&mut self) {
        if self.data.changes.count != 0 {
            return self.change();
        }
        let Some(queue) = self.payable() else { return };
        let Some(partition) = self.data.queues.get(queue as usize).map(|queue| queue.work) else { return };
        for _ in 0..UNITS {
            let Some(job) = self.data.jobs.get_mut(partition as usize) else { return };
            let unit = job.progress;
            job.progress += 1;
            if !self.unit(partition, unit) {
                self.finish_job(queue, partition);
                break;
            }
        }
        self.data.reschedule = true;
    }

    /// Takes a partition whose restart is done from its queue's list, and starts it.
    fn finish_job(&mut self, queue: u32, partition: u32) {
        let Some(job) = self.data.jobs.get_mut(partition as usize) else { return };
        job.listed = false;
        if let Some(queue) = self.data.queues.get_mut(queue as usize) {
            queue.work = job.next;
        }
        self.data.working -= 1;
        self.begin(partition);
    }

    /// One unit of a restart; `false` when there are none left.
    fn unit(&mut self, partition: u32, mut unit: u32) -> bool {
        let plan = &self.shared.plan;
        let Some(record) = plan.partitions().get(partition as usize) else { return false };
        if unit < record.quiesces.count {
            if let Some(write) = plan.quiesces().get((record.quiesces.first + unit) as usize) {
                self.machine.quiesce(write);
            }
            return true;
        }
        unit -= record.quiesces.count;
        if unit < record.ports.count {
            let port = plan.ports().get((record.ports.first + unit) as usize);
            if let Some(port) = port.filter(|port| port.direction == DESTINATION)
                && let Some(channel) = self.shared.channels.get(port.channel as usize)
            {
                channel.lock().clear_queue();
            }
            return true;
        }
        unit -= record.ports.count;
        if unit < record.peers.count {
            let peer = plan.peers().get((record.peers.first + unit) as usize).copied();
            if let Some(vcpu) = peer.and_then(|peer| self.vcpu_of(peer, 0)) {
                self.signal(vcpu, event::PEER);
            }
            return true;
        }
        false
    }

    /// Starts a partition that has stopped; one that is to stay idle is not (`start_vcpu`).
    fn begin(&mut self, partition: u32) {
        let Some(state) = self.shared.partitions.get(partition as usize) else { return };
        // Read before `stopping`: if another core stops it in between, the start is of a former life.
        let start = self.first_start(partition);
        if state.stopping.load(SeqCst) != 0 {
            return;
        }
        if let Some(number) = self.vcpu_of(partition, 0) {
            self.start_anywhere(number, start);
        }
    }

    /// Starts a vCPU of any core.
    pub(crate) fn start_anywhere(&mut self, number: u32, start: Start) {
        if let Some(local) = self.local(number) {
            self.start_vcpu(local, start);
        } else if let Some(mailbox) = self.shared.mailboxes.get(number as usize) {
            *mailbox.start.lock() = start;
            mailbox.requests.fetch_or(REQUEST_START, SeqCst);
            self.notify(number);
        }
    }

    /// A partition sets its own mode.
    pub(crate) fn change_mode(&mut self, partition: u32, mode: Mode) -> Result<(), parzelle_abi::Error> {
        let now = self.mode(partition);
        match mode {
            Mode::Normal if now == Mode::Normal => Err(parzelle_abi::Error::InvalidMode),
            Mode::Normal => {
                let condition =
                    self.shared.partitions.get(partition as usize).map_or(0, |state| state.condition.load(Relaxed));
                let condition = Condition::from_number(u64::from(condition)).unwrap_or(Condition::NormalStart);
                self.set_mode(partition, Mode::Normal, condition);
                self.start_next(partition);
                Ok(())
            }
            // ARINC 653 Part 1, SET_PARTITION_MODE: no warm start while a cold start is under way.
            Mode::WarmStart if now == Mode::ColdStart => Err(parzelle_abi::Error::InvalidMode),
            mode => {
                self.restart(partition, mode, Condition::PartitionRestart);
                Ok(())
            }
        }
    }

    /// Starts the partition that waits for this one to be NORMAL, the first time it is.
    fn start_next(&mut self, partition: u32) {
        let Some(state) = self.shared.partitions.get(partition as usize) else { return };
        let next = self.shared.plan.partitions().get(partition as usize).map_or(NONE, |record| record.start_next);
        if state.was_normal.swap(1, SeqCst) != 0 || next == NONE {
            return;
        }
        // Somebody with the right may have started it before its turn.
        if self.shared.partitions.get(next as usize).is_none_or(|next| next.started.swap(1, SeqCst) != 0) {
            return;
        }
        self.set_mode(next, Mode::ColdStart, Condition::NormalStart);
        let start = self.first_start(next);
        if let Some(number) = self.vcpu_of(next, 0) {
            self.start_anywhere(number, start);
        }
    }

    /// Makes the next of the changes that a schedule brings. Each core makes those of partitions
    /// whose first vCPU it has.
    fn change(&mut self) {
        let Span { first, count } = self.data.changes;
        self.data.changes = Span { first: first + 1, count: count - 1 };
        self.data.reschedule = true;
        let Some(change) = self.shared.plan.changes().get(first as usize) else { return };
        if self.vcpu_of(change.partition, 0).and_then(|number| self.local(number)).is_none() {
            return;
        }
        let mode = match Action::from_number(u64::from(change.action)) {
            Some(Action::Stop) => Mode::Idle,
            Some(Action::WarmStart) => Mode::WarmStart,
            Some(Action::ColdStart) => Mode::ColdStart,
            _ => return,
        };
        self.restart(change.partition, mode, Condition::PartitionRestart);
    }
}
