// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The server with links and a device that do what a test wants: links give any request, as if the
//! ring did not check them, and the device ends its commands in any order.

extern crate std;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// What a client and the server share.
#[derive(Debug, Default)]
struct Wire {
    requests: RefCell<VecDeque<Request>>,
    answers: RefCell<Vec<(u32, Status)>>,
    faults: Cell<u64>,
}

#[derive(Clone, Debug)]
struct Fake {
    name: String,
    base: u64,
    wire: Rc<Wire>,
}

/// Distance of the areas of links.
const AREAS: u64 = 0x1000_0000;

impl Link for Fake {
    fn name(&self) -> &str {
        &self.name
    }
    fn faults(&self) -> u64 {
        self.wire.faults.get()
    }
    fn refused(&self) -> u64 {
        0
    }
    fn next_request(&mut self) -> Option<Request> {
        self.wire.requests.borrow_mut().pop_front()
    }
    fn complete(&mut self, id: u32, status: Status) {
        self.wire.answers.borrow_mut().push((id, status));
    }
    fn bus(&self, request: &Request) -> u64 {
        self.base + request.offset
    }
    fn notify(&mut self) {}
    fn may_sleep(&mut self) -> bool {
        self.wire.requests.borrow().is_empty()
    }
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

type Four = Server<Fake, 4, SLOTS>;

fn client(server: &mut Four, name: &str, range: core::ops::Range<u64>, read_only: bool) -> Rc<Wire> {
    let wire = Rc::new(Wire::default());
    let base = AREAS * (1 + server.clients.len() as u64);
    let link = Fake { name: name.into(), base, wire: wire.clone() };
    server.add(link, Disk::new(range, read_only, 10_000).unwrap()).unwrap();
    wire
}

fn ask(wire: &Wire, id: u32, operation: Operation, sector: u64, bytes: u64) {
    wire.requests.borrow_mut().push_back(Request { id, operation, sector, bytes, offset: 0 });
}

fn turns(server: &mut Four, device: &mut Slow) {
    for _ in 0..1000 {
        if !server.turn(device) && server.may_sleep() {
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
    ask(&a, 5, Operation::Discard, 0, 512);
    ask(&a, 6, Operation::Read, 0, 16 * 512);
    turns(&mut server, &mut device);
    let begun = &device.begun;
    assert_eq!(begun[0], Command::Write { sector: 105, bytes: 1024, bus: AREAS });
    assert_eq!(begun[1], Command::Read { sector: 100, bytes: 8192, bus: AREAS });
    assert_eq!(begun[2], Command::Read { sector: 205, bytes: 512, bus: 2 * AREAS });
    assert_eq!(*b.answers.borrow(), [(3, Status::ReadOnly), (4, Status::Invalid)]);
    assert_eq!(*a.answers.borrow(), [(5, Status::Unsupported)]);
    device.end_all();
    turns(&mut server, &mut device);
    assert_eq!(a.answers.borrow()[1..], [(1, Status::Done), (6, Status::Done)]);
    assert_eq!(b.answers.borrow()[2..], [(2, Status::Done)]);
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
    assert_eq!(device.begun.last(), Some(&Command::Read { sector: 1000, bytes: 512, bus: 2 * AREAS }));
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
            *if bytes == 4096 { &mut of_small } else { &mut of_large } += 1;
        }
        device.end_all();
    }
    assert_eq!(of_small, 40);
    assert!((3..=5).contains(&of_large), "{of_large}");
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
    assert_eq!(*a.answers.borrow(), [(1, Status::Done)]);
    assert_eq!(server.free.len(), SLOTS);
}

#[test]
fn a_fault_is_told_once() {
    let (mut server, mut device) = (Server::new(), Slow::default());
    let mad = client(&mut server, "mad", 0..1000, false);
    mad.faults.set(3);
    turns(&mut server, &mut device);
    assert_eq!((server.clients[0].is_fault_told, server.clients[0].is_refusal_told), (true, false));
}

/// What a step of the random test does: who, what, sector, bytes, offset, and what ends.
type Step = (usize, u8, u64, u64, u16, u8);

proptest! {
    /// Any requests of three clients, ended in any order: each is answered once, and what the
    /// device is told lies in its client's range and area, with its client's rights.
    #[test]
    fn every_request_is_answered_once_and_stays_inside(
        steps in prop::collection::vec(any_step(), 1..300),
    ) {
        let (mut server, mut device) = (Server::new(), Slow::default());
        let ranges = [100..200, 200..300, 250..300];
        let wires = [0, 1, 2].map(|who| client(&mut server, "x", ranges[who].clone(), who == 1));
        let mut asked = [0; 3];
        for (who, operation, sector, bytes, offset, end) in steps {
            let operations = [Operation::Flush, Operation::Discard, Operation::Write, Operation::Read];
            let operation = operations[usize::from(operation)];
            let bytes = if end % 8 == 0 { bytes } else { bytes & !511 };
            let request = Request { id: asked[who], operation, sector, bytes, offset: offset.into() };
            wires[who].requests.borrow_mut().push_back(request);
            asked[who] += 1;
            if end % 2 == 0 && !device.running.is_empty() {
                device.end(usize::from(end) % device.running.len());
            }
            server.turn(&mut device);
        }
        turns(&mut server, &mut device);
        while !device.running.is_empty() {
            device.end_all();
            turns(&mut server, &mut device);
        }
        for (wire, asked) in wires.iter().zip(asked) {
            let mut ids: Vec<u32> = wire.answers.borrow().iter().map(|answer| answer.0).collect();
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
            let who = (bus / AREAS - 1) as usize;
            let end = sector + u64::from(bytes) / 512;
            prop_assert!(ranges[who].contains(&sector) && end <= ranges[who].end);
            prop_assert!(!(writes && who == 1), "the second may only read");
        }
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    (0usize..3, 0u8..4, 0u64..120, 0u64..80_000, any::<u16>(), any::<u8>())
}
