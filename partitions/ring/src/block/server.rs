// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The serving end of a virtual disk.

use super::wire::{self, Entry, Geometry, Operation, REQUESTS, SECTOR, Status};
use crate::Error;
use crate::connection::{Connection, Interest};
use crate::layout::DATA;
use crate::memory::Memory;

/// A request that has been checked: range, size and id are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id: below [`REQUESTS`], and no other of this link in flight has it.
    pub id: u32,
    /// What to do.
    pub operation: Operation,
    /// The first sector, of 512 bytes.
    pub sector: u64,
    /// How many bytes; 0 for a flush.
    pub bytes: u64,
    /// Reads: where the data go, in our `out`; writes: where they come from, in `incoming`. Counts
    /// from the area's begin, a multiple of 512. All `bytes` lie within.
    pub offset: u64,
}

/// The serving end.
#[derive(Debug)]
pub struct Server<M> {
    link: Connection<M>,
    geometry: Geometry,
    /// Bit n: id n is with the driver.
    taken: u64,
    refused: u64,
}

impl<M: Memory> Server<M> {
    /// Starts to serve a disk. Before this, the device must have stopped to move data of an earlier
    /// life of this program.
    ///
    /// # Errors
    /// [`Error::Area`] if an area is too small, [`Error::Range`] if the geometry makes no sense.
    pub fn new(out: M, incoming: M, geometry: Geometry) -> Result<Self, Error> {
        if !geometry.is_sound() {
            return Err(Error::Range);
        }
        let protocol = parzelle_abi::info::Protocol::Block as u32;
        let mut link = Connection::new(out, incoming, protocol, true, [REQUESTS; 2])?;
        geometry.tell(&link);
        link.start();
        Ok(Self { link, geometry, taken: 0, refused: 0 })
    }

    /// What is known of the link: whether it is up, how often the client broke the rules.
    pub fn link(&self) -> &Connection<M> {
        &self.link
    }

    /// The disk.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// How many requests were answered here, because they break the rules. An honest client sends none.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How many requests are with the driver.
    pub fn in_flight(&self) -> u32 {
        self.taken.count_ones()
    }

    /// The client's next request; `None` when there is nothing to do now. Each is to be completed,
    /// in any order. Requests that break the rules are answered here: at most as many as the ring
    /// has entries, in one call.
    pub fn next_request(&mut self) -> Option<Request> {
        if self.link.available() == 0 || !self.has_room() {
            self.link.poll(self.taken == 0);
        }
        for _ in 0..REQUESTS {
            // A request is taken only if there is room for its response, too. With an honest client
            // there always is: it has no more in flight than the ring has entries.
            if self.link.available() == 0 || !self.has_room() {
                return None;
            }
            let entry = wire::load_request(&self.link);
            self.link.consume(1);
            match self.check(&entry) {
                Ok(request) => {
                    self.taken |= 1 << request.id;
                    return Some(request);
                }
                Err(status) => {
                    self.refused = self.refused.saturating_add(1);
                    self.answer(entry.id, status);
                }
            }
        }
        None
    }

    /// Whether a further response has room, beside those of all requests in flight.
    fn has_room(&mut self) -> bool {
        let flying = self.in_flight();
        self.link.room(flying + 1) > flying
    }

    /// Checks a request: id, disk, area.
    fn check(&self, entry: &Entry) -> Result<Request, Status> {
        let &Entry { id, operation, sector, bytes, offset } = entry;
        let operation = operation.ok_or(Status::Unsupported)?;
        if id >= REQUESTS || self.taken >> id & 1 != 0 {
            return Err(Status::Invalid);
        }
        let status = self.geometry.check(operation, sector, bytes);
        status.result().map_err(|_| status)?;
        let area = match operation {
            Operation::Read => self.link.ours.0.bytes(),
            Operation::Write => self.link.theirs.bytes(),
            Operation::Discard => return Ok(Request { id, operation, sector, bytes, offset: 0 }),
            Operation::Flush => return Ok(Request { id, operation, sector: 0, bytes: 0, offset: 0 }),
        };
        let within = offset >= DATA && offset.checked_add(bytes).is_some_and(|end| end <= area);
        if !within || !offset.is_multiple_of(SECTOR) {
            return Err(Status::Invalid);
        }
        Ok(Request { id, operation, sector, bytes, offset })
    }

    /// Completes a request that [`Self::next_request`] gave; others are ignored. If the client has started
    /// anew meanwhile, nobody is told.
    pub fn complete(&mut self, id: u32, status: Status) {
        let bit = 1u64.checked_shl(id).unwrap_or(0);
        if self.taken & bit == 0 {
            return;
        }
        self.taken &= !bit;
        self.answer(id, status);
    }

    /// Puts a response into the ring: there is room, see [`Self::has_room`].
    fn answer(&mut self, id: u32, status: Status) {
        if self.link.is_up() {
            wire::store_response(&self.link, id, status);
            self.link.produce(1);
        }
    }

    /// Copies data of a write in flight out of the area, from byte `at` of the request on; for
    /// drivers whose device can't. `None` if that is not all within the request.
    pub fn copy_out(&self, request: &Request, at: u64, into: &mut [u8]) -> Option<()> {
        let offset = range(request, Operation::Write, at, into.len())?;
        self.link.theirs.read(offset, into)
    }

    /// Copies data of a read in flight into the area, see [`Self::copy_out`].
    pub fn copy_in(&self, request: &Request, at: u64, from: &[u8]) -> Option<()> {
        let offset = range(request, Operation::Read, at, from.len())?;
        self.link.ours.0.write(offset, from)
    }

    /// Whether the client has to be woken: ring if so. After each batch, and before sleeping.
    pub fn notify(&mut self) -> bool {
        self.link.notify()
    }

    /// Whether there is nothing to do before the client's doorbell rings (or the device has
    /// something).
    pub fn may_sleep(&mut self) -> bool {
        // Without room for responses nothing can be taken: the client's next step is to consume.
        let flying = self.in_flight();
        let stuck = self.link.is_up() && !self.has_room();
        let room = stuck.then_some(flying + 1);
        self.link.may_sleep(Interest { entries: !stuck, room, joins: self.taken == 0 })
    }
}

/// Where `length` bytes from byte `at` of a request on lie.
fn range(request: &Request, operation: Operation, at: u64, length: usize) -> Option<u64> {
    let end = at.checked_add(length as u64)?;
    (request.operation == operation && end <= request.bytes).then(|| request.offset.checked_add(at))?
}
