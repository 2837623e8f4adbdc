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
use crate::partition::Partition;
use crate::vcpu::Vcpu;
use core::sync::atomic::Ordering::Relaxed;
use parzelle_abi::PAGE;
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

/// What a table has for an error. Numbers that mean nothing, which `check` has excluded, stop.
fn decode(record: ActionRecord) -> Action {
    Action::from_number(u64::from(record.action)).unwrap_or(Action::Stop)
}

fn entry(table: &HealthRecord, error: ErrorId) -> ActionRecord {
    table.actions.get(error as usize).copied().unwrap_or_default()
}

impl<M: Machine> CoreState<M> {
    /// A fault of the current vCPU.
    pub(crate) fn report_fault(&mut self, vcpu: &Vcpu, mut fault: Fault) {
        let floor = vcpu.floor;
        if fault.error == ErrorId::MemoryViolation && (floor.saturating_sub(PAGE)..floor).contains(&fault.address) {
            fault.error = ErrorId::StackOverflow;
        }
        if self.report(vcpu, fault, true) == Outcome::Continues {
            // The program cannot go on behind a fault that nobody has handled.
            self.stop(vcpu.partition, vcpu.start.get().life);
        }
    }

    /// Reports an error of the current vCPU's partition and acts. A synchronous error can't be
    /// ignored: nothing sensible comes behind it.
    pub(crate) fn report(&mut self, vcpu: &Vcpu, fault: Fault, synchronous: bool) -> Outcome {
        let partition = vcpu.partition;
        let mut record = entry(partition.health, fault.error);
        if decode(record) == Action::Process {
            if self.handler(vcpu, fault) {
                self.count(partition, fault, Action::Process);
                return Outcome::Ends;
            }
            record = partition.health.otherwise;
        }
        let action = match decode(record) {
            Action::Ignore | Action::Log | Action::Process if synchronous => Action::Stop,
            other => other,
        };
        self.count(partition, fault, action);
        self.act(partition, action, record.argument, vcpu.start.get().life)
    }

    fn count(&mut self, partition: &Partition, fault: Fault, action: Action) {
        let now = self.machine.now();
        self.data.trace.write(now, TraceKind::Health, partition.number, fault.error as u64 | (action as u64) << 16);
        let state = &partition.state;
        state.health_events.fetch_add(1, Relaxed);
        state.last_error.store(fault.error as u64 + 1, Relaxed);
        state.last_address.store(fault.address, Relaxed);
        state.last_code.store(fault.syndrome, Relaxed);
    }

    /// Enters the error handler of the current vCPU, if there is one that can be entered.
    fn handler(&mut self, vcpu: &Vcpu, fault: Fault) -> bool {
        let (entry, stack) = vcpu.upcall.get();
        if entry == 0 || self.machine.upcalls_masked() {
            return false;
        }
        let upcall = Upcall { entry, stack, reason: UpcallReason::Fault, events: 0, fault: Some(fault) };
        self.machine.enter_upcall(&upcall, false);
        true
    }

    /// Acts on an error in this life of a partition.
    fn act(&mut self, partition: &'static Partition, action: Action, argument: u32, life: u32) -> Outcome {
        match action {
            Action::Ignore | Action::Log | Action::Process => return Outcome::Continues,
            Action::WarmStart | Action::ColdStart if self.may_restart(partition) => {
                let mode = if action == Action::WarmStart { Mode::WarmStart } else { Mode::ColdStart };
                self.restart(partition, mode, Condition::HealthMonitorRestart, Some(life));
            }
            // Restarts are used up: what is done then is never another one.
            Action::WarmStart | Action::ColdStart => {
                let record = partition.health.give_up;
                match decode(record) {
                    action @ (Action::ModuleReset | Action::ModuleStop | Action::Schedule) => {
                        return self.act(partition, action, record.argument, life);
                    }
                    _ => self.stop(partition, life),
                }
            }
            Action::Stop => self.stop(partition, life),
            Action::ModuleReset => self.machine.halt(Halt::Reset),
            Action::ModuleStop => self.machine.halt(Halt::Fail),
            Action::Schedule => {
                // While another request is being taken up, that one stands: it was made as urgently.
                let _ = self.request_schedule(argument);
                self.stop(partition, life);
            }
        }
        Outcome::Ends
    }

    fn stop(&mut self, partition: &'static Partition, life: u32) {
        self.restart(partition, Mode::Idle, Condition::HealthMonitorRestart, Some(life));
    }

    /// Counts a restart; `false` when there were too many within the table's period.
    fn may_restart(&mut self, partition: &Partition) -> bool {
        let now = self.machine.now();
        let (state, table) = (&partition.state, partition.health);
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
        let record = table.map_or(ActionRecord::default(), |table| entry(table, fault.error));
        let action = decode(record);
        self.data.trace.write(now, TraceKind::Health, u32::MAX, fault.error as u64 | (action as u64) << 16);
        match action {
            Action::Ignore | Action::Log => {}
            Action::Schedule => drop(self.request_schedule(record.argument)),
            Action::ModuleReset => self.machine.halt(Halt::Reset),
            // Partition-level actions mean nothing here: the module is stopped.
            _ => self.machine.halt(Halt::Fail),
        }
    }
}
