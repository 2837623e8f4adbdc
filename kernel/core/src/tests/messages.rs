// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Ports, doorbells, interrupts.

use super::{Cell, MEMORY, MS, Sim, System};
use parzelle_abi::{Call, Error, NEVER, event};
use parzelle_plan::{QUEUING, SAMPLING};
use proptest::prelude::*;
use std::collections::VecDeque;

fn pair(kind: u32, depth: u32) -> Sim {
    let cell = Cell { priority: 100, ..Default::default() };
    let mut sim = System {
        cells: vec![cell; 2],
        channels: vec![(0, vec![1], kind, depth, 5 * MS)],
        doorbells: vec![(0, 1)],
        lines: vec![(1, 40)],
        ..Default::default()
    }
    .boot();
    sim.run_to(MS);
    sim
}

/// Where a partition's memory lies physically.
fn physical(partition: u32) -> u64 {
    0x8000_0000 + u64::from(partition) * 0x1_0000
}

fn turn(sim: &mut Sim, partition: u32) {
    if sim.running() != Some(partition) {
        sim.call(Call::Wait, &[0, 0]);
    }
    assert_eq!(sim.running(), Some(partition));
}

fn write(sim: &mut Sim, call: Call, bytes: &[u8]) -> (u64, u64) {
    turn(sim, 0);
    sim.core.machine.poke(physical(0), bytes);
    sim.call(call, &[0, MEMORY, bytes.len() as u64]).unwrap()
}

fn read(sim: &mut Sim, call: Call) -> Result<(Vec<u8>, bool), u64> {
    turn(sim, 1);
    match sim.call(call, &[0, MEMORY, 64]).unwrap() {
        (0, value) => Ok((sim.core.machine.peek(physical(1), value as u32 as usize), value >> 32 == 1)),
        (status, _) => Err(status),
    }
}

#[test]
fn a_sampling_port_keeps_the_latest_message_and_knows_its_age() {
    let mut sim = pair(SAMPLING, 1);
    assert_eq!(read(&mut sim, Call::SamplingRead), Err(Error::Empty as u64));
    assert_eq!(write(&mut sim, Call::SamplingWrite, b"one"), (0, 0));
    assert_eq!(write(&mut sim, Call::SamplingWrite, b"second"), (0, 0));
    assert_eq!(read(&mut sim, Call::SamplingRead), Ok((b"second".to_vec(), true)));
    let later = sim.core.machine.time + 6 * MS;
    sim.run_to(later);
    assert_eq!(read(&mut sim, Call::SamplingRead), Ok((b"second".to_vec(), false)), "stale");
}

#[test]
fn wrong_arguments_are_refused_by_name() {
    let mut sim = pair(QUEUING, 2);
    turn(&mut sim, 0);
    let cases: [(&[u64], Error); 8] = [
        (&[1, MEMORY, 8], Error::NoSuchObject),
        (&[u64::MAX, MEMORY, 8], Error::NoSuchObject),
        (&[0, MEMORY, 65], Error::WrongSize),
        (&[0, MEMORY, 0], Error::WrongSize),
        (&[0, MEMORY - 1, 8], Error::InvalidAddress),
        (&[0, MEMORY + 0xfff9, 8], Error::InvalidAddress),
        (&[0, u64::MAX - 3, 8], Error::InvalidAddress),
        (&[0, 0, 8], Error::InvalidAddress),
    ];
    for (arguments, error) in cases {
        assert_eq!(sim.call(Call::QueuingSend, arguments), Some((error as u64, 0)), "{arguments:x?}");
    }
    assert_eq!(sim.call(Call::SamplingWrite, &[0, MEMORY, 8]), Some((Error::NoSuchObject as u64, 0)));
    assert_eq!(sim.call(Call::QueuingReceive, &[0, MEMORY, 8]), Some((Error::NoSuchObject as u64, 0)));
}

#[test]
fn a_message_wakes_its_reader_and_room_wakes_its_writer() {
    let mut sim = pair(QUEUING, 1);
    turn(&mut sim, 1);
    assert_eq!(sim.call(Call::Wait, &[NEVER, event::ALL]), None);
    assert_eq!(write(&mut sim, Call::QueuingSend, b"x"), (0, 0));
    assert_eq!(write(&mut sim, Call::QueuingSend, b"y"), (Error::Full as u64, 0));
    assert_eq!(sim.call(Call::Wait, &[NEVER, event::ALL]), None);
    assert_eq!(sim.running(), Some(1));
    let vcpu = sim.vcpu(1);
    assert_eq!(sim.core.machine.result(vcpu), Some((0, 1 << 8)));
    assert_eq!(read(&mut sim, Call::QueuingReceive).unwrap().0, b"x");
    assert_eq!(sim.call(Call::Wait, &[NEVER, event::ALL]), None);
    assert_eq!(sim.running(), Some(0), "there is room again");
}

#[test]
fn a_line_is_masked_until_acknowledged() {
    let mut sim = pair(QUEUING, 1);
    assert!(sim.core.machine.open.is_empty(), "masked until bound");
    sim.core.on_line(40);
    turn(&mut sim, 1);
    assert_eq!(sim.call(Call::Wait, &[0, event::ALL]), Some((0, 0)), "not bound: no event");
    turn(&mut sim, 1);
    assert_eq!(sim.call(Call::AckInterrupt, &[0]), Some((0, 0)));
    assert!(sim.core.machine.open.contains(&40));
    sim.core.on_line(40);
    assert!(sim.core.machine.open.is_empty());
    assert_eq!(sim.call(Call::Wait, &[0, event::ALL]), Some((0, 1 << 30)));
    turn(&mut sim, 0);
    assert_eq!(sim.call(Call::AckInterrupt, &[0]), Some((Error::NoSuchObject as u64, 0)), "not the owner");
    sim.core.on_line(9999);
}

proptest! {
    /// A queue is a queue: nothing lost, nothing twice, in order.
    #[test]
    fn a_queue_behaves_like_one(depth in 1u32..6, steps in proptest::collection::vec(prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..64).prop_map(Some), Just(None)], 1..60)) {
        let mut sim = pair(QUEUING, depth);
        let mut model = VecDeque::new();
        for step in steps {
            match step {
                Some(message) => {
                    let full = model.len() == depth as usize;
                    let expected = if full { Error::Full as u64 } else { 0 };
                    prop_assert_eq!(write(&mut sim, Call::QueuingSend, &message).0, expected);
                    if !full { model.push_back(message); }
                }
                None => {
                    let expected = model.pop_front().ok_or(Error::Empty as u64);
                    prop_assert_eq!(read(&mut sim, Call::QueuingReceive).map(|(message, _)| message), expected);
                }
            }
            turn(&mut sim, 0);
            prop_assert_eq!(sim.call(Call::PortStatus, &[0]), Some((0, model.len() as u64)));
        }
    }
}
