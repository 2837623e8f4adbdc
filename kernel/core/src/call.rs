// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The kernel calls. Each checks all of its arguments before it changes anything.

use crate::events::take;
use crate::health::Outcome;
use crate::kernel::{CoreState, Line, due};
use crate::machine::{Fault, Halt, Machine};
use crate::partition::Partition;
use crate::port::bounded;
use crate::vcpu::{Accounts, Start, State, Vcpu};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use parzelle_abi::health::{Condition, ErrorId, Mode};
use parzelle_abi::names::SELF;
use parzelle_abi::stats::Statistics;
use parzelle_abi::{Call, Error, MESSAGE_MAX, NEVER, event};
use parzelle_plan::{
    QUEUING, READ, RIGHT_CONTROL, RIGHT_MODULE, RIGHT_SCHEDULE, RIGHT_STATISTICS, SAMPLING, VCPU_GUEST, WRITE,
};
use zerocopy::IntoBytes;

/// The caller's result: a value, nothing to write (its registers are not what they were), or an
/// error.
pub(crate) type Reply = Result<Option<u64>, Error>;

impl<M: Machine> CoreState<M> {
    /// Does a call for the current vCPU. What is rare stands aside (`cold`): it must not cost the others
    /// registers to save.
    pub(crate) fn call(&mut self, caller: &'static Vcpu, call: Call, [a, b, c, d, _]: [u64; 5]) -> Reply {
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
            Call::SamplingWrite => self.send(caller, SAMPLING, [a, b, c]),
            Call::SamplingRead => self.receive(caller, SAMPLING, [a, b, c]),
            Call::QueuingSend => self.send(caller, QUEUING, [a, b, c]),
            Call::QueuingReceive => self.receive(caller, QUEUING, [a, b, c]),
            Call::PortStatus => self.port_status(caller, a),
            Call::Ring => self.ring(caller, a),
            Call::AckInterrupt => self.ack_interrupt(caller, a),
            Call::RaiseError => self.raise_error(caller, a, b, c),
            Call::Statistics => self.statistics(caller, a, b, c, d),
            Call::Module => self.module(caller, a),
            Call::StartVcpu => self.start_sibling(caller, a, Start { entry: b, stack: c, arguments: [d, 0], life: 0 }),
            Call::Kick => self.kick_sibling(caller, a, b),
        }
    }

    fn wait(&mut self, caller: &'static Vcpu, deadline: u64, interest: u64) -> Reply {
        let events = take(caller, interest);
        if events != 0 {
            return Ok(Some(events));
        }
        if deadline != NEVER {
            let passed = deadline == 0 || {
                let now = self.machine.now();
                self.charge(now);
                deadline <= now
            };
            if passed {
                // A poll lets equals go first.
                let (begin, end) = caller.class;
                if begin != end {
                    caller.queue.cursor.set(if caller.slot == end { begin } else { caller.slot + 1 });
                    self.data.due |= due::RESCHEDULE;
                }
                return Ok(Some(0));
            }
        }
        caller.state.set(State::Waiting);
        caller.interest.set(interest);
        caller.deadline.set(deadline);
        self.not_ready(caller);
        self.update_deadline(caller);
        Ok(None)
    }

    fn set_timer(&mut self, caller: &Vcpu, deadline: u64) -> Reply {
        caller.timer.set(deadline);
        self.update_deadline(caller);
        Ok(Some(0))
    }

    fn set_upcall(&mut self, caller: &Vcpu, entry: u64, stack: u64, interest: u64) -> Reply {
        caller.upcall.set((entry, stack));
        caller.upcall_interest.set(if entry == 0 { 0 } else { interest });
        self.data.due |= due::ATTEND;
        Ok(Some(0))
    }

    fn resume(&mut self, caller: &Vcpu) -> Reply {
        if !self.interrupt_current(caller, true) {
            self.machine.resume_frame();
        }
        Ok(None)
    }

    fn run_guest(&mut self, caller: &Vcpu, interest: u64) -> Reply {
        if caller.record.flags & VCPU_GUEST == 0 {
            return Err(Error::NotPermitted);
        }
        self.machine.enter_guest()?;
        caller.guest_interest.set(interest);
        self.data.due |= due::ATTEND;
        Ok(None)
    }

    #[cold]
    fn set_own_mode(&mut self, caller: &Vcpu, mode: u64) -> Reply {
        let mode = Mode::from_number(mode).ok_or(Error::InvalidArgument)?;
        self.change_mode(caller, mode)?;
        // A restarted caller has no registers to write to.
        Ok((mode == Mode::Normal).then_some(0))
    }

    /// The partition that an argument names, if the caller is it or has one of these rights over it.
    fn target(&self, caller: &Vcpu, number: u64, rights: &[u32]) -> Result<&'static Partition, Error> {
        let own = caller.partition;
        if number == SELF || number == u64::from(own.number) {
            return Ok(own);
        }
        let target = u32::try_from(number).map_err(|_| Error::NoSuchObject)?;
        if !rights.iter().any(|&kind| own.may(kind, target)) {
            return Err(Error::NotPermitted);
        }
        bounded(self.shared.partitions, number)
    }

    fn status(&self, caller: &Vcpu, partition: u64) -> Reply {
        let state = &self.target(caller, partition, &[RIGHT_STATISTICS, RIGHT_CONTROL])?.state;
        let [mode, condition, generation] =
            [state.life.now().mode, state.condition.load(Relaxed), state.generation.load(Relaxed)].map(u64::from);
        Ok(Some(mode | condition << 8 | generation << 32))
    }

    #[cold]
    fn control(&mut self, caller: &Vcpu, partition: u64, mode: u64) -> Reply {
        let target = self.target(caller, partition, &[RIGHT_CONTROL])?;
        if target.number == caller.partition.number {
            return Err(Error::NotPermitted);
        }
        match Mode::from_number(mode) {
            Some(mode @ (Mode::Idle | Mode::ColdStart | Mode::WarmStart)) => {
                self.restart(target, mode, Condition::ControlledRestart, None);
                Ok(Some(0))
            }
            _ => Err(Error::InvalidArgument),
        }
    }

    #[cold]
    fn set_schedule(&mut self, caller: &Vcpu, schedule: u64) -> Reply {
        let schedule = u32::try_from(schedule).map_err(|_| Error::NoSuchObject)?;
        if !caller.partition.may(RIGHT_SCHEDULE, schedule) {
            return Err(Error::NotPermitted);
        }
        self.request_schedule(schedule).map(|()| Some(0))
    }

    fn ring(&mut self, caller: &Vcpu, number: u64) -> Reply {
        let bell = bounded(caller.partition.doorbells, number)?;
        self.signal(bell.vcpu, 1 << (bell.event & 63));
        Ok(Some(0))
    }

    fn ack_interrupt(&mut self, caller: &Vcpu, number: u64) -> Reply {
        let span = caller.partition.record.lines;
        let lines = self.shared.plan.lines().get(span.range()).ok_or(Error::NoSuchObject)?;
        let record = bounded(lines, number)?;
        let place = self.data.line_places.get(record.line as usize).map_or(usize::MAX, |&place| place as usize);
        // A line is handled on the core of the vCPU that hears it.
        let own = |line: &&Line| u64::from(line.index) == u64::from(span.first) + number;
        let line = self.data.lines.get(place).filter(own).ok_or(Error::InvalidMode)?;
        line.open.set(true);
        if self.eligible(line.vcpu.queue) {
            self.machine.unmask_line(line.number);
        }
        Ok(Some(0))
    }

    #[cold]
    fn raise_error(&mut self, caller: &Vcpu, error: u64, address: u64, length: u64) -> Reply {
        use ErrorId::{ApplicationError, DeadlineMissed, NumericError, StackOverflow};
        let error = ErrorId::from_number(error).ok_or(Error::InvalidArgument)?;
        if !matches!(error, ApplicationError | DeadlineMissed | NumericError | StackOverflow) {
            return Err(Error::InvalidArgument);
        }
        if length > u64::from(MESSAGE_MAX) {
            return Err(Error::WrongSize);
        }
        if length != 0 {
            caller.partition.locate(address, length, READ, &caller.region_hint)?;
        }
        // Whatever happens to the caller, this call has returned.
        self.machine.set_result(0, 0);
        match self.report(caller, Fault { error, syndrome: length, address }, false) {
            Outcome::Continues => Ok(Some(0)),
            Outcome::Ends => Ok(None),
        }
    }

    #[cold]
    fn statistics(&mut self, caller: &Vcpu, partition: u64, address: u64, capacity: u64, core: u64) -> Reply {
        let target = self.target(caller, partition, &[RIGHT_STATISTICS])?;
        let bytes = size_of::<Statistics>() as u64;
        if capacity < bytes {
            return Err(Error::WrongSize);
        }
        if core != SELF && core >= self.shared.cores.len() as u64 {
            return Err(Error::NoSuchObject);
        }
        let to = caller.partition.locate(address, bytes, WRITE, &caller.region_hint)?;
        let now = self.machine.now();
        self.charge(now);
        let state = &target.state;
        let mut it = Statistics {
            now,
            health_events: state.health_events.load(Relaxed),
            restarts: u64::from(state.generation.load(Relaxed)),
            last_error: state.last_error.load(Relaxed),
            last_address: state.last_address.load(Relaxed),
            last_code: state.last_code.load(Relaxed),
            late_min: u64::MAX,
            longest_masked: self.machine.longest_masked(),
            ..Statistics::default()
        };
        let (shared, mut cores) = (self.shared, 0u64);
        let mailboxes = target.vcpus.iter().filter_map(|&number| shared.mailboxes.get(number as usize));
        for mailbox in mailboxes.filter(|mailbox| core == SELF || core == u64::from(mailbox.core.number)) {
            let Accounts { used, slack, sent, received, wake_ups, exits } = &mailbox.accounts;
            it.used += used.get();
            it.slack += slack.get();
            it.messages_sent += sent.get();
            it.messages_received += received.get();
            it.wake_ups += wake_ups.get();
            it.exits.iter_mut().zip(exits).for_each(|(sum, count)| *sum += count.get());
            // Its vCPUs on a core share their windows.
            let (core, windows) = (1 << (mailbox.core.number & 63), mailbox.windows);
            if cores & core == 0 {
                let run = windows.run.get();
                it.late_min = it.late_min.min(windows.late_min.get());
                it.late_max = it.late_max.max(windows.late_max.get());
                it.windows_run += run;
                it.windows_planned += run + windows.skipped.get();
                it.windows_missed += windows.missed.get();
            }
            cores |= core;
        }
        it.late_min = if it.windows_run == 0 { 0 } else { it.late_min };
        self.machine.write(to, it.as_bytes());
        Ok(Some(bytes))
    }

    #[cold]
    fn module(&mut self, caller: &Vcpu, action: u64) -> Reply {
        let (right, how) = match action {
            0 => (0, Halt::Stop),
            1 => (1, Halt::Reset),
            2 => (0, Halt::Fail),
            _ => return Err(Error::InvalidArgument),
        };
        if !caller.partition.may(RIGHT_MODULE, right) {
            return Err(Error::NotPermitted);
        }
        self.machine.halt(how);
        Ok(Some(0))
    }

    /// Each vCPU is started once in a life of its partition: what runs on its stack stays there. All
    /// that call this have the same life, as a next one begins only when all have stopped.
    #[cold]
    fn start_sibling(&mut self, caller: &Vcpu, index: u64, start: Start) -> Reply {
        let number = *bounded(caller.partition.vcpus, index)?;
        let life = caller.start.get().life.wrapping_add(1);
        let mailbox = self.shared.mailboxes.get(number as usize).filter(|_| index != 0);
        if mailbox.is_none_or(|mailbox| mailbox.begun.swap(life, SeqCst) == life) {
            return Err(Error::InvalidMode);
        }
        let page = self.shared.plan.vcpus().get(number as usize).map_or(0, |vcpu| vcpu.page_virtual);
        let arguments = [start.arguments[0], page];
        let start = Start { arguments, life: caller.start.get().life, ..start };
        self.start_anywhere(caller.partition, index as usize, start);
        Ok(Some(0))
    }

    fn kick_sibling(&mut self, caller: &Vcpu, index: u64, events: u64) -> Reply {
        let number = *bounded(caller.partition.vcpus, index)?;
        if events & !event::SOFTWARE != 0 {
            return Err(Error::InvalidArgument);
        }
        self.signal(number, events);
        Ok(Some(0))
    }
}
