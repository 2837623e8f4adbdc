// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The server: takes requests off the links in turns and keeps the device busy with them.
//!
//! ```text
//!   link ─ next ─► held? ─ range, rights ─ share, credit ─► slot of the device
//!    ▲                                                        │
//!    └──────────────────────── complete ◄─────────── finished ┘
//! ```
//! **Fair**: a link has at most its share of the device's slots, and per turn as many bytes as any
//! other (deficit round robin); what it did not get it gets in the next turn. One turn is a bounded
//! amount of work, whatever the clients do.
//!
//! **Flush**: goes to the device when all that the client asked for before has ended, and what it
//! asks for afterwards waits for it. That is more than the rings promise, and nobody can get it
//! wrong.
//!
//! **Hostile clients**: the ring answers what breaks its rules, and stops listening to who writes
//! what can't be; here every request is checked once more, against the disk's range. Faults are told
//! once per client in the log.

use parzelle_ring::block::{Operation, Request, Status};

use crate::device::{Command, Device};
use crate::disk::{Disk, SECTOR};
use crate::link::Link;

/// Bytes that a link may ask for per turn.
const QUANTUM: u64 = 128 * 1024;

/// What a request costs at least, in bytes: small ones aren't free.
const LEAST: u64 = 4096;

/// Requests that are taken off a link per turn, wrong ones included.
const REQUESTS: usize = 64;

/// What a link counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that were answered with success.
    pub served: u64,
    /// Requests that the disk or its rights refused.
    pub refused: u64,
    /// Requests in which the device failed.
    pub failed: u64,
}

/// A link, its disk, and what is under way for it.
#[derive(Debug)]
struct Client<L> {
    link: L,
    disk: Disk,
    /// A request that was taken off the ring and has to wait.
    held: Option<Request>,
    /// Bytes that it may still ask for.
    credit: u64,
    /// Commands under way.
    busy: usize,
    /// A flush is under way.
    is_flushing: bool,
    /// That it broke the ring's rules was told already.
    is_fault_told: bool,
    /// That it asked for what it must not have was told already.
    is_refusal_told: bool,
    counters: Counters,
}

/// A command that is under way.
#[derive(Clone, Copy, Debug)]
struct Running {
    client: usize,
    id: u32,
}

/// The links of a device, at most `LINKS`, and the commands in its slots.
#[derive(Debug)]
pub struct Server<L, const LINKS: usize, const SLOTS: usize> {
    clients: heapless::Vec<Client<L>, LINKS>,
    slots: [Option<Running>; SLOTS],
    free: heapless::Vec<u16, SLOTS>,
    first: usize,
    served: u64,
}

impl<L: Link, const LINKS: usize, const SLOTS: usize> Default for Server<L, LINKS, SLOTS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: Link, const LINKS: usize, const SLOTS: usize> Server<L, LINKS, SLOTS> {
    /// Serves nobody yet.
    pub fn new() -> Self {
        let free = (0..SLOTS as u16).rev().collect();
        Self { clients: heapless::Vec::new(), slots: [None; SLOTS], free, first: 0, served: 0 }
    }

    /// Serves a link too.
    ///
    /// # Errors
    /// The link, if there are too many.
    pub fn add(&mut self, link: L, disk: Disk) -> Result<(), L> {
        let client = Client {
            link,
            disk,
            held: None,
            credit: 0,
            busy: 0,
            is_flushing: false,
            is_fault_told: false,
            is_refusal_told: false,
            counters: Counters::default(),
        };
        self.clients.push(client).map_err(|client| client.link)
    }

    /// What the links have counted, by name.
    pub fn counters(&self) -> impl Iterator<Item = (&str, Counters)> {
        self.clients.iter().map(|client| (client.link.name(), client.counters))
    }

    /// How many requests were served, for all.
    pub fn served(&self) -> u64 {
        self.served
    }

    /// Answers what the device has finished and gives every link a turn. Returns whether there is
    /// more to do at once; if not, [`Self::may_sleep`] says whether a bell or an interrupt will
    /// bring it.
    pub fn turn<D: Device>(&mut self, device: &mut D) -> bool {
        // At most as many as there are slots: what is begun in this turn ends in another.
        for _ in 0..SLOTS {
            let Some((slot, success)) = device.finished() else { break };
            self.finish(slot, success);
        }
        let count = self.clients.len();
        let mut more = false;
        for step in 0..count {
            more |= self.serve((self.first + step) % count, device);
        }
        self.first = (self.first + 1) % count.max(1);
        device.kick();
        self.clients.iter_mut().for_each(|client| client.link.notify());
        more
    }

    /// Whether there is nothing to do before a client's bell or the device's interrupt. After a turn
    /// that left nothing.
    pub fn may_sleep(&mut self) -> bool {
        // All are asked: each sets its wake-up hints by it. Who holds a request waits for the device.
        self.clients.iter_mut().fold(true, |all, client| {
            let sleeps = client.link.may_sleep();
            all & (sleeps || client.held.is_some())
        })
    }

    /// Answers the command of a slot.
    fn finish(&mut self, slot: usize, success: bool) {
        // A slot that isn't taken: the device lies, there is nobody to answer.
        let Some(running) = self.slots.get_mut(slot).and_then(Option::take) else { return };
        // The slot was taken, so there is room for it.
        let _ = self.free.push(slot as u16);
        let Some(client) = self.clients.get_mut(running.client) else { return };
        client.busy = client.busy.saturating_sub(1);
        client.is_flushing = false;
        self.served += 1;
        client.complete(running.id, if success { Status::Done } else { Status::Failed });
    }

    /// Gives a link its turn. Returns whether it has more to do.
    fn serve<D: Device>(&mut self, index: usize, device: &mut D) -> bool {
        let share = (SLOTS / self.clients.len().max(1)).max(1);
        let Some(client) = self.clients.get_mut(index) else { return false };
        client.credit += QUANTUM;
        for _ in 0..REQUESTS {
            let Some(request) = client.next() else {
                client.credit = 0;
                return false;
            };
            let command = match client.command(&request, device) {
                Ok(command) => command,
                Err(status) => {
                    client.refuse(&request, status);
                    continue;
                }
            };
            let cost = request.bytes.max(LEAST);
            let is_early = request.operation == Operation::Flush && client.busy > 0;
            if client.is_flushing || is_early || client.busy >= share || self.free.is_empty() {
                // An interrupt will go on with it.
                client.held = Some(request);
                client.credit = client.credit.min(QUANTUM);
                return false;
            }
            if cost > client.credit {
                client.held = Some(request);
                return true;
            }
            client.credit -= cost;
            let Some(command) = command else {
                client.complete(request.id, Status::Done);
                continue;
            };
            if let Some(slot) = self.free.pop().map(usize::from) {
                client.busy += 1;
                client.is_flushing = command == Command::Flush;
                if let Some(place) = self.slots.get_mut(slot) {
                    *place = Some(Running { client: index, id: request.id });
                }
                device.begin(slot, command);
            }
        }
        true
    }
}

impl<L: Link> Client<L> {
    /// The request that waits, or the next one.
    fn next(&mut self) -> Option<Request> {
        let request = self.held.take().or_else(|| self.link.next_request());
        if request.is_none() && self.link.faults() > 0 && !core::mem::replace(&mut self.is_fault_told, true) {
            log::warn!("{}: it has broken the rules of the ring, and is left alone until it starts anew", self.name());
        }
        if self.link.refused() > 0 && !core::mem::replace(&mut self.is_refusal_told, true) {
            log::warn!("{}: it asks for what it must not have, and gets errors", self.name());
        }
        request
    }

    /// What the device has to do for a request; nothing for a flush that it needs not.
    fn command<D: Device>(&self, request: &Request, device: &D) -> Result<Option<Command>, Status> {
        let operation = request.operation;
        if operation == Operation::Flush {
            return Ok(device.can_flush().then_some(Command::Flush));
        }
        let sector = self.disk.place(operation, request.sector, request.bytes)?;
        let sectors = u32::try_from(request.bytes / SECTOR).map_err(|_| Status::Invalid)?;
        let bytes = u32::try_from(request.bytes).map_err(|_| Status::Invalid);
        Ok(Some(match operation {
            Operation::Discard if !device.can_discard() => return Err(Status::Unsupported),
            Operation::Discard => Command::Discard { sector, sectors },
            Operation::Write => Command::Write { sector, bytes: bytes?, bus: self.link.bus(request) },
            _ => Command::Read { sector, bytes: bytes?, bus: self.link.bus(request) },
        }))
    }

    /// Answers, and counts.
    fn complete(&mut self, id: u32, status: Status) {
        match status {
            Status::Done => self.counters.served += 1,
            Status::Failed => self.counters.failed += 1,
            _ => self.counters.refused += 1,
        }
        self.link.complete(id, status);
    }

    /// Answers a request that can't be.
    fn refuse(&mut self, request: &Request, status: Status) {
        let Request { operation, bytes, sector, .. } = request;
        if !core::mem::replace(&mut self.is_refusal_told, true) {
            log::warn!("{}: {operation:?} of {bytes} bytes at sector {sector}: {status:?}", self.name());
        }
        self.complete(request.id, status);
    }

    /// For the log.
    fn name(&self) -> &str {
        self.link.name()
    }
}

#[cfg(test)]
mod tests;
