// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Health, restarts, modes, rights.

use super::{Cell, MEMORY, MS, Sim, System};
use crate::machine::fake::End;
use crate::machine::{Fault, Halt};
use parzelle_abi::health::{Action, ErrorId, Mode};
use parzelle_abi::info::SELF;
use parzelle_abi::{Call, Error, NEVER, event};
use parzelle_plan::{PARTITION_IDLE, PARTITION_WAITS, QUEUING, RIGHT_CONTROL, RIGHT_MODULE, RIGHT_STATISTICS};

const FAULT: Fault = Fault { error: ErrorId::MemoryViolation, syndrome: 7, address: 0xdead };

fn system(action: Action) -> System {
    System {
        cells: vec![Cell { priority: 100, ..Default::default() }; 2],
        channels: vec![(0, vec![1], QUEUING, 4, 0), (1, vec![0], QUEUING, 4, 0)],
        action: Some(action),
        restarts: 3,
        rights: vec![(0, RIGHT_CONTROL, 1), (0, RIGHT_STATISTICS, 1), (0, RIGHT_MODULE, 0)],
        lines: vec![(1, 33)],
        ..Default::default()
    }
}

fn booted(system: System) -> Sim {
    let mut sim = system.boot();
    sim.run_to(MS);
    sim
}

fn state(sim: &mut Sim, partition: u64) -> (Mode, u64) {
    let running = sim.running();
    let (status, value) = sim.call(Call::Status, &[partition]).unwrap();
    assert_eq!(status, 0, "{running:?}");
    (Mode::from_number(value & 0xff).unwrap(), value >> 32)
}

#[test]
fn a_restart_forgets_what_came_in_and_keeps_what_went_out() {
    let mut sim = booted(system(Action::WarmStart));
    sim.until_runs(1);
    sim.call(Call::AckInterrupt, &[0]);
    sim.call(Call::QueuingSend, &[1, MEMORY, 4]);
    sim.call(Call::Wait, &[0, 0]);
    assert_eq!(sim.running(), Some(0));
    sim.call(Call::QueuingSend, &[0, MEMORY, 4]);
    sim.call(Call::Wait, &[0, 0]);
    assert_eq!(sim.running(), Some(1));
    sim.core.on_fault(FAULT);
    let now = sim.core.machine.time;
    sim.run_to(now + 1000);
    assert!(sim.core.machine.open.is_empty(), "its lines are masked");
    sim.until_runs(0);
    assert_eq!(state(&mut sim, 1), (Mode::WarmStart, 1));
    assert_eq!(sim.call(Call::PortStatus, &[0]), Some((0, 0)), "its receive queue is empty");
    assert_eq!(sim.call(Call::PortStatus, &[1]), Some((0, 1)), "what it sent stays");
    let (_, events) = sim.call(Call::Wait, &[0, event::PEER]).unwrap();
    assert_eq!(events, event::PEER, "its peer is told");
    let vcpu = sim.vcpu(1);
    sim.until_runs(1);
    assert_eq!(sim.context(vcpu).started, Some((0x10_0000, MEMORY + 0x1_0000)), "it begins in the loader");
    assert_eq!(sim.context(vcpu).generation, 1);
}

#[test]
fn what_a_guest_has_made_is_forgotten_when_all_stand_still_and_before_anything_starts() {
    let mut sim = booted(System { devices: true, ..system(Action::ColdStart) });
    sim.core.machine.made.insert(1, 3);
    sim.until_runs(1);
    sim.core.machine.ends.clear();
    let vcpu = sim.vcpu(1);
    sim.core.machine.starts.clear();
    sim.core.on_fault(FAULT);
    assert!(!sim.core.machine.starts.contains(&vcpu), "it takes steps");
    sim.until_runs(1);
    let wanted = [End::Stopped(1), End::Silenced, End::Forgot(2), End::Forgot(1), End::Forgot(0)];
    assert_eq!(sim.core.machine.ends, wanted);
    assert_eq!(sim.core.machine.starts.last(), Some(&vcpu));
}

#[test]
fn too_many_restarts_end() {
    let mut sim = booted(system(Action::ColdStart));
    for restart in 1..=3 {
        sim.until_runs(1);
        sim.core.on_fault(FAULT);
        let now = sim.core.machine.time;
        sim.run_to(now + 1000);
        sim.until_runs(0);
        assert_eq!(state(&mut sim, 1), (Mode::ColdStart, restart));
        sim.call(Call::Wait, &[0, 0]);
    }
    sim.until_runs(1);
    sim.core.on_fault(FAULT);
    let now = sim.core.machine.time;
    sim.run_to(now + 1000);
    sim.until_runs(0);
    assert_eq!(state(&mut sim, 1).0, Mode::Idle);
}

#[test]
fn a_fault_cannot_be_ignored_but_a_report_can() {
    let mut sim = booted(system(Action::Ignore));
    sim.until_runs(1);
    assert_eq!(sim.call(Call::RaiseError, &[ErrorId::ApplicationError as u64, MEMORY, 5]), Some((0, 0)));
    assert_eq!(
        sim.call(Call::RaiseError, &[ErrorId::HardwareFault as u64, 0, 0]),
        Some((Error::InvalidArgument as u64, 0))
    );
    sim.core.on_fault(FAULT);
    sim.until_runs(0);
    assert_eq!(state(&mut sim, 1), (Mode::Idle, 0));
}

#[test]
fn a_process_level_error_becomes_an_upcall_unless_masked() {
    let mut sim = booted(system(Action::Process));
    sim.until_runs(1);
    sim.call(Call::SetUpcall, &[0x40_1000, 0x6000, 0]);
    sim.core.on_fault(FAULT);
    let vcpu = sim.vcpu(1);
    assert_eq!(sim.context(vcpu).upcalls[0].fault, Some(FAULT));
    assert_eq!(sim.running(), Some(1));
    sim.core.on_fault(FAULT);
    sim.until_runs(0);
    assert_eq!(state(&mut sim, 1).0, Mode::Idle, "a fault in the handler: otherwise = stop");
}

#[test]
fn a_touched_guard_page_is_a_stack_overflow() {
    let mut sim = booted(system(Action::Stop));
    sim.until_runs(1);
    let vcpu = sim.core.local(sim.vcpu(1)).unwrap();
    // The test's only region serves as the stack.
    assert_eq!(vcpu.floor, MEMORY);
    for (address, error) in [(MEMORY - 8, ErrorId::StackOverflow), (MEMORY - 4097, ErrorId::MemoryViolation)] {
        sim.core.report_fault(vcpu, Fault { address, ..FAULT });
        let last = sim.core.shared.partitions[1].state.last_error.load(core::sync::atomic::Ordering::Relaxed);
        assert_eq!(last, error as u64 + 1);
    }
}

#[test]
fn rights_are_per_target() {
    let mut sim = booted(system(Action::Stop));
    sim.until_runs(1);
    for (call, arguments) in [
        (Call::Control, [0u64, 0]),
        (Call::Status, [0, 0]),
        (Call::Statistics, [0, MEMORY]),
        (Call::Module, [0, 0]),
        (Call::SetSchedule, [0, 0]),
    ] {
        assert_eq!(sim.call(call, &arguments), Some((Error::NotPermitted as u64, 0)), "{call:?}");
    }
    sim.until_runs(0);
    let bytes = size_of::<parzelle_abi::stats::Statistics>() as u64;
    for (partition, capacity, core, expected) in [
        (1, bytes, SELF, 0),
        (SELF, bytes, 0, 0),
        (SELF, bytes - 1, 0, Error::WrongSize as u64),
        (SELF, bytes, 1, Error::NoSuchObject as u64),
    ] {
        let (status, _) = sim.call(Call::Statistics, &[partition, MEMORY, capacity, core]).unwrap();
        assert_eq!(status, expected, "{partition} on {core}");
    }
    assert_eq!(sim.call(Call::Control, &[1, Mode::Idle as u64]), Some((0, 0)));
    assert_eq!(state(&mut sim, 1).0, Mode::Idle);
    assert_eq!(sim.call(Call::Control, &[0, Mode::Idle as u64]), Some((Error::NotPermitted as u64, 0)));
    assert_eq!(sim.call(Call::Control, &[1, Mode::ColdStart as u64]), Some((0, 0)));
    sim.until_runs(1);
    sim.until_runs(0);
    assert_eq!(sim.call(Call::Module, &[1]), Some((Error::NotPermitted as u64, 0)), "stop is not reset");
    sim.call(Call::Module, &[0]);
    assert_eq!(sim.core.machine.halted, Some(Halt::Stop));
}

#[test]
fn partitions_start_in_order() {
    let mut system = system(Action::Stop);
    system.cells[0].start_next = Some(1);
    system.cells[1].flags = PARTITION_WAITS;
    system.cells.push(Cell { flags: PARTITION_IDLE, ..Default::default() });
    let mut sim = booted(system);
    assert_eq!(sim.running(), Some(0));
    sim.call(Call::Wait, &[5 * MS, 0]);
    assert_eq!(sim.running(), None, "the others have not started");
    sim.run_to(6 * MS);
    assert_eq!(sim.call(Call::SetMode, &[Mode::WarmStart as u64]), Some((Error::InvalidMode as u64, 0)));
    assert_eq!(sim.call(Call::SetMode, &[Mode::Normal as u64]), Some((0, 0)));
    assert_eq!(sim.call(Call::SetMode, &[Mode::Normal as u64]), Some((Error::InvalidMode as u64, 0)));
    sim.call(Call::Wait, &[NEVER, 0]);
    assert_eq!(sim.running(), Some(1));
    sim.call(Call::SetMode, &[Mode::Idle as u64]);
    assert_eq!(sim.running(), None, "it has stopped itself; the third stays idle");
}

#[test]
fn a_start_of_a_former_life_is_dropped() {
    let mut sim = booted(system(Action::Stop));
    sim.until_runs(0);
    let vcpu = sim.core.local(sim.vcpu(1)).unwrap();
    let stale = vcpu.start.get();
    assert_eq!(sim.call(Call::Control, &[1, Mode::Idle as u64]), Some((0, 0)));
    sim.core.start_vcpu(vcpu, stale);
    assert_eq!(vcpu.state.get(), crate::vcpu::State::Stopped);
}

#[test]
fn a_restart_is_done_in_nobody_elses_window() {
    let mut system = system(Action::ColdStart);
    system.cells.push(Cell { queue: 1, priority: 100, ..Default::default() });
    system.windows = vec![(1, MS), (0, MS)];
    system.restarts = 1000;
    let mut sim = booted(system);
    sim.run_to(2 * MS);
    sim.until_runs(1);
    // The last instants of time partition 0: the restart begins, the window comes.
    sim.core.machine.time = 3 * MS - 10;
    sim.core.on_fault(FAULT);
    sim.run_to(3 * MS + MS / 2);
    assert_eq!(sim.running(), Some(2));
    assert_eq!(sim.core.machine.armed, 4 * MS, "nothing is due before the window ends");
    sim.run_to(4 * MS + 1000);
    sim.until_runs(1);
}
