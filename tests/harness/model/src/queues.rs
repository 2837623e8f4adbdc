// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A queue between two cores: nothing is lost, nothing comes twice, and nobody sleeps for ever.

use crate::system::{Cell, MEMORY, MS, System};
use crate::world::{Act, End, Seen, Turn, explore};
use parzelle_abi::{Call, Error, NEVER};
use parzelle_plan::QUEUING;

const MESSAGES: u64 = 5;

/// Partition 0 sends messages of 1, 2, 3 … bytes; when the queue is full, or empty, both wait for
/// the event of the port.
fn program(turn: &Turn) -> Act {
    let (call, sent) = match turn.who.0 {
        0 => (Call::QueuingSend, turn.sent),
        _ => (Call::QueuingReceive, MESSAGES - 1),
    };
    let blocked = [Error::Full as u64, Error::Empty as u64];
    if turn.result.is_some_and(|(status, _)| blocked.contains(&status)) || sent == MESSAGES {
        return Act::Call(Call::Wait, [NEVER, if sent == MESSAGES { 0 } else { 1 << 8 }, 0]);
    }
    Act::Call(call, [0, MEMORY, if turn.who.0 == 0 { sent + 1 } else { 64 }])
}

fn in_order(end: &End) {
    let received = |seen: &Seen| match *seen {
        Seen::Returned { call, status: 0, value, .. } if call == Call::QueuingReceive as u64 => Some(value),
        _ => None,
    };
    let received: Vec<u64> = end.seen.iter().filter_map(received).collect();
    assert_eq!(received, (1..=MESSAGES).collect::<Vec<_>>(), "{:?}", end.seen);
}

#[test]
fn messages_arrive_once_and_in_order() {
    for depth in 1..3 {
        let system = System {
            cells: vec![Cell::default(), Cell { core: 1, ..Cell::default() }],
            schedules: vec![vec![vec![(0, 20 * MS)]; 2]],
            channels: vec![(0, vec![1], QUEUING, depth, 0)],
            ..System::default()
        };
        explore(system, program, 9 * MS, in_order);
    }
}
