// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The server with links and a device that do what a test wants. The device ends its commands in
//! any order, and writes to memory until the very end: whoever reuses memory too early loses data.

extern crate std;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::link::Broken;

/// What a client and the server share.
#[derive(Debug, Default)]
struct Wire {
    requests: RefCell<VecDeque<Result<Request, Broken>>>,
    answers: RefCell<Vec<(u64, Result<(), Fault>)>>,
    fresh: Cell<bool>,
    room: Cell<usize>,
}

#[derive(Clone, Debug)]
struct Fake {
    name: String,
    base: u64,
    wire: Rc<Wire>,
}

/// Bytes of a link's area.
const AREA: u64 = 1 << 20;

impl Link for Fake {
    fn name(&self) -> &str {
        &self.name
    }
    fn wants_connection(&self) -> bool {
        self.wire.fresh.get()
    }
    fn connect(&mut self, _: &Disk, _: bool, _: bool) {
        self.wire.fresh.set(false);
    }
    fn next(&mut self) -> Result<Option<Request>, Broken> {
        self.wire.requests.borrow_mut().pop_front().transpose()
    }
    fn room(&self) -> usize {
        self.wire.room.get()
    }
    fn answer(&mut self, id: u64, result: Result<(), Fault>) {
        self.wire.answers.borrow_mut().push((id, result));
    }
    fn bus(&self, _: Operation, offset: u64, bytes: u64) -> Option<u64> {
        (offset.checked_add(bytes)? <= AREA).then_some(self.base + offset)
    }
    fn notify(&mut self) {}
}

/// A device of which the test decides what ends when.
#[derive(Debug, Default)]
struct Slow {
    running: Vec<(usize, Command)>,
    begun: Vec<Command>,
    done: VecDeque<(usize, bool)>,
}

const SLOTS: usize = 8;

impl Device for Slow {
    const SLOTS: usize = SLOTS;
    fn capacity(&self) -> u64 {
        10_000
    }
    fn is_read_only(&self) -> bool {
        false
    }
    fn can_flush(&self) -> bool {
        true
    }
    fn can_discard(&self) -> bool {
        false
    }
    fn begin(&mut self, slot: usize, command: Command) {
        assert!(self.running.iter().all(|&(other, _)| other != slot), "slot {slot} is taken");
        self.running.push((slot, command));
        self.begun.push(command);
    }
    fn kick(&mut self) {}
    fn finished(&mut self) -> Option<(usize, bool)> {
        self.done.pop_front()
    }
}

impl Slow {
    fn end(&mut self, index: usize) {
        let (slot, _) = self.running.remove(index);
        self.done.push_back((slot, true));
    }
    fn end_all(&mut self) {
        while !self.running.is_empty() {
            self.end(0);
        }
    }
}

fn client(server: &mut Server<Fake, 4, SLOTS>, name: &str, range: core::ops::Range<u64>, read_only: bool) -> Rc<Wire> {
    let wire = Rc::new(Wire::default());
    wire.fresh.set(true);
    wire.room.set(64);
    let base = 0x1000_0000 * (1 + server.clients.len() as u64);
    let link = Fake { name: name.into(), base, wire: wire.clone() };
    server.add(link, Disk::new(range, read_only, 10_000).unwrap()).unwrap();
    wire
}

fn ask(wire: &Wire, id: u64, operation: Operation, sector: u64, bytes: u64) {
    let request = Request { id, operation: Some(operation), sector, bytes, offset: 0 };
    wire.requests.borrow_mut().push_back(Ok(request));
}

fn turns(server: &mut Server<Fake, 4, SLOTS>, device: &mut Slow) {
    for _ in 0..1000 {
        if !server.turn(device) {
            return;
        }
    }
    panic!("never ends");
}

#[test]
fn requests_reach_their_own_range_and_are_answered_when_they_end() {
    let (mut server, mut device) = (Server::new(), Slow::default());
    let a = client(&mut server, "a", 100..200, false);
    let b = client(&mut server, "b", 200..300, true);
    ask(&a, 1, Operation::Write, 5, 1024);
    ask(&b, 2, Operation::Read, 5, 512);
    ask(&b, 3, Operation::Write, 5, 512);
    ask(&b, 4, Operation::Read, 99, 1024);
    ask(&a, 5, Operation::Read, 0, AREA + 512);
    ask(&a, 6, Operation::Read, 0, 16 * 512);
    turns(&mut server, &mut device);
    let begun = &device.begun;
    assert_eq!(begun[0], Command::Write { sector: 105, bytes: 1024, bus: 0x1000_0000 });
    assert_eq!(begun[1], Command::Read { sector: 0 + 100, bytes: 8192, bus: 0x1000_0000 });
    assert_eq!(begun[2], Command::Read { sector: 205, bytes: 512, bus: 0x2000_0000 });
    assert_eq!(*b.answers.borrow(), [(3, Err(Fault::ReadOnly)), (4, Err(Fault::OutOfRange))]);
    assert_eq!(*a.answers.borrow(), [(5, Err(Fault::OutOfRange))]);
    device.end_all();
    turns(&mut server, &mut device);
    assert_eq!(a.answers.borrow()[1..], [(1, Ok(())), (6, Ok(()))]);
    assert_eq!(b.answers.borrow()[2..], [(2, Ok(()))]);
}

#[test]
fn a_flush_waits_for_what_was_asked_before_and_is_waited_for() {
    let (mut server, mut device) = (Server::new(), Slow::default());
    let a = client(&mut server, "a", 0..1000, false);
    ask(&a, 1, Operation::Write, 0, 512);
    ask(&a, 2, Operation::Write, 1, 512);
    ask(&a, 3, Operation::Flush, 0, 0);
    ask(&a, 4, Operation::Write, 2, 512);
    turns(&mut server, &mut device);
    assert_eq!(device.running.len(), 2);
    device.end(1);
    turns(&mut server, &mut device);
    assert_eq!(device.running.len(), 1);
    device.end(0);
    turns(&mut server, &mut device);
    assert_eq!(device.running.len(), 1);
    assert_eq!(device.running[0].1, Command::Flush);
    device.end(0);
    turns(&mut server, &mut device);
    assert_eq!(device.running.len(), 1);
    assert_eq!(a.answers.borrow().iter().map(|answer| answer.0).collect::<Vec<_>>(), [2, 1, 3]);
}

#[test]
fn a_greedy_client_takes_only_its_share() {
    let (mut server, mut device) = (Server::new(), Slow::default());
    let greedy = client(&mut server, "greedy", 0..1000, false);
    let modest = client(&mut server, "modest", 1000..2000, false);
    for id in 0..100 {
        ask(&greedy, id, Operation::Read, 0, 512);
    }
    turns(&mut server, &mut device);
    assert_eq!(device.running.len(), SLOTS / 2);
    ask(&modest, 7, Operation::Read, 0, 512);
    turns(&mut server, &mut device);
    assert_eq!(device.begun.last(), Some(&Command::Read { sector: 1000, bytes: 512, bus: 0x2000_0000 }));
}

#[test]
fn large_requests_pay_for_their_bytes() {
    let (mut server, mut device) = (Server::new(), Slow::default());
    let large = client(&mut server, "large", 0..5000, false);
    let small = client(&mut server, "small", 5000..6000, false);
    for id in 0..40 {
        ask(&large, id, Operation::Read, 0, 1 << 20);
        ask(&small, id, Operation::Read, 0, 4096);
    }
    let (mut of_large, mut of_small) = (0, 0);
    for _ in 0..32 {
        server.turn(&mut device);
        for command in device.begun.drain(..) {
            let Command::Read { bytes, .. } = command else { panic!() };
            if bytes == 4096 { of_small += 1 } else { of_large += 1 }
        }
        device.end_all();
    }
    assert_eq!(of_small, 40);
    assert!((3..=5).contains(&of_large), "{of_large}");
}

#[test]
fn a_client_that_starts_anew_waits_until_the_old_has_ended() {
    let (mut server, mut device) = (Server::new(), Slow::default());
    let a = client(&mut server, "a", 0..1000, false);
    ask(&a, 1, Operation::Read, 0, 512);
    turns(&mut server, &mut device);
    a.fresh.set(true);
    ask(&a, 1, Operation::Read, 8, 512);
    turns(&mut server, &mut device);
    assert!(a.fresh.get(), "connected while memory of the old generation is being written");
    assert_eq!(device.begun.len(), 1);
    device.end_all();
    turns(&mut server, &mut device);
    assert!(!a.fresh.get() && a.answers.borrow().is_empty(), "an answer to the old generation");
    device.end_all();
    turns(&mut server, &mut device);
    assert_eq!(*a.answers.borrow(), [(1, Ok(()))]);
}

#[test]
fn a_broken_ring_is_left_alone_and_harms_nobody() {
    let (mut server, mut device) = (Server::new(), Slow::default());
    let mad = client(&mut server, "mad", 0..1000, false);
    let good = client(&mut server, "good", 1000..2000, false);
    mad.requests.borrow_mut().push_back(Err(Broken));
    ask(&mad, 1, Operation::Write, 0, 512);
    ask(&good, 2, Operation::Write, 0, 512);
    turns(&mut server, &mut device);
    assert_eq!(device.begun, [Command::Write { sector: 1000, bytes: 512, bus: 0x2000_0000 }]);
    assert_eq!(mad.requests.borrow().len(), 1);
    mad.fresh.set(true);
    turns(&mut server, &mut device);
    assert_eq!(device.begun.len(), 2);
    let broken: Vec<_> = server.counters().map(|(_, counters)| counters.broken).collect();
    assert_eq!(broken, [1, 0]);
}

#[test]
fn a_device_that_lies_about_slots_is_not_believed() {
    let (mut server, mut device) = (Server::new(), Slow::default());
    let a = client(&mut server, "a", 0..1000, false);
    ask(&a, 1, Operation::Read, 0, 512);
    device.done.extend([(0, true), (7, false), (8, true), (usize::MAX, true)]);
    turns(&mut server, &mut device);
    device.end_all();
    turns(&mut server, &mut device);
    assert_eq!(*a.answers.borrow(), [(1, Ok(()))]);
    assert_eq!(server.free.len(), SLOTS);
}

proptest! {
    /// Any requests of three clients, ended in any order: each is answered once, and what the
    /// device is told lies in its client's range and area, with its client's rights.
    #[test]
    fn every_request_is_answered_once_and_stays_inside(
        steps in prop::collection::vec((0usize..3, 0u8..6, 0u64..120, 0u64..80_000, any::<u16>(), any::<u8>()), 1..300),
    ) {
        let (mut server, mut device) = (Server::new(), Slow::default());
        let wires = [
            client(&mut server, "a", 100..200, false),
            client(&mut server, "b", 200..300, true),
            client(&mut server, "c", 250..300, false),
        ];
        let ranges = [100..200, 200..300, 250..300];
        let mut asked = [0u64; 3];
        for (who, operation, sector, bytes, offset, end) in steps {
            let operation = match operation {
                0 => None,
                1 => Some(Operation::Flush),
                2 => Some(Operation::Discard),
                3 => Some(Operation::Write),
                _ => Some(Operation::Read),
            };
            let (bytes, offset) = (bytes & !if end % 8 == 0 { 0 } else { 511 }, u64::from(offset) << 5);
            wires[who].requests.borrow_mut().push_back(Ok(Request { id: asked[who], operation, sector, bytes, offset }));
            asked[who] += 1;
            if end % 2 == 0 && !device.running.is_empty() {
                let index = usize::from(end) % device.running.len();
                device.end(index);
            }
            server.turn(&mut device);
        }
        while { turns(&mut server, &mut device); !device.running.is_empty() } {
            device.end_all();
        }
        for (wire, asked) in wires.iter().zip(asked) {
            let mut ids: Vec<u64> = wire.answers.borrow().iter().map(|answer| answer.0).collect();
            ids.sort_unstable();
            prop_assert_eq!(ids, (0..asked).collect::<Vec<_>>());
        }
        for command in device.begun {
            let (sector, bytes, bus, writes) = match command {
                Command::Read { sector, bytes, bus } => (sector, bytes, bus, false),
                Command::Write { sector, bytes, bus } => (sector, bytes, bus, true),
                Command::Flush => continue,
                Command::Discard { .. } => panic!("the device can't"),
            };
            let who = (bus / 0x1000_0000 - 1) as usize;
            let end = sector + u64::from(bytes) / 512;
            prop_assert!(ranges[who].contains(&sector) && end <= ranges[who].end);
            prop_assert!(bus % 0x1000_0000 + u64::from(bytes) <= AREA);
            prop_assert!(!(writes && who == 1), "b may only read");
        }
    }
}
