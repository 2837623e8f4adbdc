// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Clients of a virtual disk.
//!
//! `disk` writes and reads at random, many requests at a time, and knows what every block has to hold:
//! the last version whose write was acknowledged. The driver may be restarted meanwhile. `reader` has
//! no right to write, and forges requests in the ring.

use parzelle_ring::block::{Client, Operation, Status};
use parzelle_ring::layout;
use parzelle_rt::time::{MILLISECOND, SECOND};
use parzelle_rt::{Error, Link, Once, Partition, Volatile, now, wait};
use test_support::{Random, Test};

use crate::pattern::{self, BLOCK};

/// The most blocks that are looked after.
const BLOCKS: usize = 8192;
/// The most blocks that a request moves.
const LENGTH: u64 = 32;
/// Requests under way.
const DEPTH: usize = 24;
/// Sectors of a block.
const SECTORS: u64 = BLOCK as u64 / 512;
/// Without any answer for so long, something is stuck.
const PATIENCE: u64 = 20 * SECOND;

static VERSIONS: Once<[u32; BLOCKS]> = Once::new([0; BLOCKS]);
static BUSY: Once<[bool; BLOCKS]> = Once::new([false; BLOCKS]);

/// A disk, and what it has to hold. Version 0: nobody knows yet.
struct Load {
    link: Link,
    client: Client<Volatile>,
    versions: &'static mut [u32; BLOCKS],
    busy: &'static mut [bool; BLOCKS],
    random: Random,
    blocks: u64,
    buffer: [u8; BLOCK],
    moved: u64,
    wrong: u64,
    failed: u64,
    last: u64,
    pause: u64,
}

/// Leads: a load, then everything is read once more.
pub(crate) fn load(me: &Partition) -> Result<(), Error> {
    let config = me.config();
    let number = |key, otherwise| config.number(key).unwrap_or(otherwise);
    let mut test = Test::new("disk");
    let link = me.link(config.text("link").unwrap_or("data"))?;
    let (Some(versions), Some(busy)) = (VERSIONS.take(), BUSY.take()) else { return Ok(()) };
    let client = open(&link)?;
    let mut load = Load {
        link,
        client,
        versions,
        busy,
        random: Random::new(number("seed", 1)),
        blocks: 0,
        buffer: [0; BLOCK],
        moved: 0,
        wrong: 0,
        failed: 0,
        last: now(),
        pause: 0,
    };
    let sectors = load.client.geometry().map_or(0, |geometry| geometry.sectors);
    load.blocks = (sectors / SECTORS).min(BLOCKS as u64);
    test.check(load.blocks > LENGTH, format_args!("{sectors} sectors"));
    let begin = now();
    test.check(load.mix(number("mebibytes", 16) << 20), "the load is stuck");
    let took = (now() - begin) / MILLISECOND;
    let mixed = load.moved;
    test.check(load.read_all(), "reading all is stuck");
    test.equal("blocks with a wrong content", load.wrong, 0);
    test.equal("requests that failed", load.failed, 0);
    test.equal("faults of the server", load.client.link().faults(), 0);
    let least = number("replays", 0);
    let replays = load.client.replays();
    test.check(replays >= least, format_args!("{replays} requests were sent again, should be {least}"));
    log::info!("{} KiB in {took} ms, longest pause {} us, {replays} replays", mixed >> 10, load.pause / 1000);
    test.verdict();
    Ok(())
}

/// Connects to the server.
fn open(link: &Link) -> Result<Client<Volatile>, Error> {
    let mut client = Client::new(link.out(), link.incoming()).map_err(|_| Error::Bounds)?;
    while client.geometry().is_none() {
        if client.notify() {
            link.ring();
        }
        if client.may_sleep() {
            wait(now() + 100 * MILLISECOND, link.event());
        }
    }
    Ok(client)
}

impl Load {
    /// Moves so many bytes. Returns whether it came to an end.
    fn mix(&mut self, bytes: u64) -> bool {
        let mut step = 0u64;
        while self.moved < bytes {
            while self.client.in_flight() < DEPTH {
                step += 1;
                let started = if step.is_multiple_of(61) { self.client.flush(u64::MAX).is_ok() } else { self.start() };
                if !started {
                    break;
                }
            }
            if !self.settle(DEPTH / 2) {
                return false;
            }
        }
        self.settle(0)
    }

    /// Starts a request at random. Returns whether it could be.
    fn start(&mut self) -> bool {
        let count = 1 + self.random.below(LENGTH);
        let first = self.random.below(self.blocks - count);
        let range = first as usize..(first + count) as usize;
        if self.busy.get(range.clone()).is_none_or(|busy| busy.contains(&true)) {
            return true;
        }
        let known = self.versions.get(range.clone()).is_some_and(|versions| !versions.contains(&0));
        let writes = !known || self.random.below(2) == 0;
        let token = first << 32 | count << 1 | u64::from(writes);
        let started = if writes { self.write(first, count, token) } else { self.read(first, count, token) };
        if started {
            self.mark(range, true);
        }
        started
    }

    /// Marks blocks as being in a request, or not.
    fn mark(&mut self, range: core::ops::Range<usize>, busy: bool) {
        self.busy.get_mut(range).into_iter().flatten().for_each(|place| *place = busy);
    }

    fn read(&mut self, first: u64, count: u64, token: u64) -> bool {
        self.client.read(first * SECTORS, count * BLOCK as u64, token).is_ok()
    }

    /// Writes the next version of some blocks.
    fn write(&mut self, first: u64, count: u64, token: u64) -> bool {
        let Ok(mut write) = self.client.write(first * SECTORS, count * BLOCK as u64, token) else { return false };
        for at in 0..count {
            let Some(version) = self.versions.get_mut((first + at) as usize) else { return false };
            *version += 1;
            pattern::fill(first + at, *version, &mut self.buffer);
            if write.copy_in(at * BLOCK as u64, &self.buffer).is_none() {
                return false;
            }
        }
        write.submit();
        true
    }

    /// Takes answers until at most so many requests are under way. Returns whether they came.
    fn settle(&mut self, most: usize) -> bool {
        loop {
            if self.client.notify() {
                self.link.ring();
            }
            while self.answer() {}
            if self.client.in_flight() <= most {
                return true;
            }
            if self.client.may_sleep() {
                wait(now() + SECOND, self.link.event());
            }
            if now() - self.last > PATIENCE {
                return false;
            }
        }
    }

    /// Takes an answer, if there is one.
    fn answer(&mut self) -> bool {
        let Some(answer) = self.client.completed() else { return false };
        let now = now();
        self.pause = self.pause.max(now - self.last);
        self.last = now;
        self.failed += u64::from(answer.status() != Status::Done);
        let token = answer.token();
        if answer.operation() == Operation::Flush {
            return true;
        }
        let (first, count) = (token >> 32, token as u32 as u64 >> 1);
        self.moved += answer.bytes();
        for at in (0..count).filter(|_| answer.operation() == Operation::Read) {
            let version = self.versions.get((first + at) as usize).copied().unwrap_or(0);
            let copied = answer.copy_out(at * BLOCK as u64, &mut self.buffer);
            if copied.is_none() || !pattern::is(first + at, version, &self.buffer) {
                self.wrong += 1;
                log::error!("block {} is not version {version}", first + at);
            }
        }
        drop(answer);
        self.mark(first as usize..(first + count) as usize, false);
        true
    }

    /// Reads every block that was ever written.
    fn read_all(&mut self) -> bool {
        for block in 0..self.blocks {
            if self.versions.get(block as usize).is_some_and(|&version| version > 0) {
                while !self.read(block, 1, block << 32 | 1 << 1) {
                    if !self.settle(0) {
                        return false;
                    }
                }
            }
        }
        self.settle(0)
    }
}

/// Words of an entry of the ring, by their numbers.
type Words<'a> = &'a [(u64, u64)];

/// A disk over which requests are forged: the ring connects, and the words are written here.
struct Forger {
    link: Link,
    client: Client<Volatile>,
    /// Requests that were sent in this generation: fewer than the ring has entries.
    sent: u64,
}

impl Forger {
    fn new(link: Link) -> Result<Self, Error> {
        Ok(Self { link, client: open(&link)?, sent: 0 })
    }

    /// Sends a read of one block, of which some words of the entry are others: the number of the
    /// status with which it ends; `None` if it does not.
    fn send(&mut self, forge: Words<'_>) -> Option<u64> {
        let (out, incoming) = (self.link.out(), self.link.incoming());
        let entry = layout::RING + 32 * self.sent;
        let honest = [(Operation::Read as u64) << 32, 0, BLOCK as u64, layout::DATA];
        for (word, value) in (0..).zip(honest).chain(forge.iter().copied()) {
            out.store_u64(entry + 8 * word, value)?;
        }
        self.sent += 1;
        let tag = out.load_u64(layout::PRODUCED)? >> 32 << 32;
        // The entry is seen before the index.
        core::sync::atomic::fence(core::sync::atomic::Ordering::Release);
        out.store_u64(layout::PRODUCED, tag | self.sent)?;
        self.link.ring();
        let deadline = now() + SECOND;
        while now() < deadline {
            if u64::from(incoming.load_u64(layout::PRODUCED)? as u32) == self.sent {
                return Some(incoming.load_u64(entry)? >> 32);
            }
            wait(now() + 10 * MILLISECOND, self.link.event());
        }
        None
    }
}

/// Reads, and tries what it must not.
pub(crate) fn reader(me: &Partition) -> Result<(), Error> {
    let mut test = Test::new("reader");
    let link = me.link(me.config().text("link").unwrap_or("data"))?;
    let mut forger = Forger::new(link)?;
    let Some(geometry) = forger.client.geometry() else { return Ok(()) };
    test.check(geometry.read_only, "the disk may be written");
    test.equal("an honest read", forger.send(&[]), Some(Status::Done as u64));
    let id = 0;
    let write = (Operation::Write as u64) << 32 | id;
    let discard = (Operation::Discard as u64) << 32 | id;
    let forged: [(&str, Words<'_>, Status); 9] = [
        ("an id that there is not", &[(0, 64)], Status::Invalid),
        ("beyond the end", &[(1, geometry.sectors)], Status::Invalid),
        ("across the end", &[(1, geometry.sectors - 1)], Status::Invalid),
        ("around the end", &[(1, u64::MAX - 3)], Status::Invalid),
        ("half a sector", &[(2, 100)], Status::Invalid),
        ("outside of the area", &[(3, 1 << 40)], Status::Invalid),
        ("a write", &[(0, write)], Status::ReadOnly),
        ("a discard", &[(0, discard)], Status::ReadOnly),
        ("what nobody knows", &[(0, 77 << 32 | id)], Status::Unsupported),
    ];
    for (what, forge, status) in forged {
        test.equal(what, forger.send(forge), Some(status as u64));
    }
    // An index that can't be: nobody listens any more, until a new generation begins.
    link.out().store_u64(layout::PRODUCED, link.out().load_u64(layout::PRODUCED).unwrap_or(0) + 1000);
    link.ring();
    wait(now() + 50 * MILLISECOND, 0);
    let mut forger = Forger::new(link)?;
    test.equal("a read in a new generation", forger.send(&[]), Some(Status::Done as u64));
    // Garbage all over, again and again.
    let mut random = Random::new(7);
    for _ in 0..200 {
        for _ in 0..50 {
            let offset = random.below(link.out().len().min(4096) / 8) * 8;
            link.out().store_u64(offset, random.edge());
        }
        link.ring();
        wait(now() + MILLISECOND, 0);
    }
    let mut forger = Forger::new(link)?;
    test.equal("a read after garbage", forger.send(&[]), Some(Status::Done as u64));
    test.verdict();
    Ok(())
}
