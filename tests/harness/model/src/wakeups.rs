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
    match turn.seed >> turn.step & 1 {
        0 if turn.step > 0 => Act::Call(Call::Time, [0; 3]),
        _ => Act::Call(Call::Wait, [NEVER, event::SOFTWARE, 0]),
    }
}

/// Each of the four events was heard once by each listener, long before anything but a kick could
/// have made their core look.
fn each_once(end: &End) {
    let vcpu = |index: u32| end.shared.partitions[0].vcpus[index as usize];
    for index in [1, 2] {
        let heard = |seen: &Seen| match *seen {
            Seen::Returned { vcpu: of, call, status: 0, value } if of == vcpu(index) && call == Call::Wait as u64 => {
                value
            }
            _ => 0,
        };
        let heard: Vec<u64> = end.seen.iter().map(heard).filter(|&events| events != 0).collect();
        assert_eq!(heard.iter().fold(0, |all, events| all | events), event::SOFTWARE, "vCPU {index}: {:x?}", end.seen);
        assert_eq!(heard.iter().map(|events| events.count_ones()).sum::<u32>(), 4, "twice: {heard:x?}");
    }
}

/// Starts its siblings, then signals to both at once.
fn signal(turn: &Turn, from: u64) -> Act {
    match (turn.who.1, turn.step) {
        (0, step @ 0..2) => Act::Call(Call::StartVcpu, [step + 1, 0x1000, 0]),
        (0, 2..10) if turn.now < from => Act::Until(from),
        (0, step @ 2..10) => Act::Call(Call::Kick, [1 + (step & 1), 0x10 << ((step - 2) / 2), 0]),
        (0, _) => FOREVER,
        _ => hear(turn),
    }
}

/// Then, or a little earlier.
fn about(turn: &Turn, time: u64) -> u64 {
    time - turn.seed % 3 * 15_000
}

#[test]
fn a_signal_reaches_who_is_eligible() {
    explore(system(&[(1, 10 * MS), (0, 10 * MS)]), |turn| signal(turn, 0), 9 * MS, each_once);
}

/// The window of vCPU 2 begins while signals come, and nobody of time partition 0 gets slack before.
#[test]
fn a_signal_is_found_at_the_windows_begin() {
    let program = |turn: &Turn| signal(turn, about(turn, 2 * MS));
    explore(system(&[(0, MS), (1, 9 * MS), (0, 10 * MS)]), program, 9 * MS, each_once);
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
