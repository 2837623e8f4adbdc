// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A switch of schedule is taken up by all cores with the same frame.

use crate::system::{Cell, MS, System};
use crate::world::{Act, End, FOREVER, Seen, Turn, explore};
use parzelle_abi::Call;
use parzelle_plan::RIGHT_SCHEDULE;
use std::collections::BTreeMap;

/// When they ask: about the end of a frame, of [`MS`], and on both sides of the time within which a
/// request has to wait, 100 µs.
const OFFSETS: [i64; 12] = [-130_000, -101_000, -100_002, -99_998, -61_000, -15_000, -3, 0, 4, 50_000, 99_990, 100_010];

fn ask(turn: &Turn) -> Act {
    let (core, step) = (u64::from(turn.who.0), turn.step);
    let choice = turn.seed >> (core * 20 + step * 5);
    let at = (2 + 2 * step + (choice >> 4 & 1)) * MS;
    let at = at.saturating_add_signed(OFFSETS[(choice & 15) as usize % OFFSETS.len()]);
    match step {
        0..3 if turn.now < at => Act::Until(at),
        0..3 => Act::Call(Call::SetSchedule, [(core + step) & 1, 0, 0]),
        _ => FOREVER,
    }
}

fn together(end: &End) {
    let mut schedules = BTreeMap::new();
    for seen in &end.seen {
        if let Seen::Frame { frame, schedule } = *seen {
            let first = *schedules.entry(frame).or_insert(schedule);
            assert_eq!(first, schedule, "frame {frame}: {:?}", end.seen);
        }
    }
    assert!(schedules.len() > 7, "{schedules:?}");
    let asked = |seen: &Seen| matches!(seen, Seen::Returned { status: 0, .. });
    assert!(end.seen.iter().any(asked), "somebody's request was taken");
}

#[test]
fn all_cores_change_with_the_same_frame() {
    let on = |core| Cell { core, priority: 100, ..Cell::default() };
    let system = System {
        cells: vec![on(0), on(1), on(2)],
        schedules: vec![vec![vec![(0, MS)]; 3], vec![vec![(0, MS / 2), (0, MS / 2)]; 3]],
        rights: (0..3).flat_map(|cell| [(cell, RIGHT_SCHEDULE, 0), (cell, RIGHT_SCHEDULE, 1)]).collect(),
        ..System::default()
    };
    explore(system, ask, 11 * MS, together);
}
