// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Starting, stopping and restarting partitions.
//!
//! A restart only changes state: the partition's own loader, in its own windows, makes its memory
//! what it was. It is long work (a partition may have hundreds of ports and peers), so only the
//! vCPUs stop at once; the rest goes in units, a few per entry to the kernel:
//!
//! ```text
//!   restart ─► vCPUs stop, ─► │ devices silenced │ guest's tables │ queues emptied │ peers told │ ─► vCPU 0 starts
//!              lines masked     └──────────────────── units, in `work` ───────────────────────┘
//!              (other cores: by request, counted down)
//! ```
//! The progress may be abandoned at any point: a second restart begins it anew. Units are done in
//! the partition's own windows, or when it is time partition 0's turn: never at another's expense.

use crate::kernel::{CoreState, Job, Line, Queue, due};
use crate::machine::Machine;
use crate::partition::Partition;
use crate::vcpu::{REQUEST_START, REQUEST_STOP, Start, Vcpu};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use parzelle_abi::health::{Action, Condition, Mode};
use parzelle_abi::trace::TraceKind;
use parzelle_abi::{Error, event};
use parzelle_plan::{ACCESS_AT_START, DESTINATION, NONE, PARTITION_IDLE, PARTITION_WAITS};

impl<M: Machine> CoreState<M> {
    /// Starts, at boot, the partitions whose first vCPU is on this core and that start at once.
    pub(crate) fn start_partitions(&mut self) {
        for vcpu in self.data.vcpus.iter().filter(|vcpu| vcpu.record.index == 0) {
            if vcpu.partition.record.flags & (PARTITION_IDLE | PARTITION_WAITS) == 0 {
                self.start_first(vcpu.partition);
            }
        }
    }

    /// Starts a partition for the first time.
    fn start_first(&mut self, partition: &'static Partition) {
        let Some(life) = partition.state.life.begin() else { return };
        self.note_mode(partition, Mode::ColdStart, Condition::NormalStart);
        self.start_anywhere(partition, 0, self.first_start(partition, life));
    }

    /// How vCPU 0 of a partition begins: in the loader.
    fn first_start(&self, partition: &Partition, life: u32) -> Start {
        let record = partition.vcpus.first().and_then(|&number| self.shared.plan.vcpus().get(number as usize));
        let (stack, page) = record.map_or((0, 0), |record| (record.stack, record.page_virtual));
        Start { entry: partition.record.entry, stack, arguments: [partition.record.info, page], life }
    }

    /// Writes down a change of mode.
    fn note_mode(&mut self, partition: &Partition, mode: Mode, condition: Condition) {
        partition.state.condition.store(condition as u32, Relaxed);
        self.data.trace.write(self.machine.now(), TraceKind::Mode, partition.number, mode as u64);
    }

    /// Gives a vCPU of this core a fresh start, unless its partition has been stopped since.
    pub(crate) fn start_vcpu(&mut self, vcpu: &'static Vcpu, start: Start) {
        let state = &vcpu.partition.state;
        if !state.life.now().is_up(start.life) {
            return;
        }
        state.started.store(1, SeqCst);
        self.not_ready(vcpu);
        vcpu.reset();
        vcpu.start.set(start);
        self.make_ready(vcpu);
        self.update_deadline(vcpu);
    }

    /// Stops a vCPU of this core.
    pub(crate) fn stop_vcpu(&mut self, vcpu: &Vcpu) {
        vcpu.reset();
        self.machine.stopped(vcpu.record);
        vcpu.mailbox.pending.store(0, SeqCst);
        vcpu.mailbox.requests.fetch_and(!REQUEST_START, SeqCst);
        self.not_ready(vcpu);
        self.update_deadline(vcpu);
    }

    /// Masks the lines of a partition on this core; it has to bind them again.
    pub(crate) fn close_lines(&mut self, partition: &Partition) {
        let own = |line: &&Line| line.vcpu.partition.number == partition.number;
        // One that is not open is masked already.
        for line in self.data.lines.iter().filter(own).filter(|line| line.open.replace(false)) {
            self.machine.mask_line(line.number);
        }
    }

    /// Restarts a partition (`mode` warm or cold start) or stops it (`Idle`). `by`: the life that asks
    /// for it, if it is the partition itself; when that is over, another core has done so before.
    pub(crate) fn restart(&mut self, partition: &'static Partition, mode: Mode, condition: Condition, by: Option<u32>) {
        let state = &partition.state;
        // This core counts as one that has yet to stop, until its own vCPUs have.
        if !state.life.next(mode, by) {
            return;
        }
        self.note_mode(partition, mode, condition);
        let again = mode != Mode::Idle;
        let generation = state.generation.fetch_add(u32::from(again), SeqCst) + u32::from(again);
        let kind = if again { TraceKind::Start } else { TraceKind::Stop };
        self.data.trace.write(self.machine.now(), kind, partition.number, u64::from(generation));
        for &number in partition.vcpus {
            if let Some(vcpu) = self.local(number) {
                self.stop_vcpu(vcpu);
            } else if let Some(mailbox) = self.shared.mailboxes.get(number as usize) {
                // Counted before it can be counted down; a start that was not read is dropped.
                state.life.count();
                if mailbox.requests.swap(REQUEST_STOP, SeqCst) & REQUEST_STOP != 0 {
                    state.life.discount();
                }
                self.notify(mailbox);
            }
        }
        self.close_lines(partition);
        self.stopped(partition);
    }

    /// Counts down who has yet to stop; the last one takes over the rest of the work, at the
    /// expense of the partition's own time, if it has some here, else of whoever asked for it.
    pub(crate) fn stopped(&mut self, partition: &Partition) {
        let Some(life) = partition.state.life.stopped() else { return };
        let own = partition.vcpus.iter().find_map(|&number| self.local(number));
        let queue = own.or(self.data.current).map_or(self.data.background, |vcpu| vcpu.queue);
        let Some(job) = self.data.jobs.get_mut(partition.number as usize) else { return };
        *job = Job { progress: 0, life, next: queue.work.replace(partition.number) };
        self.data.working += 1;
        self.data.due |= due::WORK | due::BEGUN | due::RESCHEDULE;
    }

    /// The queue that has work which may be done now: that of the window, or time partition 0 when
    /// it is its turn. So nobody's restart takes time from another's window.
    pub(crate) fn payable(&self) -> Option<&'static Queue> {
        let (queue, background) = (self.data.window.queue, self.data.background);
        let left = queue.is_background() || queue.ready.first().is_none();
        let turn = left && self.data.current.is_none_or(|vcpu| vcpu.queue.is_background());
        let has_work = |queue: &&Queue| queue.work.get() != NONE;
        Some(queue).filter(has_work).or(Some(background).filter(|_| turn).filter(has_work))
    }

    /// Does the next unit of long work; what is left makes the timer fire at once.
    pub(crate) fn work(&mut self) {
        if let Some((change, rest)) = self.data.changes.split_first() {
            self.data.changes = rest;
            self.change(change.partition, Action::from_number(u64::from(change.action)));
        } else if let Some(queue) = self.payable() {
            let index = queue.work.get() as usize;
            let Some((job, partition)) = self.data.jobs.get_mut(index).zip(self.shared.partitions.get(index)) else {
                return;
            };
            let (unit, life) = (job.progress as usize, job.life);
            let over = partition.state.life.now().number != life;
            // Devices are silent: what the guest has made comes next, in as many steps as that takes.
            let stays = !over && unit == partition.quiesces.len() && self.machine.reset(partition.number);
            job.progress += u32::from(!stays);
            if !stays && (over || !self.unit(partition, unit)) {
                self.finish_job(queue, partition);
            }
        } else {
            return;
        }
        self.data.due |= due::RESCHEDULE;
        if self.data.working == 0 && self.data.changes.is_empty() {
            self.data.due &= !due::WORK;
        }
    }

    /// Takes a partition whose restart is done from its queue's list, and starts it, unless it is to
    /// stay idle. If it has been stopped or restarted meanwhile, what was done counts for nothing.
    fn finish_job(&mut self, queue: &Queue, partition: &'static Partition) {
        let Some(job) = self.data.jobs.get_mut(partition.number as usize) else { return };
        let life = job.life;
        queue.work.set(job.next);
        self.data.working -= 1;
        match partition.state.life.done(life) {
            Ok(now) if now.mode == Mode::Idle as u32 => {}
            Ok(_) => self.start_anywhere(partition, 0, self.first_start(partition, life)),
            Err(_) => self.stopped(partition),
        }
    }

    /// One unit of a restart; `false` when there are none left.
    fn unit(&mut self, partition: &Partition, unit: usize) -> bool {
        if let Some(access) = partition.quiesces.get(unit) {
            if access.what & ACCESS_AT_START == 0 || partition.state.life.now().mode != Mode::Idle as u32 {
                self.machine.quiesce(access);
            }
            return true;
        }
        // One was what the guest has made.
        let Some(unit) = unit.checked_sub(partition.quiesces.len() + 1) else { return true };
        if let Some(port) = partition.ports.get(unit) {
            if port.direction == DESTINATION
                && let Some(channel) = self.shared.channels.get(port.channel as usize)
            {
                channel.clear_queue();
            }
            return true;
        }
        let unit = unit - partition.ports.len();
        let Some(&peer) = partition.peers.get(unit) else { return false };
        let first = self.shared.partitions.get(peer as usize).and_then(|peer| peer.vcpus.first());
        if let Some(&number) = first {
            self.signal(number, event::PEER);
        }
        true
    }

    /// Starts a vCPU of a partition, on whichever core it is.
    pub(crate) fn start_anywhere(&mut self, partition: &Partition, index: usize, start: Start) {
        let Some(&number) = partition.vcpus.get(index) else { return };
        if let Some(vcpu) = self.local(number) {
            self.start_vcpu(vcpu, start);
        } else if let Some(mailbox) = self.shared.mailboxes.get(number as usize) {
            // One that comes late, of a former life, must not take the place of this one.
            {
                let mut slot = mailbox.start.lock();
                let newer = |there: Start| (start.life.wrapping_sub(there.life) as i32) < 0;
                *slot = slot.filter(|&there| newer(there)).or(Some(start));
            }
            mailbox.requests.fetch_or(REQUEST_START, SeqCst);
            self.notify(mailbox);
        }
    }

    /// A partition sets its own mode, unless this life of it is over.
    pub(crate) fn change_mode(&mut self, caller: &Vcpu, mode: Mode) -> Result<(), Error> {
        let (partition, life) = (caller.partition, caller.start.get().life);
        match mode {
            Mode::Normal if !partition.state.life.normal(life) => Err(Error::InvalidMode),
            Mode::Normal => {
                let condition = Condition::from_number(u64::from(partition.state.condition.load(Relaxed)));
                self.note_mode(partition, Mode::Normal, condition.unwrap_or(Condition::NormalStart));
                self.start_next(partition);
                Ok(())
            }
            // ARINC 653 Part 1, SET_PARTITION_MODE: no warm start while a cold start is under way.
            Mode::WarmStart if partition.state.life.now().mode == Mode::ColdStart as u32 => Err(Error::InvalidMode),
            mode => {
                self.restart(partition, mode, Condition::PartitionRestart, Some(life));
                Ok(())
            }
        }
    }

    /// Starts the partition that waits for this one to be NORMAL, the first time it is, unless
    /// somebody with the right has started that before its turn.
    fn start_next(&mut self, partition: &Partition) {
        let next = self.shared.partitions.get(partition.record.start_next as usize);
        if partition.state.was_normal.swap(1, SeqCst) == 0
            && let Some(next) = next
            && next.state.started.swap(1, SeqCst) == 0
        {
            self.start_first(next);
        }
    }

    /// Makes one of the changes that a schedule brings. Each core makes those of partitions whose
    /// first vCPU it has.
    fn change(&mut self, partition: u32, action: Option<Action>) {
        let Some(partition) = self.shared.partitions.get(partition as usize) else { return };
        let mode = match action {
            Some(Action::Stop) => Mode::Idle,
            Some(Action::WarmStart) => Mode::WarmStart,
            Some(Action::ColdStart) => Mode::ColdStart,
            _ => return,
        };
        if partition.vcpus.first().is_some_and(|&number| self.local(number).is_some()) {
            self.restart(partition, mode, Condition::PartitionRestart, None);
        }
    }
}
