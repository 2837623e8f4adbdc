// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! No wake-up is lost, none is delivered twice.

use crate::system::{Cell, MS, System};
use crate::world::{Act, End, FOREVER, Seen, Turn, explore};
use parzelle_abi::{Call, NEVER, event};

/// One partition: vCPU 0 signals from core 0; on core 1, vCPU 1 is of time partition 0, and vCPU 2
/// has windows and goes before it.
fn system(windows: &[(u32, u64)]) -> System {
    let far = Cell { core: 1, ..Cell::default() };
    System {
        cells: vec![Cell::default()],
        more: vec![(0, Cell { priority: 90, ..far }), (0, Cell { queue: 1, priority: 100, ..far })],
        schedules: vec![vec![vec![(0, 20 * MS)], windows.to_vec()]],
        ..System::default()
    }
}

/// Waits, again and again, and has a little to do each time.
fn hear(turn: &Turn) -> Act {
    match turn.seed >> (30 + turn.step) & 1 {
        0 if turn.step > 0 => Act::Call(Call::Time, [0; 3]),
        _ => Act::Call(Call::Wait, [NEVER, event::SOFTWARE, 0]),
    }
}

/// What is signalled: one to four times, to whom and which event; each event once to each. Few, so
/// that a signal which nobody looks at isn't found with the next.
fn signals(seed: u64) -> Vec<(u64, u64)> {
    let mut next = [0x10; 2];
    let signal = |number: u64| {
        let to = seed >> (8 + number) & 1;
        let event = next[to as usize];
        next[to as usize] <<= 1;
        (1 + to, event)
    };
    (0..1 + seed % 4).map(signal).collect()
}

/// Every signal was heard once, long before anything but a kick could have made the core look.
fn each_once(end: &End) {
    for index in [1, 2] {
        let number = end.shared.partitions[0].vcpus[index as usize];
        let heard = |seen: &Seen| match *seen {
            Seen::Returned { vcpu, call, status: 0, value } if vcpu == number && call == Call::Wait as u64 => {
                Some(value)
            }
            _ => None,
        };
        let heard: u64 = end.seen.iter().filter_map(heard).sum();
        let sent: u64 = signals(end.seed).iter().filter(|signal| signal.0 == index).map(|signal| signal.1).sum();
        assert_eq!(heard, sent, "vCPU {index}: {:x?}", end.seen);
    }
}

/// Starts its siblings, then signals to them all at once.
fn signal(turn: &Turn, from: u64) -> Act {
    match (turn.who.1, turn.step) {
        (0, step @ 0..2) => Act::Call(Call::StartVcpu, [step + 1, 0x1000, 0]),
        (0, _) if turn.now < from => Act::Until(from),
        (0, step) => match signals(turn.seed).get(step as usize - 2) {
            Some(&(to, event)) => Act::Call(Call::Kick, [to, event, 0]),
            None => FOREVER,
        },
        _ => hear(turn),
    }
}

/// Then, or a little earlier.
fn about(turn: &Turn, time: u64) -> u64 {
    time - [0, 0, 3, 15_000][(turn.seed >> 20) as usize % 4]
}

#[test]
fn a_signal_reaches_who_is_eligible() {
    explore(system(&[(1, 10 * MS), (0, 10 * MS)]), |turn| signal(turn, 0), 9 * MS, each_once);
}

/// The second window of vCPU 2, which waits since the first, begins while signals come.
#[test]
fn a_signal_is_found_at_the_windows_begin() {
    let program = |turn: &Turn| signal(turn, about(turn, 3 * MS));
    explore(system(&[(1, MS), (0, MS), (1, 8 * MS), (0, 10 * MS)]), program, 9 * MS, each_once);
}

/// Those of time partition 0 hear nothing in a window of higher priority; when that ends, or its vCPU
/// waits, they do.
#[test]
fn a_signal_is_found_when_the_window_leaves_something() {
    fn program(turn: &Turn) -> Act {
        match turn.who.1 {
            // Computes to just about when the signals come.
            2 if turn.step == 0 && turn.now < 2 * MS => Act::Until(2 * MS),
            _ => signal(turn, about(turn, 2 * MS)),
        }
    }
    explore(system(&[(1, 10 * MS), (0, 10 * MS)]), program, 9 * MS, each_once);
}

/// A request, other than an event, is only found by the look into the inbox.
#[test]
fn a_start_is_found_at_the_windows_begin() {
    fn program(turn: &Turn) -> Act {
        match (turn.who.1, turn.step) {
            (0, 0) if turn.now < about(turn, 2 * MS) => Act::Until(about(turn, 2 * MS)),
            (0, 0) => Act::Call(Call::StartVcpu, [2, 0x1000, 0]),
            _ => FOREVER,
        }
    }
    explore(system(&[(0, MS), (1, 9 * MS), (0, 10 * MS)]), program, 9 * MS, |end| {
        let vcpu = end.shared.partitions[0].vcpus[2];
        let starts = end.seen.iter().filter(|seen| **seen == Seen::Started { vcpu, life: 0 }).count();
        assert_eq!(starts, 1, "{:?}", end.seen);
    });
}
