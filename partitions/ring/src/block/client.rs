// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The client's end of a virtual disk.
//!
//! ```text
//!   read, flush, discard ─────────────┐
//!   write ─► Write ─ copy_in ─ submit ┴► sent ──answered──► Completion ─ copy_out ─► free
//!                                         │  ▲
//!                                         └──┘ the server has started anew: sent again
//! ```

use super::slots::Slots;
use super::wire::{self, Entry, Geometry, Operation, REQUESTS, Status};
use crate::Error;
use crate::connection::{Change, Connection, Interest};
use crate::memory::Memory;

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No request.
    Free,
    /// It has slots, and its data are being copied in.
    Held,
    /// The server may work at it. The number orders what is sent again.
    Sent(u64),
    /// It is answered; its slots are in use until the caller has read them.
    Answered,
}

/// What is known of a request.
#[derive(Clone, Copy, Debug)]
struct Kept {
    stage: Stage,
    operation: Operation,
    sector: u64,
    bytes: u64,
    offset: u64,
    token: u64,
}

const NONE: Kept = Kept { stage: Stage::Free, operation: Operation::Flush, sector: 0, bytes: 0, offset: 0, token: 0 };

/// The client's end.
#[derive(Debug)]
pub struct Client<M> {
    link: Connection<M>,
    geometry: Option<Geometry>,
    kept: [Kept; REQUESTS as usize],
    /// Slots of our area (for writes) and of the server's (for reads).
    ours: Slots,
    theirs: Slots,
    sent: u64,
    replays: u64,
}

impl<M: Memory> Client<M> {
    /// Starts to use a disk.
    ///
    /// # Errors
    /// [`Error::Area`] if an area is too small.
    pub fn new(out: M, incoming: M) -> Result<Self, Error> {
        let (ours, theirs) = (Slots::new(out.bytes()), Slots::new(incoming.bytes()));
        let protocol = parzelle_abi::info::Protocol::Block as u32;
        let mut link = Connection::new(out, incoming, protocol, false, [REQUESTS; 2])?;
        link.start();
        Ok(Self { link, geometry: None, kept: [NONE; REQUESTS as usize], ours, theirs, sent: 0, replays: 0 })
    }

    /// What is known of the link: whether it is up, how often the server broke the rules.
    pub fn link(&self) -> &Connection<M> {
        &self.link
    }

    /// What the disk is, as the server said last; `None` before it has said so. Looks whether it is
    /// there.
    pub fn geometry(&mut self) -> Option<Geometry> {
        if !self.link.is_up() {
            self.poll();
        }
        self.geometry
    }

    /// How often requests were sent again, to a server that had started anew.
    pub fn replays(&self) -> u64 {
        self.replays
    }

    /// How many requests are not answered.
    pub fn in_flight(&self) -> usize {
        self.kept.iter().filter(|kept| matches!(kept.stage, Stage::Sent(_))).count()
    }

    /// The most bytes of a read or write, whole blocks.
    pub fn max_bytes(&self) -> u64 {
        let Some(geometry) = self.geometry else { return 0 };
        let most = u64::from(geometry.max_bytes).min(self.ours.largest()).min(self.theirs.largest());
        most & !(u64::from(geometry.block) - 1)
    }

    /// Looks whether the server has started anew, and if so sends again what it has not answered.
    fn poll(&mut self) {
        if self.link.poll(true) != Change::Up {
            return;
        }
        let Some(geometry) = Geometry::learn(&self.link) else { return self.link.blame() };
        self.geometry = Some(geometry);
        // The ring is empty and has an entry for each request. They go in their old order: nothing
        // depends on it, but it is the kindest one.
        let mut after = 0;
        for _ in 0..REQUESTS {
            let sent = |kept: &Kept| match kept.stage {
                Stage::Sent(number) if number >= after => Some(number),
                _ => None,
            };
            let ids = self.kept.iter().enumerate();
            let Some((number, id)) = ids.filter_map(|(id, kept)| Some((sent(kept)?, id))).min() else { break };
            self.put(id);
            self.replays += 1;
            after = number + 1;
        }
    }

    /// Puts a request into the ring, which has room.
    fn put(&mut self, id: usize) {
        let Some(kept) = self.kept.get(id) else { return };
        let Kept { operation, sector, bytes, offset, .. } = *kept;
        let entry = Entry { id: id as u32, operation: Some(operation), sector, bytes, offset };
        wire::store_request(&self.link, operation, &entry);
        self.link.produce(1);
    }

    /// Checks a request and gives it an id and slots.
    fn hold(&mut self, operation: Operation, sector: u64, bytes: u64, token: u64) -> Result<usize, Error> {
        let geometry = self.geometry().ok_or(Error::Down)?;
        geometry.check(operation, sector, bytes).result()?;
        if operation.moves() && bytes > self.max_bytes() {
            return Err(Error::Range);
        }
        let id = self.kept.iter().position(|kept| kept.stage == Stage::Free).ok_or(Error::Full)?;
        // Only a server that doesn't consume what it answers lets the ring be full.
        if self.link.is_up() && self.link.room(1) == 0 {
            return Err(Error::Full);
        }
        let offset = match operation {
            Operation::Read => self.theirs.take(bytes).ok_or(Error::Full)?,
            Operation::Write => self.ours.take(bytes).ok_or(Error::Full)?,
            _ => 0,
        };
        if let Some(kept) = self.kept.get_mut(id) {
            *kept = Kept { stage: Stage::Held, operation, sector, bytes, offset, token };
        }
        Ok(id)
    }

    /// Sends a request that is held. If the server isn't there, it is sent once it is.
    fn send(&mut self, id: usize) {
        self.sent += 1;
        if let Some(kept) = self.kept.get_mut(id) {
            kept.stage = Stage::Sent(self.sent);
        }
        if self.link.is_up() && self.link.room(1) > 0 {
            self.put(id);
        }
    }

    /// Frees a request and its slots.
    fn free(&mut self, id: usize) {
        let Some(kept) = self.kept.get_mut(id) else { return };
        let Kept { operation, bytes, offset, .. } = core::mem::replace(kept, NONE);
        match operation {
            Operation::Read => self.theirs.free(offset, bytes),
            Operation::Write => self.ours.free(offset, bytes),
            _ => {}
        }
    }

    /// Asks to read `bytes` from a sector on. `token` comes back with the completion.
    ///
    /// # Errors
    /// [`Error::Down`] before the server was there for the first time, [`Error::Full`] if there is
    /// no room before others complete, or what is wrong with the request.
    pub fn read(&mut self, sector: u64, bytes: u64, token: u64) -> Result<(), Error> {
        let id = self.hold(Operation::Read, sector, bytes, token)?;
        self.send(id);
        Ok(())
    }

    /// Begins to write `bytes` from a sector on: the data are copied into what this gives, then it
    /// is submitted.
    ///
    /// # Errors
    /// As [`Self::read`], and [`Error::ReadOnly`].
    pub fn write(&mut self, sector: u64, bytes: u64, token: u64) -> Result<Write<'_, M>, Error> {
        let id = self.hold(Operation::Write, sector, bytes, token)?;
        Ok(Write { client: self, id })
    }

    /// Asks that all writes which have completed are put on stable storage.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn flush(&mut self, token: u64) -> Result<(), Error> {
        let id = self.hold(Operation::Flush, 0, 0, token)?;
        self.send(id);
        Ok(())
    }

    /// Says that the content of sectors isn't needed any more.
    ///
    /// # Errors
    /// As [`Self::read`], and [`Error::ReadOnly`] or [`Error::Unsupported`].
    pub fn discard(&mut self, sector: u64, bytes: u64, token: u64) -> Result<(), Error> {
        let id = self.hold(Operation::Discard, sector, bytes, token)?;
        self.send(id);
        Ok(())
    }

    /// The next request that is completed; `None` when there is none now. Dropping what this gives
    /// frees the request.
    pub fn completed(&mut self) -> Option<Completion<'_, M>> {
        if !self.link.is_up() || self.link.available() == 0 {
            self.poll();
        }
        if self.link.available() == 0 {
            return None;
        }
        let (id, status) = wire::load_response(&self.link);
        self.link.consume(1);
        let kept = self.kept.get_mut(id as usize).filter(|kept| matches!(kept.stage, Stage::Sent(_)));
        let Some(kept) = kept else {
            self.link.blame();
            return None;
        };
        kept.stage = Stage::Answered;
        Some(Completion { kept: *kept, id: id as usize, status, client: self })
    }

    /// Whether the server has to be woken: ring if so. After each batch, and before sleeping.
    pub fn notify(&mut self) -> bool {
        self.link.notify()
    }

    /// Whether there is nothing to do before the server's doorbell rings.
    pub fn may_sleep(&mut self) -> bool {
        self.link.may_sleep(Interest { entries: true, room: None, joins: true })
    }
}

/// A write whose data are being copied in. Dropped without [`Write::submit`], it is forgotten.
#[derive(Debug)]
pub struct Write<'a, M: Memory> {
    client: &'a mut Client<M>,
    id: usize,
}

impl<M: Memory> Write<'_, M> {
    /// Where its data lie in our area, and how many bytes they are; for callers that copy on their
    /// own.
    pub fn place(&self) -> (u64, u64) {
        self.client.kept.get(self.id).map_or((0, 0), |kept| (kept.offset, kept.bytes))
    }

    /// Copies data in, from byte `at` of the request on. `None` if they are not all within it.
    #[must_use]
    pub fn copy_in(&mut self, at: u64, from: &[u8]) -> Option<()> {
        let (offset, bytes) = self.place();
        let end = at.checked_add(from.len() as u64)?;
        if end > bytes {
            return None;
        }
        self.client.link.ours.0.write(offset + at, from)
    }

    /// Sends it.
    pub fn submit(self) {
        self.client.send(self.id);
    }
}

impl<M: Memory> Drop for Write<'_, M> {
    fn drop(&mut self) {
        if self.client.kept.get(self.id).is_some_and(|kept| kept.stage == Stage::Held) {
            self.client.free(self.id);
        }
    }
}

/// A request that is completed. What a read has brought lies in its slots until this is dropped.
#[derive(Debug)]
pub struct Completion<'a, M: Memory> {
    client: &'a mut Client<M>,
    id: usize,
    kept: Kept,
    status: Status,
}

impl<M: Memory> Completion<'_, M> {
    /// What the caller gave with the request.
    pub fn token(&self) -> u64 {
        self.kept.token
    }

    /// What was asked for.
    pub fn operation(&self) -> Operation {
        self.kept.operation
    }

    /// How it ended.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Bytes of the request.
    pub fn bytes(&self) -> u64 {
        self.kept.bytes
    }

    /// Where a read's data lie in the server's area, and how many bytes they are; for callers that
    /// copy on their own. The server can still change them.
    pub fn place(&self) -> Option<(u64, u64)> {
        let read = self.kept.operation == Operation::Read && self.status == Status::Done;
        read.then_some((self.kept.offset, self.kept.bytes))
    }

    /// Copies a read's data out, from byte `at` of the request on. `None` if they are not all within
    /// it, or the request isn't a read that was done.
    #[must_use]
    pub fn copy_out(&self, at: u64, into: &mut [u8]) -> Option<()> {
        let (offset, bytes) = self.place()?;
        let end = at.checked_add(into.len() as u64)?;
        if end > bytes {
            return None;
        }
        self.client.link.theirs.read(offset + at, into)
    }
}

impl<M: Memory> Drop for Completion<'_, M> {
    fn drop(&mut self) {
        self.client.free(self.id);
    }
}
