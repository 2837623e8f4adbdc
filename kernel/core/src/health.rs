// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The health monitor: from an error, by the partition's table, to an action.
//!
//! ```text
//!   fault, reported error ─► table: error → action ─┬─ process: upcall to the partition's handler
//!                                                   │    none, or masked: `otherwise`
//!                                                   ├─ partition: stop, warm start, cold start
//!                                                   │    more than `restarts` in their period: `give_up`
//!                                                   └─ module: reset, stop, another schedule
//! ```
//! Every event is counted and traced, whatever the action.

use crate::kernel::CoreState;
use crate::machine::{Fault, Halt, Machine, Upcall};
use crate::memory::below_stack;
use core::sync::atomic::Ordering::Relaxed;
use parzelle_abi::health::{Action, Condition, ErrorId, Mode};
use parzelle_abi::trace::TraceKind;
use parzelle_abi::vcpu_page::UpcallReason;
use parzelle_plan::{ActionRecord, HealthRecord};

/// How a reported error ends for the one who caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It goes on.
    Continues,
    /// It does not: it was stopped or restarted, or its handler runs.
    Ends,
}

impl<M: Machine> CoreState<M> {
    /// A fault of the current vCPU.
    pub(crate) fn report_fault(&mut self, current: u32, mut fault: Fault) {
        let vcpu = self.data.vcpus.get(current as usize).map_or((0, 0), |vcpu| (vcpu.partition, vcpu.start.stack));
        if fault.error == ErrorId::MemoryViolation
            && below_stack(&self.shared.plan, vcpu.0 as usize, vcpu.1, fault.address)
        {
            fault.error = ErrorId::StackOverflow;
        }
        let outcome = self.report(current, fault, true);
        if outcome == Outcome::Continues
            && let Some(partition) = self.data.vcpus.get(current as usize).map(|vcpu| vcpu.partition)
        {
            // The program cannot go on behind a fault that nobody has handled.
            self.restart(partition, Mode::Idle, Condition::HealthMonitorRestart);
        }
    }

    /// Reports an error of the current vCPU's partition and acts.
    pub(crate) fn report(&mut self, current: u32, fault: Fault, synchronous: bool) -> Outcome {
        let Some(partition) = self.data.vcpus.get(current as usize).map(|vcpu| vcpu.partition) else {
            return Outcome::Continues;
        };
        let Some(table) = self.table(partition) else { return Outcome::Continues };
        let mut action = table.actions.get(fault.error as usize).copied().unwrap_or_default();
        if action.action == Action::Process as u32 {
            if self.handler(current, fault) {
                self.count(partition, fault, Action::Process);
                return Outcome::Ends;
            }
            action = table.otherwise;
        }
        let decoded = Action::from_number(u64::from(action.action)).unwrap_or(Action::Stop);
        // A synchronous error can't be ignored: nothing sensible comes behind it.
        let decoded = match decoded {
            Action::Ignore | Action::Log | Action::Process if synchronous => Action::Stop,
            other => other,
        };
        self.count(partition, fault, decoded);
        self.act(partition, &table, decoded, action.argument)
    }

    fn table(&self, partition: u32) -> Option<HealthRecord> {
        let plan = &self.shared.plan;
        let index = plan.partitions().get(partition as usize)?.health;
        plan.health().get(index as usize).copied()
    }

    fn count(&mut self, partition: u32, fault: Fault, action: Action) {
        let now = self.machine.now();
        self.data.trace.write(now, TraceKind::Health, partition, fault.error as u64 | (action as u64) << 16);
        if let Some(state) = self.shared.partitions.get(partition as usize) {
            state.health_events.fetch_add(1, Relaxed);
            state.last_error.store(fault.error as u64 + 1, Relaxed);
            state.last_address.store(fault.address, Relaxed);
            state.last_code.store(fault.syndrome, Relaxed);
        }
    }

    /// Enters the error handler of the current vCPU, if there is one that can be entered.
    fn handler(&mut self, current: u32, fault: Fault) -> bool {
        let Some(vcpu) = self.data.vcpus.get(current as usize) else { return false };
        if vcpu.upcall_entry == 0 || self.machine.upcalls_masked() {
            return false;
        }
        let upcall = Upcall {
            entry: vcpu.upcall_entry,
            stack: vcpu.upcall_stack,
            reason: UpcallReason::Fault,
            events: 0,
            fault: Some(fault),
        };
        self.machine.enter_upcall(&upcall, false);
        true
    }

    fn act(&mut self, partition: u32, table: &HealthRecord, action: Action, argument: u32) -> Outcome {
        match action {
            Action::Ignore | Action::Log | Action::Process => return Outcome::Continues,
            Action::Stop => self.restart(partition, Mode::Idle, Condition::HealthMonitorRestart),
            Action::WarmStart | Action::ColdStart => {
                let mode = if action == Action::WarmStart { Mode::WarmStart } else { Mode::ColdStart };
                if self.may_restart(partition, table) {
                    self.restart(partition, mode, Condition::HealthMonitorRestart);
                } else {
                    return self.give_up(partition, table.give_up);
                }
            }
            Action::ModuleReset => self.machine.halt(Halt::Reset),
            Action::ModuleStop => self.machine.halt(Halt::Fail),
            Action::Schedule => {
                // While another request is being taken up, that one stands: it was made as urgently.
                let _ = self.request_schedule(argument);
                self.restart(partition, Mode::Idle, Condition::HealthMonitorRestart);
            }
        }
        Outcome::Ends
    }

    /// What is done when restarts are used up: never another restart.
    fn give_up(&mut self, partition: u32, record: ActionRecord) -> Outcome {
        match Action::from_number(u64::from(record.action)) {
            Some(Action::ModuleReset) => self.machine.halt(Halt::Reset),
            Some(Action::ModuleStop) => self.machine.halt(Halt::Fail),
            Some(Action::Schedule) => drop(self.request_schedule(record.argument)),
            _ => {}
        }
        self.restart(partition, Mode::Idle, Condition::HealthMonitorRestart);
        Outcome::Ends
    }

    /// Counts a restart; `false` when there were too many within the table's period.
    fn may_restart(&mut self, partition: u32, table: &HealthRecord) -> bool {
        let now = self.machine.now();
        let Some(state) = self.shared.partitions.get(partition as usize) else { return false };
        let since = state.restarts_since.load(Relaxed);
        if state.restarts_counted.load(Relaxed) == 0 || now.saturating_sub(since) > table.restart_period {
            state.restarts_since.store(now, Relaxed);
            state.restarts_counted.store(0, Relaxed);
        }
        state.restarts_counted.fetch_add(1, Relaxed) < table.restarts
    }

    /// An error outside of any partition: the module's table decides.
    pub(crate) fn report_module(&mut self, fault: Fault) {
        let now = self.machine.now();
        let plan = &self.shared.plan;
        let table = plan.health().get(plan.system.module_health as usize);
        let record = table.and_then(|table| table.actions.get(fault.error as usize)).copied().unwrap_or_default();
        let action = Action::from_number(u64::from(record.action)).unwrap_or(Action::ModuleStop);
        self.data.trace.write(now, TraceKind::Health, u32::MAX, fault.error as u64 | (action as u64) << 16);
        match action {
            Action::Ignore | Action::Log => {}
            Action::Schedule => drop(self.request_schedule(record.argument)),
            Action::ModuleReset => self.machine.halt(Halt::Reset),
            // Partition-level actions mean nothing here: the module is stopped.
            _ => self.machine.halt(Halt::Fail),
        }
    }

    /// What an application reports about itself.
    pub(crate) fn application_error(&mut self, current: u32, error: ErrorId, address: u64, length: u64) -> Outcome {
        self.report(current, Fault { error, syndrome: length, address }, false)
    }
}
