// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Peers that lie.
//!
//! ```text
//!   honest peer ──► its area ──► Lying: some loads give something else ──► the end under attack
//! ```
//! A load that gives anything, and another thing each time, is the worst that a peer on another core
//! can do, and as the peer behind the lies is an honest one, the end under attack gets everywhere
//! (random words alone would end at the first tag). What must hold: no panic, no access outside of
//! the areas (the fake's accesses panic there), a bounded number of accesses in each call, what is
//! given to the caller is sound; and when the lies end and the peer starts anew, all is well again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::block::{Client, Geometry, MAX_BYTES, Operation, REQUESTS, Request, SLOT, Server, Status};
use crate::console::Console;
use crate::fake::Area;
use crate::layout::{self, DATA};
use crate::network::{MAX_FRAME, Parameters, Port, SLOTS};
use crate::{Error, Memory};
use std::collections::BTreeSet;

/// Accesses of words that one call may take: a few for each entry of a ring.
const BOUND: u64 = 12 * REQUESTS as u64;

/// Numbers that look random (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// An area as the end under attack sees it.
#[derive(Clone, Debug)]
struct Lying {
    area: Area,
    chance: Rc<RefCell<Chance>>,
    /// One of so many loads is a lie; 0: none is.
    rate: Rc<Cell<u64>>,
    accesses: Rc<Cell<u64>>,
}

impl Lying {
    fn lie(&self, offset: u64, value: u64) -> u64 {
        self.accesses.set(self.accesses.get() + 1);
        let mut chance = self.chance.borrow_mut();
        // Lies about the state end the connection: not too often.
        let rate = self.rate.get() * if offset == layout::STATE { 8 } else { 1 };
        if rate == 0 || chance.below(rate) != 0 {
            return value;
        }
        let (high, low) = (value >> 32 << 32, value & 0xffff_ffff);
        match chance.below(7) {
            0 => chance.next(),
            1 => value ^ 1 << chance.below(64),
            2 => high | u64::from((low as u32).wrapping_add(chance.below(140) as u32)),
            3 => high | u64::from((low as u32).wrapping_sub(chance.below(140) as u32)),
            4 => high | chance.next() >> 32,
            5 => chance.next() << 32 | low,
            _ => self.area.load(chance.below(64) * 8),
        }
    }
}

impl Memory for Lying {
    fn bytes(&self) -> u64 {
        self.area.bytes()
    }

    fn load(&self, offset: u64) -> u64 {
        self.lie(offset, self.area.load(offset))
    }

    fn load_acquire(&self, offset: u64) -> u64 {
        self.lie(offset, self.area.load_acquire(offset))
    }

    fn store(&self, offset: u64, value: u64) {
        self.accesses.set(self.accesses.get() + 1);
        self.area.store(offset, value);
    }

    fn store_release(&self, offset: u64, value: u64) {
        self.store(offset, value);
    }

    fn fence(&self) {}

    fn read(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        self.area.read(offset, into)
    }

    fn write(&self, offset: u64, from: &[u8]) -> Option<()> {
        self.area.write(offset, from)
    }
}

/// Both areas of a link; those of the end under attack.
struct Attack {
    honest: [Area; 2],
    ours: Lying,
    theirs: Lying,
}

impl Attack {
    fn new(seed: u64, bytes: u64) -> Self {
        let honest = Area::pair(bytes);
        let chance = Rc::new(RefCell::new(Chance(seed)));
        let accesses = Rc::new(Cell::new(0));
        let end = |area: &Area, rate| Lying {
            area: area.clone(),
            chance: chance.clone(),
            rate: Rc::new(Cell::new(rate)),
            accesses: accesses.clone(),
        };
        let (ours, theirs) = (end(&honest[0], 0), end(&honest[1], 4 << (seed % 6)));
        Self { honest, ours, theirs }
    }

    /// The honest peer's: out, incoming.
    fn peer(&self) -> (Area, Area) {
        (self.honest[1].clone(), self.honest[0].clone())
    }

    fn chance(&self, limit: u64) -> u64 {
        self.ours.chance.borrow_mut().below(limit)
    }

    /// Nothing but lies: the peer writes all over its area.
    fn scribble(&self) {
        for _ in 0..self.chance(20) {
            let at = [0, 8, 64, 128, 136, 192, 200, 256, 264, 272, DATA, 1024 + 8 * self.chance(256)];
            let value = self.chance(u64::MAX);
            let value = self.theirs.lie(0, value);
            self.honest[1].store(at[self.chance(at.len() as u64) as usize], value);
        }
    }

    /// With a peer that does nothing for a while, an end comes to rest: `sleeps` does what is to be
    /// done, and says whether the end may sleep then.
    fn rests(&self, mut sleeps: impl FnMut() -> bool) {
        let rate = self.theirs.rate.replace(0);
        assert!((0..300).any(|_| sleeps()), "never at rest");
        self.theirs.rate.set(rate);
    }

    /// Does a call and sees that it takes not too many accesses.
    fn bounded<T>(&self, call: impl FnOnce() -> T) -> T {
        self.ours.accesses.set(0);
        let result = call();
        let accesses = self.ours.accesses.get();
        assert!(accesses <= BOUND, "{accesses} accesses in one call");
        result
    }
}

const SECTORS: u64 = 512;
const AREA: u64 = DATA + 40 * SLOT;

/// What the caller of a server relies on.
fn judge(request: &Request, flying: &[Request]) {
    let &Request { id, operation, sector, bytes, offset } = request;
    assert!(id < REQUESTS && flying.iter().all(|other| other.id != id), "{request:?}");
    if operation != Operation::Flush {
        assert!(bytes > 0 && sector * 512 + bytes <= SECTORS * 512, "{request:?}");
    }
    if matches!(operation, Operation::Read | Operation::Write) {
        assert!(offset >= DATA && offset + bytes <= AREA && bytes <= MAX_BYTES, "{request:?}");
    }
}

/// A server whose client lies.
fn attack_server(seed: u64, steps: u64) {
    let attack = Attack::new(seed, AREA);
    let geometry = Geometry { discard: seed & 1 != 0, read_only: seed & 6 == 6, ..Geometry::new(SECTORS) };
    let serve = || Server::new(attack.ours.clone(), attack.theirs.clone(), geometry).unwrap();
    let (out, incoming) = attack.peer();
    let connect = || Client::new(out.clone(), incoming.clone()).unwrap();
    let (mut server, mut client) = (serve(), connect());
    let mut flying: Vec<Request> = Vec::new();
    let mut buffer = [0; 600];
    for _ in 0..steps {
        match attack.chance(100) {
            0..30 => {
                if let Some(request) = attack.bounded(|| server.next_request()) {
                    judge(&request, &flying);
                    flying.push(request);
                }
                assert_eq!(server.in_flight() as usize, flying.len());
            }
            30..50 if !flying.is_empty() => {
                let request = flying.swap_remove(attack.chance(flying.len() as u64) as usize);
                let _ = server.copy_out(&request, attack.chance(300), &mut buffer);
                let _ = server.copy_in(&request, attack.chance(300), &buffer);
                attack.bounded(|| server.complete(request.id, Status::Done));
            }
            50..60 => {
                attack.bounded(|| server.notify());
                attack.bounded(|| server.may_sleep());
            }
            60..80 => {
                let (sector, bytes) = (attack.chance(SECTORS), 512 << attack.chance(9));
                let _ = client.read(sector, bytes, 0);
                let _ = client.write(sector, bytes, 0).map(|write| write.submit());
                let _ = client.flush(0);
            }
            80..95 => while client.completed().is_some() {},
            95..98 => client = connect(),
            98 => attack.scribble(),
            _ if attack.chance(2) == 0 => attack.rests(|| {
                let done = flying.pop().or_else(|| server.next_request());
                done.iter().for_each(|request| server.complete(request.id, Status::Done));
                server.notify();
                done.is_none() && server.may_sleep()
            }),
            _ => {
                (server, flying) = (serve(), Vec::new());
            }
        }
    }
    // The truth from here on: a client that starts anew is served. It starts twice, as a lie may have
    // told of the very next generation and then broken the rules.
    attack.theirs.rate.set(0);
    flying.iter().for_each(|request| server.complete(request.id, Status::Failed));
    for _ in 0..2 {
        client = connect();
        // What it had believed before may be done first.
        for _ in 0..2 * REQUESTS {
            if let Some(request) = server.next_request() {
                server.complete(request.id, Status::Done);
            }
        }
    }
    client.geometry().expect("the server is there");
    client.read(8, 4096, 7).unwrap();
    let request = server.next_request().expect("it is served");
    server.complete(request.id, Status::Done);
    assert_eq!(client.completed().map(|done| (done.token(), done.status())), Some((7, Status::Done)));
}

/// A client whose server lies.
fn attack_client(seed: u64, steps: u64) {
    let attack = Attack::new(seed, AREA);
    let connect = || Client::new(attack.ours.clone(), attack.theirs.clone()).unwrap();
    let (out, incoming) = attack.peer();
    let serve = || Server::new(out.clone(), incoming.clone(), Geometry::new(SECTORS)).unwrap();
    let (mut client, mut server) = (connect(), serve());
    let mut flying = BTreeSet::new();
    let mut buffer = [0; 600];
    let mut token = 0;
    for _ in 0..steps {
        match attack.chance(100) {
            0..30 => {
                token += 1;
                let (sector, bytes) = (attack.chance(SECTORS), 512 << attack.chance(9));
                let asked = attack.bounded(|| match token % 3 {
                    0 => client.read(sector, bytes, token),
                    1 => client.flush(token),
                    _ => client.write(sector, bytes, token).map(|mut write| {
                        let _ = write.copy_in(attack.chance(bytes), &buffer);
                        write.submit();
                    }),
                });
                if asked.is_ok() {
                    flying.insert(token);
                }
                assert_eq!(client.in_flight(), flying.len());
            }
            30..60 => {
                let done = attack.bounded(|| client.completed());
                if let Some(done) = done {
                    assert!(flying.remove(&done.token()), "answered twice");
                    let _ = done.copy_out(attack.chance(done.bytes() + 1), &mut buffer);
                }
            }
            60..70 => {
                attack.bounded(|| client.notify());
                attack.bounded(|| client.may_sleep());
            }
            70..95 => {
                if let Some(request) = server.next_request() {
                    server.complete(request.id, Status::Done);
                }
            }
            95..97 => server = serve(),
            97 => attack.scribble(),
            98 => {
                (client, flying) = (connect(), BTreeSet::new());
            }
            _ => attack.rests(|| {
                let done = client.completed().map(|done| done.token());
                done.iter().for_each(|token| assert!(flying.remove(token)));
                client.notify();
                done.is_none() && client.may_sleep()
            }),
        }
    }
    // The truth from here on: all that is in flight is answered by a server that starts anew.
    attack.theirs.rate.set(0);
    server = serve();
    for round in 0..4 * REQUESTS {
        if round == REQUESTS {
            server = serve();
        }
        let _ = client.geometry();
        if let Some(request) = server.next_request() {
            server.complete(request.id, Status::Done);
        }
        if let Some(done) = client.completed() {
            assert!(flying.remove(&done.token()));
        }
    }
    assert!(flying.is_empty(), "never answered: {flying:?}");
    for bytes in [MAX_BYTES, SLOT] {
        client.read(0, bytes, 0).expect("all slots are free");
        client.write(0, bytes, 0).expect("all slots are free").submit();
    }
}

/// A port whose peer lies.
fn attack_port(seed: u64, steps: u64) {
    let attack = Attack::new(seed, DATA + 32 * 2048);
    let parameters = Parameters { mac: [2, 0, 0, 0, 0, 1], mtu: 1500 };
    let (out, incoming) = attack.peer();
    let serves = seed & 1 != 0;
    let ours = || match serves {
        true => Port::serve(attack.ours.clone(), attack.theirs.clone(), parameters).unwrap(),
        false => Port::connect(attack.ours.clone(), attack.theirs.clone()).unwrap(),
    };
    let theirs = || match serves {
        false => Port::serve(out.clone(), incoming.clone(), parameters).unwrap(),
        true => Port::connect(out.clone(), incoming.clone()).unwrap(),
    };
    let (mut port, mut peer) = (ours(), theirs());
    let mut frame = [7; MAX_FRAME as usize + 1];
    for _ in 0..steps {
        let length = attack.chance(frame.len() as u64 + 1) as usize;
        match attack.chance(100) {
            0..30 => {
                if let Some(waiting) = attack.bounded(|| port.peek()) {
                    assert!((14..=MAX_FRAME).contains(&waiting.bytes), "{waiting:?}");
                    assert!(waiting.offset + waiting.bytes <= attack.theirs.bytes());
                    let _ = port.copy_out(&waiting, attack.chance(20), &mut frame[..length]);
                }
                attack.bounded(|| port.receive(&mut frame[..length]));
            }
            30..50 => {
                let sent = attack.bounded(|| port.send(&frame[..length], 0));
                assert!(sent.is_ok() || sent != Err(Error::Range) || !(14..=MAX_FRAME as usize).contains(&length));
            }
            50..60 => {
                attack.bounded(|| port.notify());
                attack.bounded(|| port.may_sleep());
                attack.bounded(|| port.parameters());
                attack.bounded(|| port.carrier());
            }
            60..95 => {
                let _ = peer.send(&frame[..length], 0);
                while peer.receive(&mut frame).is_some() {}
            }
            95..97 => peer = theirs(),
            97 => attack.scribble(),
            98 => port = ours(),
            _ => attack.rests(|| {
                let received = port.receive(&mut frame).is_some();
                let _ = port.reserve();
                port.notify();
                !received && port.may_sleep()
            }),
        }
    }
    attack.theirs.rate.set(0);
    for round in 0..4 {
        if round < 2 {
            peer = theirs();
        }
        // What it had believed before may be received first.
        (0..SLOTS).for_each(|_| _ = port.receive(&mut frame));
        assert_eq!(peer.peek(), None);
    }
    assert_eq!((port.send(&[1; 60], 3), peer.send(&[2; 61], 4)), (Ok(()), Ok(())));
    assert_eq!((port.receive(&mut frame), peer.receive(&mut frame)), (Some((61, 4)), Some((60, 3))));
}

/// A console whose peer lies.
fn attack_console(seed: u64, steps: u64) {
    let attack = Attack::new(seed, DATA + 200);
    let (out, incoming) = attack.peer();
    let serve = || Console::serve(attack.ours.clone(), attack.theirs.clone()).unwrap();
    let connect = || Console::connect(out.clone(), incoming.clone()).unwrap();
    let (mut console, mut peer) = (serve(), connect());
    let mut text = [b'x'; 300];
    for _ in 0..steps {
        let length = attack.chance(text.len() as u64 + 1) as usize;
        match attack.chance(100) {
            0..30 => assert!(attack.bounded(|| console.read(&mut text[..length])) <= length.min(128)),
            30..50 => assert!(attack.bounded(|| console.write(&text[..length])) <= length.min(128)),
            50..60 => {
                attack.bounded(|| console.notify());
                attack.bounded(|| console.may_sleep());
                attack.bounded(|| console.window());
            }
            60..95 => {
                peer.write(&text[..length]);
                peer.read(&mut text[..length]);
            }
            95..97 => peer = connect(),
            97 => attack.scribble(),
            98 => console = serve(),
            _ => attack.rests(|| {
                let read = console.read(&mut text);
                console.notify();
                read == 0 && console.may_sleep()
            }),
        }
    }
    attack.theirs.rate.set(0);
    for round in 0..4 {
        if round < 2 {
            peer = connect();
        }
        let _ = (console.read(&mut text), peer.read(&mut text));
    }
    assert_eq!((console.write(b"hello"), peer.write(b"you")), (5, 3));
    assert_eq!((console.read(&mut text), peer.read(&mut text)), (3, 5));
}

const ATTACKS: [fn(u64, u64); 4] = [attack_server, attack_client, attack_port, attack_console];

#[test]
fn lies_harm_nobody() {
    for seed in 0..150 {
        ATTACKS.iter().for_each(|attack| attack(seed, 400));
    }
}

#[test]
#[ignore = "some million calls"]
fn lies_harm_nobody_a_million_times() {
    for seed in 1000..3000 {
        ATTACKS.iter().for_each(|attack| attack(seed, 1000));
    }
}
