// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The kernel calls. Each checks all of its arguments before it changes anything.

use crate::health::Outcome;
use crate::kernel::CoreState;
use crate::machine::{Halt, Machine};
use crate::memory::locate;
use crate::vcpu::{Start, State};
use core::sync::atomic::Ordering::{Acquire, Relaxed};
use parzelle_abi::health::{Condition, ErrorId, Mode};
use parzelle_abi::info::SELF;
use parzelle_abi::stats::Statistics;
use parzelle_abi::{Call, Error, MESSAGE_MAX, event};
use parzelle_plan::{
    QUEUING, READ, RIGHT_CONTROL, RIGHT_MODULE, RIGHT_SCHEDULE, RIGHT_STATISTICS, SAMPLING, VCPU_GUEST, WRITE,
};
use zerocopy::IntoBytes;

/// The caller's result: a value, nothing to write (its registers are not what they were), or an
/// error.
type Reply = Result<Option<u64>, Error>;

impl<M: Machine> CoreState<M> {
    /// Does a call for the current vCPU.
    #[inline]
    pub(crate) fn call(&mut self, caller: u32, call: Call, [a, b, c, d, _]: [u64; 5]) -> Reply {
        match call {
            Call::Revision => Ok(Some(u64::from(parzelle_abi::REVISION))),
            Call::Wait => self.wait(caller, a, b),
            Call::SetTimer => self.set_timer(caller, a),
            Call::SetUpcall => self.set_upcall(caller, a, b, c),
            Call::Resume => self.resume(caller),
            Call::RunGuest => self.run_guest(caller, a),
            Call::Time => Ok(Some(self.machine.now())),
            Call::SetMode => self.set_own_mode(caller, a),
            Call::Status => self.status(caller, a),
            Call::Control => self.control(caller, a, b),
            Call::SetSchedule => self.set_schedule(caller, a),
            Call::SamplingWrite => self.send(caller, SAMPLING, a, b, c),
            Call::SamplingRead => self.receive(caller, SAMPLING, a, b, c),
            Call::QueuingSend => self.send(caller, QUEUING, a, b, c),
            Call::QueuingReceive => self.receive(caller, QUEUING, a, b, c),
            Call::PortStatus => self.port_status(caller, a),
            Call::Ring => self.ring(caller, a),
            Call::AckInterrupt => self.ack_interrupt(caller, a),
            Call::RaiseError => self.raise_error(caller, a, b, c),
            Call::Statistics => self.statistics(caller, a, b),
            Call::Module => self.module(caller, a),
            Call::StartVcpu => self.start_sibling(caller, a, Start { entry: b, stack: c, arguments: [d, 0], life: 0 }),
            Call::Kick => self.kick_sibling(caller, a, b),
        }
    }

    fn wait(&mut self, caller: u32, deadline: u64, interest: u64) -> Reply {
        let Some(vcpu) = self.data.vcpus.get_mut(caller as usize) else { return Ok(Some(0)) };
        let Some(mailbox) = self.shared.mailboxes.get(vcpu.number as usize) else { return Ok(Some(0)) };
        let events = mailbox.pending.load(Acquire) & interest;
        if events != 0 {
            mailbox.pending.fetch_and(!events, Acquire);
            return Ok(Some(events));
        }
        if deadline == 0 || deadline <= self.machine.now() {
            // A poll lets equals go first.
            let (begin, end) = vcpu.class;
            if begin != end {
                let (queue, slot) = (vcpu.queue, vcpu.slot);
                if let Some(queue) = self.data.queues.get_mut(queue as usize) {
                    queue.cursor = if slot == end { begin } else { slot + 1 };
                }
                self.data.reschedule = true;
            }
            return Ok(Some(0));
        }
        vcpu.state = State::Waiting;
        (vcpu.interest, vcpu.deadline) = (interest, deadline);
        self.not_ready(caller);
        self.update_deadline(caller);
        Ok(None)
    }

    fn set_timer(&mut self, caller: u32, deadline: u64) -> Reply {
        let Some(vcpu) = self.vcpu(caller) else { return Ok(Some(0)) };
        vcpu.timer = deadline;
        self.update_deadline(caller);
        self.rearm();
        Ok(Some(0))
    }

    fn set_upcall(&mut self, caller: u32, entry: u64, stack: u64, interest: u64) -> Reply {
        if let Some(vcpu) = self.vcpu(caller) {
            (vcpu.upcall_entry, vcpu.upcall_stack) = (entry, stack);
            vcpu.upcall_interest = if entry == 0 { 0 } else { interest };
        }
        self.data.attend = true;
        Ok(Some(0))
    }

    fn resume(&mut self, caller: u32) -> Reply {
        if self.interrupt_current(caller, true) {
            return Ok(None);
        }
        self.machine.resume_frame();
        Ok(None)
    }

    fn run_guest(&mut self, caller: u32, interest: u64) -> Reply {
        let record =
            self.data.vcpus.get(caller as usize).and_then(|vcpu| self.shared.plan.vcpus().get(vcpu.number as usize));
        if record.is_none_or(|record| record.flags & VCPU_GUEST == 0) {
            return Err(Error::NotPermitted);
        }
        self.machine.enter_guest()?;
        if let Some(vcpu) = self.vcpu(caller) {
            vcpu.guest_interest = interest;
        }
        self.data.attend = true;
        Ok(None)
    }

    fn set_own_mode(&mut self, caller: u32, mode: u64) -> Reply {
        let mode = Mode::from_number(mode).ok_or(Error::InvalidArgument)?;
        self.change_mode(self.partition_of(caller), mode)?;
        // A restarted caller has no registers to write to.
        Ok((mode == Mode::Normal).then_some(0))
    }

    /// The partition that an argument names, if the caller has one of these rights over it.
    fn target(&self, caller: u32, partition: u64, rights: &[u32]) -> Result<u32, Error> {
        let own = self.partition_of(caller);
        if partition == SELF || partition == u64::from(own) {
            return Ok(own);
        }
        let target = u32::try_from(partition).map_err(|_| Error::NoSuchObject)?;
        if rights.iter().any(|&kind| self.may(own, kind, target)) { Ok(target) } else { Err(Error::NotPermitted) }
    }

    /// Whether a partition has a right. The plan has rights sorted.
    fn may(&self, partition: u32, kind: u32, target: u32) -> bool {
        let plan = &self.shared.plan;
        let rights =
            plan.partitions().get(partition as usize).and_then(|record| plan.rights().get(record.rights.range()));
        rights.is_some_and(|rights| {
            rights.binary_search_by(|right| (right.kind, right.target).cmp(&(kind, target))).is_ok()
        })
    }

    fn status(&mut self, caller: u32, partition: u64) -> Reply {
        let target = self.target(caller, partition, &[RIGHT_STATISTICS, RIGHT_CONTROL])?;
        let state = self.shared.partitions.get(target as usize).ok_or(Error::NoSuchObject)?;
        let [mode, condition, generation] =
            [&state.mode, &state.condition, &state.generation].map(|word| u64::from(word.load(Relaxed)));
        Ok(Some(mode | condition << 8 | generation << 32))
    }

    fn control(&mut self, caller: u32, partition: u64, mode: u64) -> Reply {
        let own = self.partition_of(caller);
        let target = u32::try_from(partition).map_err(|_| Error::NoSuchObject)?;
        if target == own || !self.may(own, RIGHT_CONTROL, target) {
            return Err(Error::NotPermitted);
        }
        match Mode::from_number(mode) {
            Some(mode @ (Mode::Idle | Mode::ColdStart | Mode::WarmStart)) => {
                self.restart(target, mode, Condition::ControlledRestart);
                Ok(Some(0))
            }
            _ => Err(Error::InvalidArgument),
        }
    }

    fn set_schedule(&mut self, caller: u32, schedule: u64) -> Reply {
        let schedule = u32::try_from(schedule).map_err(|_| Error::NoSuchObject)?;
        if !self.may(self.partition_of(caller), RIGHT_SCHEDULE, schedule) {
            return Err(Error::NotPermitted);
        }
        self.request_schedule(schedule).map(|()| Some(0))
    }

    fn ring(&mut self, caller: u32, number: u64) -> Reply {
        let plan = &self.shared.plan;
        let span = plan.partitions().get(self.partition_of(caller) as usize).ok_or(Error::NoSuchObject)?.doorbells;
        let bells = plan.doorbells().get(span.range()).ok_or(Error::NoSuchObject)?;
        let bell = usize::try_from(number).ok().and_then(|number| bells.get(number)).ok_or(Error::NoSuchObject)?;
        self.signal(bell.vcpu, 1 << (bell.event & 63));
        Ok(Some(0))
    }

    fn ack_interrupt(&mut self, caller: u32, number: u64) -> Reply {
        let plan = &self.shared.plan;
        let span = plan.partitions().get(self.partition_of(caller) as usize).ok_or(Error::NoSuchObject)?.lines;
        let number = u32::try_from(number).ok().filter(|&number| number < span.count).ok_or(Error::NoSuchObject)?;
        let record = plan.lines().get((span.first + number) as usize).ok_or(Error::NoSuchObject)?;
        let place = self.data.line_places.get(record.line as usize).map_or(usize::MAX, |&place| place as usize);
        // A line is handled on the core of the vCPU that hears it.
        let line = self.data.lines.get_mut(place).filter(|line| line.index == span.first + number);
        let line = line.ok_or(Error::InvalidMode)?;
        line.open = true;
        let (queue, number) = (line.queue, line.number);
        if self.eligible(queue) {
            self.machine.unmask_line(number);
        }
        Ok(Some(0))
    }

    fn raise_error(&mut self, caller: u32, error: u64, address: u64, length: u64) -> Reply {
        let error = ErrorId::from_number(error).ok_or(Error::InvalidArgument)?;
        if !matches!(
            error,
            ErrorId::ApplicationError | ErrorId::DeadlineMissed | ErrorId::StackOverflow | ErrorId::NumericError
        ) {
            return Err(Error::InvalidArgument);
        }
        if length > u64::from(MESSAGE_MAX) {
            return Err(Error::WrongSize);
        }
        if length != 0 {
            let plan = &self.shared.plan;
            let vcpu = self.data.vcpus.get_mut(caller as usize).ok_or(Error::InvalidAddress)?;
            locate(plan, vcpu.partition as usize, address, length, READ, &mut vcpu.region_hint)?;
        }
        // Whatever happens to the caller, this call has returned.
        self.machine.set_result(0, 0);
        match self.application_error(caller, error, address, length) {
            Outcome::Continues => Ok(Some(0)),
            Outcome::Ends => Ok(None),
        }
    }

    fn statistics(&mut self, caller: u32, partition: u64, address: u64) -> Reply {
        let target = self.target(caller, partition, &[RIGHT_STATISTICS])?;
        let plan = &self.shared.plan;
        let bytes = size_of::<Statistics>() as u64;
        let vcpu = self.data.vcpus.get_mut(caller as usize).ok_or(Error::InvalidAddress)?;
        let to = locate(plan, vcpu.partition as usize, address, bytes, WRITE, &mut vcpu.region_hint)?;
        let now = self.machine.now();
        self.charge(now);
        let record = plan.partitions().get(target as usize).ok_or(Error::NoSuchObject)?;
        let state = self.shared.partitions.get(target as usize).ok_or(Error::NoSuchObject)?;
        let numbers = plan.partition_vcpus().get(record.vcpus.range()).unwrap_or(&[]);
        let mailboxes = numbers.iter().filter_map(|&number| self.shared.mailboxes.get(number as usize));
        let used = mailboxes.map(|mailbox| mailbox.used.load(Relaxed)).sum();
        let queue = numbers.first().and_then(|&number| plan.vcpus().get(number as usize)).map_or(0, |vcpu| vcpu.queue);
        let windows = self.shared.windows.get(queue as usize).ok_or(Error::NoSuchObject)?;
        let late_min = windows.late_min.load(Relaxed);
        let statistics = Statistics {
            now,
            used,
            windows_planned: windows.planned.load(Relaxed),
            windows_run: windows.run.load(Relaxed),
            windows_missed: windows.missed.load(Relaxed),
            late_min: if late_min == u64::MAX { 0 } else { late_min },
            late_max: windows.late_max.load(Relaxed),
            messages_sent: state.messages_sent.load(Relaxed),
            messages_received: state.messages_received.load(Relaxed),
            health_events: state.health_events.load(Relaxed),
            restarts: u64::from(state.generation.load(Relaxed)),
            wake_ups: state.wake_ups.load(Relaxed),
            last_error: state.last_error.load(Relaxed),
            last_address: state.last_address.load(Relaxed),
            last_code: state.last_code.load(Relaxed),
            longest_masked: self.machine.longest_masked(),
        };
        self.machine.write(to, statistics.as_bytes());
        Ok(Some(bytes))
    }

    fn module(&mut self, caller: u32, action: u64) -> Reply {
        let (right, how) = match action {
            0 => (0, Halt::Stop),
            1 => (1, Halt::Reset),
            2 => (0, Halt::Fail),
            _ => return Err(Error::InvalidArgument),
        };
        if !self.may(self.partition_of(caller), RIGHT_MODULE, right) {
            return Err(Error::NotPermitted);
        }
        self.machine.halt(how);
        Ok(Some(0))
    }

    /// A vCPU of the caller's own partition.
    fn sibling(&self, caller: u32, index: u64) -> Result<u32, Error> {
        let index = u32::try_from(index).map_err(|_| Error::NoSuchObject)?;
        self.vcpu_of(self.partition_of(caller), index).ok_or(Error::NoSuchObject)
    }

    fn start_sibling(&mut self, caller: u32, index: u64, start: Start) -> Reply {
        let number = self.sibling(caller, index)?;
        if self.data.vcpus.get(caller as usize).is_some_and(|vcpu| vcpu.number == number) {
            return Err(Error::InvalidMode);
        }
        let life = self.data.vcpus.get(caller as usize).map_or(0, |vcpu| vcpu.start.life);
        let page = self.shared.plan.vcpus().get(number as usize).map_or(0, |vcpu| vcpu.page_virtual);
        let [argument, _] = start.arguments;
        self.start_anywhere(number, Start { arguments: [argument, page], life, ..start });
        Ok(Some(0))
    }

    fn kick_sibling(&mut self, caller: u32, index: u64, events: u64) -> Reply {
        let number = self.sibling(caller, index)?;
        if events & !event::SOFTWARE != 0 {
            return Err(Error::InvalidArgument);
        }
        self.signal(number, events);
        Ok(Some(0))
    }
}
