// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Both ends on cores of their own, under a model checker.
//!
//! ```text
//!   client's core ║ server's core            threads of the checker (shuttle)
//!        │ store    │ store
//!        ▼          ▼
//!     [buffer]   [buffer]                    stores wait here, and leave in an order that the
//!        │          │                        processor may choose; a fence empties it
//!        ▼          ▼
//!      area  ═══  area                       each access is a choice of who goes on
//! ```
//! The checker alone takes every access for sequentially consistent. The buffers make stores late,
//! and later than one another, as both architectures may (x86-64 less so): so a fence that is
//! missing is seen. A store with release leaves behind all that came before it. Loads aren't
//! reordered here: those that must stay in order are acquiring ones, which is for readers to see.
//!
//! A bell is kept until somebody waits for it, as an event is. A thread that waits for a bell that
//! never rings is a deadlock, which the checker finds: that is a lost wake-up.
//!
//! `PARZELLE_MODEL_RUNS` has the number of orders tried by each test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex as Plain};

use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

use crate::block::{Client, Geometry, Operation, SLOT, Server, Status};
use crate::console::Console;
use crate::network::{Parameters, Port};
use crate::{Error, Memory};

/// A store that has not left its core.
#[derive(Clone, Copy)]
struct Pending {
    offset: u64,
    value: u64,
    release: bool,
}

/// An area, and the buffer of the core that stores there. What isn't there is 0.
#[derive(Default)]
struct Inner {
    words: BTreeMap<u64, u64>,
    pending: Vec<Pending>,
}

impl Inner {
    /// Lets a store leave: any that nothing holds back.
    fn drain_one(&mut self) {
        let free = |index: usize| {
            let Pending { offset, release, .. } = self.pending[index];
            index == 0 || !release && self.pending[..index].iter().all(|before| before.offset != offset)
        };
        let free: Vec<usize> = (0..self.pending.len()).filter(|index| free(*index)).collect();
        if !free.is_empty() {
            let Pending { offset, value, .. } = self.pending.remove(free[thread_rng().gen_range(0..free.len())]);
            self.words.insert(offset, value);
        }
    }

    fn drain(&mut self) {
        for Pending { offset, value, .. } in self.pending.drain(..) {
            self.words.insert(offset, value);
        }
    }
}

/// An area as one side sees it.
#[derive(Clone)]
struct Side {
    inner: Arc<Plain<Inner>>,
    bytes: u64,
    writer: bool,
}

impl Side {
    /// The views of writer and reader.
    fn pair(bytes: u64) -> [Self; 2] {
        let side = |writer, inner: &Arc<_>| Self { inner: Arc::clone(inner), bytes, writer };
        let inner = Arc::default();
        [side(true, &inner), side(false, &inner)]
    }

    /// An access: somebody else may come first, and stores may leave meanwhile.
    fn access<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        thread::yield_now();
        let mut inner = self.inner.lock().unwrap();
        if !inner.pending.is_empty() && thread_rng().gen_range(0..4) == 0 {
            inner.drain_one();
        }
        act(&mut inner)
    }

    fn put(&self, offset: u64, value: u64, release: bool) {
        assert!(self.writer && offset + 8 <= self.bytes);
        self.access(|inner| inner.pending.push(Pending { offset, value, release }));
    }

    /// Nothing waits for ever in a buffer.
    fn drain(&self) {
        self.inner.lock().unwrap().drain();
    }
}

impl Memory for Side {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn load(&self, offset: u64) -> u64 {
        assert!(offset + 8 <= self.bytes);
        self.access(|inner| {
            let own = inner.pending.iter().rev().find(|store| self.writer && store.offset == offset);
            own.map_or_else(|| inner.words.get(&offset).copied().unwrap_or(0), |store| store.value)
        })
    }

    fn load_acquire(&self, offset: u64) -> u64 {
        self.load(offset)
    }

    fn store(&self, offset: u64, value: u64) {
        self.put(offset, value, false);
    }

    fn store_release(&self, offset: u64, value: u64) {
        self.put(offset, value, true);
    }

    fn fence(&self) {
        self.access(Inner::drain);
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        for (at, byte) in (offset..).zip(into) {
            *byte = self.load(at & !7).to_le_bytes()[at as usize % 8];
        }
        Some(())
    }

    fn write(&self, offset: u64, from: &[u8]) -> Option<()> {
        let mut left = from;
        let mut at = offset;
        while !left.is_empty() {
            let first = at as usize % 8;
            let (now, later) = left.split_at(left.len().min(8 - first));
            // A whole word needs no look at what is there.
            let mut word = if now.len() == 8 { [0; 8] } else { self.load(at & !7).to_le_bytes() };
            word[first..first + now.len()].copy_from_slice(now);
            self.store(at & !7, u64::from_le_bytes(word));
            (left, at) = (later, at + now.len() as u64);
        }
        Some(())
    }
}

/// A doorbell's event at one side.
#[derive(Clone)]
struct Bell(Arc<(Mutex<bool>, Condvar)>);

impl Bell {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    fn ring(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.0.0.lock().unwrap();
        while !*rung {
            rung = self.0.1.wait(rung).unwrap();
        }
        *rung = false;
    }

    fn clear(&self) {
        *self.0.0.lock().unwrap() = false;
    }
}

/// What one side has: its areas and the two bells.
#[derive(Clone)]
struct Place {
    out: Side,
    incoming: Side,
    peers: Bell,
    own: Bell,
}

impl Place {
    /// Both places of a link.
    fn pair(bytes: u64) -> [Self; 2] {
        let ([a_out, a_seen], [b_out, b_seen]) = (Side::pair(bytes), Side::pair(bytes));
        let (a, b) = (Bell::new(), Bell::new());
        let first = Self { out: a_out, incoming: b_seen, peers: b.clone(), own: a.clone() };
        [first, Self { out: b_out, incoming: a_seen, peers: a, own: b }]
    }

    /// The end of a batch, as every caller does it.
    fn pause(&self, notify: bool, may_sleep: impl FnOnce() -> bool) {
        if notify {
            self.peers.ring();
        }
        if may_sleep() {
            // The peer may do much between the last look and the end of our stores' wait.
            thread::yield_now();
            self.out.drain();
            self.own.wait();
        }
    }

    /// The partition is restarted: its stores are done, events of the old life are gone.
    fn restart(&self) {
        self.out.drain();
        self.own.clear();
    }
}

/// Whether this life ends now, at random: `lives` counts those that are left.
fn dies(lives: &mut u32) -> bool {
    let dies = *lives > 0 && thread_rng().gen_range(0..6) == 0;
    *lives -= u32::from(dies);
    dies
}

fn explore(execution: fn()) {
    let runs = std::env::var("PARZELLE_MODEL_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(1000usize);
    let mut config = shuttle::Config::default();
    (config.stack_size, config.silence_warnings) = (1 << 18, true);
    config.max_steps = shuttle::MaxSteps::FailAfter(200_000);
    shuttle::Runner::new(RandomScheduler::new(runs / 2), config.clone()).run(execution);
    shuttle::Runner::new(PctScheduler::new(4, runs / 2), config).run(execution);
}

const BLOCK: u64 = 4096 + 4 * SLOT;
const WRITES: u64 = 4;

/// The client writes sectors 0 to 3 of a disk, two at a time, and reads each back; the server dies
/// up to `server_lives` times, the client `client_lives` times.
fn block(client_lives: u32, server_lives: u32) {
    let [client, server] = Place::pair(BLOCK);
    // The word that each sector begins with, and whether the client is done.
    let disk = Arc::new(Plain::new([0u64; WRITES as usize]));
    let over = Arc::new(Plain::new(false));
    let serve = {
        let (disk, over) = (disk.clone(), over.clone());
        thread::spawn(move || serve_blocks(&server, server_lives, &disk, &over))
    };
    use_blocks(&client, client_lives, &disk);
    *over.lock().unwrap() = true;
    client.peers.ring();
    serve.join().unwrap();
}

fn serve_blocks(place: &Place, mut lives: u32, disk: &Plain<[u64; WRITES as usize]>, over: &Plain<bool>) {
    'life: loop {
        place.restart();
        let geometry = Geometry::new(WRITES);
        let mut server = Server::new(place.out.clone(), place.incoming.clone(), geometry).unwrap();
        let mut device = Vec::new();
        loop {
            while let Some(request) = server.next_request() {
                device.push(request);
            }
            // The device works at one of the requests, then its interrupt comes.
            if !device.is_empty() {
                let request = device.swap_remove(thread_rng().gen_range(0..device.len()));
                // Nobody else may wait for the disk while an access lets others run.
                let sector = request.sector as usize;
                if request.operation == Operation::Write {
                    let word = place.incoming.load(request.offset);
                    disk.lock().unwrap()[sector] = word;
                } else {
                    let word = disk.lock().unwrap()[sector];
                    place.out.store(request.offset, word);
                }
                if dies(&mut lives) {
                    continue 'life;
                }
                server.complete(request.id, Status::Done);
            }
            if *over.lock().unwrap() {
                assert_eq!(server.link().faults(), 0);
                return;
            }
            let notify = server.notify();
            if dies(&mut lives) {
                continue 'life;
            }
            place.pause(notify, || server.may_sleep() && device.is_empty());
        }
    }
}

fn use_blocks(place: &Place, mut lives: u32, disk: &Plain<[u64; WRITES as usize]>) {
    'life: loop {
        place.restart();
        let mut client = Client::new(place.out.clone(), place.incoming.clone()).unwrap();
        let (mut next, mut done) = (0, 0);
        while done < 2 * WRITES {
            // First all writes, then all reads.
            while next < 2 * WRITES && (next < WRITES || done >= WRITES) {
                let asked = match next < WRITES {
                    true => client.write(next, 512, next).map(|mut write| {
                        write.copy_in(0, &(100 + next).to_le_bytes()).unwrap();
                        write.submit();
                    }),
                    false => client.read(next - WRITES, 512, next),
                };
                match asked {
                    Ok(()) => next += 1,
                    Err(error) => {
                        assert!(matches!(error, Error::Full | Error::Down));
                        break;
                    }
                }
            }
            let notify = client.notify();
            if dies(&mut lives) {
                continue 'life;
            }
            place.pause(notify, || client.may_sleep());
            while let Some(answer) = client.completed() {
                assert_eq!(answer.status(), Status::Done);
                let token = answer.token();
                if answer.operation() == Operation::Read {
                    let mut word = [0; 8];
                    answer.copy_out(0, &mut word).unwrap();
                    assert_eq!(u64::from_le_bytes(word), 100 + token - WRITES);
                } else {
                    assert_eq!(disk.lock().unwrap()[token as usize], 100 + token, "acknowledged");
                }
                done += 1;
            }
        }
        assert_eq!((client.in_flight(), client.link().faults()), (0, 0));
        return;
    }
}

#[test]
fn no_request_is_lost() {
    explore(|| block(0, 0));
}

#[test]
fn a_server_that_restarts_is_given_all_again() {
    explore(|| block(0, 2));
}

#[test]
fn a_client_that_restarts_is_let_in() {
    explore(|| block(2, 0));
}

#[test]
fn both_may_restart_at_any_time() {
    explore(|| block(2, 2));
}

const FRAMES: u64 = 9;

/// Frames through a ring of two slots: the sender waits for room, the receiver for frames. What
/// arrives is in order; all of it, unless somebody dies.
fn frames(mut lives: u32) {
    let [sender, receiver] = Place::pair(4096 + 2 * 2048);
    let parameters = Parameters { mac: [0; 6], mtu: 1500 };
    let dying = lives > 0;
    let receive = thread::spawn(move || {
        let mut last = 0;
        'life: loop {
            receiver.restart();
            let mut port = Port::connect(receiver.out.clone(), receiver.incoming.clone()).unwrap();
            loop {
                let mut frame = [0; 16];
                while let Some((length, _)) = port.receive(&mut frame) {
                    let number = u64::from_le_bytes(frame[..8].try_into().unwrap());
                    assert_eq!(length, 16);
                    assert!(number > last && (dying || number == last + 1), "{number} after {last}");
                    last = number;
                    if last == FRAMES {
                        return assert_eq!(port.link().faults(), 0);
                    }
                }
                let notify = port.notify();
                if dies(&mut lives) {
                    continue 'life;
                }
                receiver.pause(notify, || port.may_sleep());
            }
        }
    });
    let mut port = Port::serve(sender.out.clone(), sender.incoming.clone(), parameters).unwrap();
    // Frames may be lost when the receiver dies: the last one is said until it is heard.
    let mut number = 1;
    while number <= FRAMES {
        let _ = port.peek();
        let mut frame = [0; 16];
        frame[..8].copy_from_slice(&number.to_le_bytes());
        let sent = port.send(&frame, 0);
        match sent {
            Ok(()) => number += 1,
            Err(error) => assert!(matches!(error, Error::Full | Error::Down)),
        }
        sender.pause(port.notify(), || sent.is_err() && port.may_sleep());
    }
    sender.out.drain();
    receive.join().unwrap();
}

#[test]
fn no_frame_is_lost() {
    explore(|| frames(0));
}

/// Lossless both ways, through rings of eight bytes.
fn bytes() {
    let [program, window] = Place::pair(4096 + 8);
    const TEXT: &[u8] = b"what is typed and what is said";
    let talk = |place: Place, mut console: Console<Side>| {
        let (mut sent, mut heard) = (0, Vec::new());
        while sent < TEXT.len() || heard.len() < TEXT.len() {
            sent += console.write(&TEXT[sent..]);
            let mut buffer = [0; 5];
            let read = console.read(&mut buffer);
            heard.extend_from_slice(&buffer[..read]);
            let more = sent < TEXT.len() || heard.len() < TEXT.len();
            place.pause(console.notify(), || more && console.may_sleep());
        }
        place.out.drain();
        assert_eq!(heard, TEXT);
        assert_eq!(console.link().faults(), 0);
    };
    let other = thread::spawn(move || {
        let console = Console::connect(program.out.clone(), program.incoming.clone()).unwrap();
        talk(program, console);
    });
    let console = Console::serve(window.out.clone(), window.incoming.clone()).unwrap();
    talk(window, console);
    other.join().unwrap();
}

#[test]
fn no_byte_is_lost() {
    explore(bytes);
}
