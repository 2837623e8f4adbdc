// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A client and a server of a disk, in any order of their steps, with restarts of both: what was
//! acknowledged is on the disk, and nobody waits for ever.

use crate::block::{Client, Geometry, MAX_BYTES, Operation, Request, SLOT, Server, Status};
use crate::{Error, Memory, fake::Area};
use proptest::prelude::*;
use std::collections::BTreeMap;

const SECTORS: u64 = 1024;
const AREA: u64 = 4096 + 64 * SLOT;

/// Both ends, a disk, and what the client knows of it.
struct World {
    areas: [Area; 2],
    client: Client<Area>,
    server: Server<Area>,
    disk: Vec<u8>,
    /// Requests that the device works at.
    device: Vec<Request>,
    /// By token: sector, bytes, the byte they are filled with, if it is a write.
    flying: BTreeMap<u64, (u64, u64, Option<u8>)>,
    /// What each sector has to hold: several values while writes of it are not answered.
    model: Vec<Vec<u8>>,
    tokens: u64,
    read: u64,
}

fn geometry() -> Geometry {
    Geometry { discard: true, ..Geometry::new(SECTORS) }
}

impl World {
    fn new() -> Self {
        let areas = Area::pair(AREA);
        let [out, back] = areas.clone();
        let client = Client::new(out.clone(), back.clone()).unwrap();
        let server = Server::new(back, out, geometry()).unwrap();
        Self {
            areas,
            client,
            server,
            disk: vec![0; SECTORS as usize * 512],
            device: vec![],
            flying: BTreeMap::new(),
            model: vec![vec![0]; SECTORS as usize],
            tokens: 0,
            read: 0,
        }
    }

    /// Whether a request in flight touches a range: then what a read gives isn't known.
    fn busy(&self, sector: u64, bytes: u64) -> bool {
        let mut flying = self.flying.values();
        flying.any(|&(at, length, _)| sector * 512 < at * 512 + length && at * 512 < sector * 512 + bytes)
    }

    fn submit(&mut self, write: bool, sector: u64, sectors: u64) {
        let bytes = sectors * 512;
        let (token, fill) = (self.tokens + 1, (self.tokens % 250) as u8 + 1);
        if self.busy(sector, bytes) {
            return;
        }
        let result = if write {
            self.client.write(sector, bytes, token).map(|mut write| {
                for at in (0..bytes).step_by(512) {
                    write.copy_in(at, &[fill; 512]).unwrap();
                }
                assert_eq!(write.copy_in(bytes - 1, &[0; 2]), None);
                write.submit();
            })
        } else {
            self.client.read(sector, bytes, token)
        };
        let fits = sector + sectors <= SECTORS;
        match result {
            Ok(()) => assert!(fits && bytes <= MAX_BYTES),
            Err(Error::Range) => return assert!(!fits),
            Err(error) => return assert!(matches!(error, Error::Full | Error::Down), "{error}"),
        }
        self.tokens = token;
        self.flying.insert(token, (sector, bytes, write.then_some(fill)));
        if write {
            let range = sector as usize..(sector + sectors) as usize;
            self.model[range].iter_mut().for_each(|values| values.push(fill));
        }
    }

    fn complete(&mut self) {
        while let Some(done) = self.client.completed() {
            assert_eq!(done.status(), Status::Done);
            let (sector, bytes, fill) = self.flying.remove(&done.token()).expect("answered once");
            let values = &mut self.model[sector as usize..(sector + bytes / 512) as usize];
            match fill {
                Some(fill) => values.iter_mut().for_each(|values| *values = vec![fill]),
                None => {
                    let mut back = vec![0; bytes as usize];
                    done.copy_out(0, &mut back).unwrap();
                    for (sector, values) in back.chunks(512).zip(values) {
                        assert!(sector.iter().all(|byte| *byte == sector[0]) && values.contains(&sector[0]));
                    }
                    self.read += bytes;
                }
            }
        }
    }

    /// The driver takes a request.
    fn serve(&mut self) {
        if let Some(request) = self.server.next_request() {
            self.device.push(request);
        }
    }

    /// The device does the request that was chosen, and half of it only if its driver dies.
    fn work(&mut self, choice: usize, dies: bool) {
        if self.device.is_empty() {
            return;
        }
        let request = self.device.remove(choice % self.device.len());
        let from = request.sector as usize * 512;
        let bytes = if dies { request.bytes / 1024 * 512 } else { request.bytes } as usize;
        let disk = &mut self.disk[from..from + bytes];
        // As a device does: to and from the areas by their offsets.
        match request.operation {
            Operation::Write => self.areas[0].read(request.offset, disk).unwrap(),
            Operation::Read => self.areas[1].write(request.offset, disk).unwrap(),
            _ => {}
        }
        if !dies {
            self.server.complete(request.id, Status::Done);
        }
    }

    fn restart_server(&mut self, choice: usize) {
        if choice.is_multiple_of(2) {
            self.work(choice, true);
        }
        self.device.clear();
        self.server = Server::new(self.areas[1].clone(), self.areas[0].clone(), geometry()).unwrap();
    }

    fn restart_client(&mut self) {
        self.client = Client::new(self.areas[0].clone(), self.areas[1].clone()).unwrap();
        // What was in flight may or may not have been done.
        self.flying.clear();
    }

    /// Until nothing is left to do: the disk is what the model says.
    fn settle(&mut self) {
        for _ in 0..4000 {
            self.serve();
            self.work(0, false);
            self.complete();
            if self.flying.is_empty() && self.client.geometry().is_some() && self.device.is_empty() {
                break;
            }
        }
        assert!(self.flying.is_empty(), "{:?}", self.flying);
        let mut flush = self.client.flush(u64::MAX);
        for _ in 0..10 {
            self.serve();
            self.work(0, false);
            if self.client.completed().is_some_and(|done| done.operation() == Operation::Flush) {
                flush = Err(Error::Full);
            }
        }
        assert_eq!(flush, Err(Error::Full), "the flush was answered");
        for (sector, values) in self.disk.chunks(512).zip(&self.model) {
            let all = sector.iter().all(|byte| values.contains(byte));
            assert!(all, "{:?} instead of {values:?}", &sector[..4]);
        }
        assert_eq!((self.client.link().faults(), self.server.link().faults()), (0, 0));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Submit(bool, u64, u64),
    Complete,
    Serve,
    Work(usize),
    RestartServer(usize),
    RestartClient,
    RestartBoth,
}

fn step() -> impl Strategy<Value = Step> {
    let sectors = prop_oneof![9 => 1u64..=24, 1 => 25u64..=256];
    let submit = (any::<bool>(), 0..SECTORS, sectors);
    prop_oneof![
        20 => submit.prop_map(|(write, sector, sectors)| Step::Submit(write, sector, sectors)),
        10 => Just(Step::Complete),
        20 => Just(Step::Serve),
        20 => any::<usize>().prop_map(Step::Work),
        1 => any::<usize>().prop_map(Step::RestartServer),
        1 => Just(Step::RestartClient),
        1 => Just(Step::RestartBoth),
    ]
}

fn run(steps: &[Step]) -> World {
    let mut world = World::new();
    for step in steps {
        match *step {
            Step::Submit(write, sector, sectors) => world.submit(write, sector, sectors),
            Step::Complete => world.complete(),
            Step::Serve => world.serve(),
            Step::Work(choice) => world.work(choice, false),
            Step::RestartServer(choice) => world.restart_server(choice),
            Step::RestartClient => world.restart_client(),
            Step::RestartBoth => {
                world.restart_server(1);
                world.restart_client();
            }
        }
    }
    world.settle();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_is_on_the_disk(steps in proptest::collection::vec(step(), 0..300)) {
        run(&steps);
    }
}

#[test]
fn requests_are_replayed_in_order() {
    let mut world = World::new();
    world.settle();
    for n in 0..8 {
        world.submit(true, n * 8, 8);
    }
    world.serve();
    world.restart_server(0);
    world.client.geometry();
    assert!(world.client.completed().is_none());
    for n in 0..8 {
        world.serve();
        assert_eq!(world.device.last().map(|request| request.sector), Some(n * 8));
    }
    assert_eq!(world.client.replays(), 8);
    world.settle();
    world.submit(false, 0, 64);
    world.settle();
    assert_eq!(world.read, 64 * 512);
}

/// The old client's requests are with the device: the new one waits, as its slots are in use.
#[test]
fn a_new_client_waits_for_the_old_ones_requests() {
    let mut world = World::new();
    world.settle();
    world.submit(false, 0, 8);
    world.serve();
    world.restart_client();
    world.submit(false, 8, 8);
    world.serve();
    assert_eq!(world.client.geometry(), None);
    assert!(world.server.may_sleep() || world.server.notify());
    world.work(0, false);
    assert!(!world.server.may_sleep(), "now it can be let in");
    world.serve();
    assert!(world.server.notify());
    assert!(world.client.geometry().is_some());
    world.settle();
}

#[test]
fn the_servers_half_refuses_what_breaks_the_rules() {
    let [out, back] = Area::pair(AREA);
    let mut client = Client::new(out.clone(), back.clone()).unwrap();
    assert_eq!(client.flush(0), Err(Error::Down));
    let read_only = Geometry { read_only: true, block: 4096, physical: 4096, ..Geometry::new(80) };
    let mut server = Server::new(back.clone(), out.clone(), read_only).unwrap();
    server.next_request();
    assert_eq!(client.geometry(), Some(read_only));
    assert_eq!(client.write(0, 4096, 0).err(), Some(Error::ReadOnly));
    assert_eq!(client.read(1, 4096, 0), Err(Error::Range));
    assert_eq!(client.read(0, 512, 0), Err(Error::Range));
    assert_eq!(client.discard(0, 4096, 0), Err(Error::ReadOnly));
    // Not by the client's half: a request as it may stand in the ring.
    let raw = |n: u64, words: [u64; 4]| {
        words.iter().enumerate().for_each(|(i, word)| out.store(1024 + n * 32 + i as u64 * 8, *word));
        out.store_release(128, out.load(128) >> 32 << 32 | (n + 1));
    };
    let wrong = [
        ([0, 72, 8192, 4096], Status::Invalid),             // beyond the disk's end
        ([0, u64::MAX / 512, 4096, 4096], Status::Invalid), // the byte's number overflows
        ([0, 0, 4096, 0], Status::Invalid),                 // over the header
        ([0, 0, 4096, AREA - 2048], Status::Invalid),       // over the area's end
        ([0, 0, 4096, u64::MAX - 100], Status::Invalid),    // its end overflows
        ([0, 0, 4096, 4097], Status::Invalid),              // not aligned
        ([64, 0, 4096, 4096], Status::Invalid),             // no such id
        ([1 << 32, 0, 4096, 4096], Status::ReadOnly),
        ([9 << 32, 0, 4096, 4096], Status::Unsupported),
        ([0, 0, 0, 4096], Status::Invalid),
        ([0, 0, MAX_BYTES * 2, 4096], Status::Invalid),
    ];
    for (n, (words, status)) in wrong.into_iter().enumerate() {
        raw(n as u64, words);
        assert_eq!(server.next_request(), None);
        assert_eq!(back.load(1024 + n as u64 * 32) >> 32, status as u64, "{words:x?}");
    }
    let n = wrong.len() as u64;
    raw(n, [5, 8, 4096, 8192]);
    let request = server.next_request().unwrap();
    assert_eq!((request.id, request.sector, request.bytes, request.offset), (5, 8, 4096, 8192));
    raw(n + 1, [5, 8, 4096, 8192]);
    assert_eq!(server.next_request(), None, "an id in flight");
    assert_eq!(server.in_flight(), 1);
}

#[test]
fn thirty_two_requests_of_several_sizes_fly_at_once() {
    let [out, back] = Area::pair((1 << 20) + 4096);
    let mut client = Client::new(out.clone(), back.clone()).unwrap();
    let mut server = Server::new(back, out, Geometry::new(1 << 20)).unwrap();
    server.next_request();
    assert!(client.geometry().is_some());
    for n in 0..8 {
        client.read(n * 256, MAX_BYTES, n).unwrap();
    }
    assert_eq!(client.read(0, 512, 9), Err(Error::Full));
    client.flush(8).unwrap();
    for n in 0..8 {
        client.write(n * 256, MAX_BYTES, 10 + n).unwrap().submit();
    }
    assert!(client.notify());
    assert!(!client.notify());
    let requests: Vec<_> = std::iter::from_fn(|| server.next_request()).collect();
    assert_eq!(requests.len(), 17);
    requests.iter().rev().for_each(|request| server.complete(request.id, Status::Done));
    assert!(server.notify());
    let tokens: Vec<_> = std::iter::from_fn(|| client.completed().map(|done| done.token())).collect();
    assert_eq!(tokens.len(), 17);
    assert_eq!(tokens[..2], [17, 16]);
    client.read(0, 512, 9).unwrap();
}

/// A client that never consumes its answers is not served beyond the ring; one that says that it has
/// consumed what was never produced isn't listened to.
#[test]
fn who_does_not_consume_waits() {
    let [out, back] = Area::pair(AREA);
    let mut client = Client::new(out.clone(), back.clone()).unwrap();
    let mut server = Server::new(back, out.clone(), geometry()).unwrap();
    server.next_request();
    assert!(client.geometry().is_some());
    let tag = out.load(128) >> 32 << 32;
    // Flushes, in all entries of the ring, again and again.
    (0..64).for_each(|n| out.store(1024 + n * 32, 2 << 32 | n));
    let mut served = 0;
    for produced in (32..=192).step_by(32) {
        out.store_release(128, tag | produced);
        while let Some(request) = server.next_request() {
            server.complete(request.id, Status::Done);
            served += 1;
        }
        server.notify();
    }
    assert_eq!((served, server.link().faults()), (64, 0));
    assert!(server.may_sleep(), "until the client consumes something");
    out.store_release(136, tag | 1);
    assert!(!server.may_sleep());
    assert!(server.next_request().is_some());
    out.store_release(136, tag | 66);
    assert_eq!(server.next_request(), None);
    assert_eq!(server.link().faults(), 1);
    assert!(server.may_sleep(), "it isn't listened to");
}
