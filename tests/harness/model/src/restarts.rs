// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Restarts and stops that several cores ask for at once.

use crate::system::{Cell, MS, System};
use crate::world::{Act, End, FOREVER, Seen, Turn, explore};
use core::sync::atomic::Ordering::SeqCst;
use parzelle_abi::health::{Action, Mode};
use parzelle_abi::{Call, NEVER};
use parzelle_plan::{PARTITION_WAITS, RIGHT_CONTROL};

/// Partition 0 has vCPUs on cores 0 and 1; 1 (core 1) and 2 (core 2) control it.
fn system() -> System {
    let on = |core| Cell { core, priority: 100, ..Cell::default() };
    System {
        cells: vec![on(0), on(1), on(2)],
        more: vec![(0, Cell { priority: 90, ..on(1) })],
        schedules: vec![vec![vec![(0, 10 * MS)]; 3]],
        rights: vec![(1, RIGHT_CONTROL, 0), (2, RIGHT_CONTROL, 0), (2, RIGHT_CONTROL, 1)],
        devices: true,
        action: Some(Action::ColdStart),
        restarts: 1000,
        ..System::default()
    }
}

const END: u64 = 8 * MS;

/// Partition 0: vCPU 0 starts the other one; both compute. `modes`: what 1 and 2 ask for.
fn controlled(turn: &Turn, modes: [Mode; 2]) -> Act {
    match (turn.who, turn.step) {
        ((0, 0), 0) => Act::Call(Call::StartVcpu, [1, 0x1000, 0]),
        ((partition @ 1..3, _), 0) => {
            // One of them a little later, or at once.
            let late = if turn.seed >> 20 & 1 == 0 && (turn.seed & 1) + 1 == u64::from(partition) {
                turn.seed >> 1 & 0x7fff
            } else {
                0
            };
            Act::Call(Call::Wait, [2 * MS + late, 0, 0])
        }
        ((partition @ 1..3, _), 1) => Act::Call(Call::Control, [0, modes[partition as usize - 1] as u64, 0]),
        ((1..3, _), _) => Act::Call(Call::Wait, [NEVER, 0, 0]),
        _ => FOREVER,
    }
}

/// In the newest life vCPU 0 was started once, as everything was done for it; both run, or none.
fn judge(end: &End, partition: usize, expected: &[Mode]) {
    let partition = &end.shared.partitions[partition];
    let life = partition.state.life.now();
    let mode = Mode::from_number(u64::from(life.mode)).unwrap();
    assert!(expected.contains(&mode), "{mode:?}: {:?}", end.seen);
    assert_eq!(life.stopping, 0, "{:?}", end.seen);
    let first = partition.vcpus[0];
    let fresh = |seen: &Seen| *seen == Seen::Started { vcpu: first, life: life.number };
    let starts = end.seen.iter().filter(|seen| fresh(seen)).count();
    let idle = mode == Mode::Idle;
    assert_eq!(starts, usize::from(!idle), "starts of life {} ({mode:?}): {:?}", life.number, end.seen);
    assert_eq!(end.running[0] == Some(first), !idle, "{:?}: {:?}", end.running, end.seen);
    for &vcpu in partition.vcpus {
        let other = end.seen.iter().rev().find_map(|seen| match *seen {
            Seen::Started { vcpu: of, life } if of == vcpu => Some(life),
            _ => None,
        });
        assert!(idle || other == Some(life.number), "{:?}", end.seen);
    }
    let begun = end.seen.iter().position(fresh).unwrap_or(end.seen.len());
    assert!(end.seen.iter().rposition(|seen| *seen == Seen::Quiesced).is_none_or(|at| at <= begun), "{:?}", end.seen);
    assert_eq!(partition.state.generation.load(SeqCst), end.shared.partitions[0].state.generation.load(SeqCst));
}

#[test]
fn two_restarts_at_once_are_one_fresh_start() {
    explore(
        system(),
        |turn| controlled(turn, [Mode::ColdStart; 2]),
        END,
        |end| {
            judge(end, 0, &[Mode::ColdStart]);
            assert_eq!(end.shared.partitions[0].state.life.now().number, 2);
        },
    );
}

#[test]
fn a_stop_and_a_restart_at_once_are_one_of_them() {
    let program = |turn: &Turn| controlled(turn, [Mode::Idle, Mode::ColdStart]);
    explore(system(), program, END, |end| judge(end, 0, &[Mode::Idle, Mode::ColdStart]));
}

/// A former life has nothing to say: neither that it is NORMAL nor that it wants to be restarted.
#[test]
fn what_is_stopped_stays_so() {
    fn program(turn: &Turn, mode: Mode) -> Act {
        match (turn.who, turn.step) {
            ((0, 0), 1) if turn.now < 2 * MS => Act::Until(2 * MS),
            ((0, 0), 1) => Act::Call(Call::SetMode, [mode as u64, 0, 0]),
            ((1, _), _) => Act::Call(Call::Wait, [NEVER, 0, 0]),
            _ => controlled(turn, [Mode::Idle; 2]),
        }
    }
    fn stopped(end: &End) {
        judge(end, 0, &[Mode::Idle]);
    }
    explore(system(), |turn| program(turn, Mode::Normal), END, stopped);
    explore(system(), |turn| program(turn, Mode::ColdStart), END, stopped);
}

/// Partition 2 starts 0, while 1 becomes NORMAL and 0 is the next in order.
#[test]
fn the_next_in_order_is_started_once() {
    fn program(turn: &Turn) -> Act {
        match (turn.who, turn.step) {
            ((1, _), 1) => Act::Call(Call::SetMode, [Mode::Normal as u64, 0, 0]),
            _ => controlled(turn, [Mode::ColdStart; 2]),
        }
    }
    let mut system = system();
    system.cells[0].flags = PARTITION_WAITS;
    system.cells[1].start_next = Some(0);
    explore(system, program, END, |end| judge(end, 0, &[Mode::ColdStart]));
}
