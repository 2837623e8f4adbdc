// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The server: takes requests off the links in turns and keeps the device busy with them.
//!
//! ```text
//!            ┌───────── new generation ──────────┐
//!            ▼                                   │
//!   waiting ──► draining: until nothing of the   │
//!      ▲        old generation is under way      │
//!      │           │ connect                     │
//!    broken        ▼                             │
//!      └──────── serving ────────────────────────┘
//! ```
//! **Fair**: a link has at most its share of the device's slots, and per turn as many bytes as any
//! other (deficit round robin); what it did not get it gets in the next turn. One turn is a bounded
//! amount of work, whatever the clients do.
//!
//! **Flush**: goes to the device when all that the client asked for before has ended, and what it
//! asks for afterwards waits for it. That is more than the rings promise, and nobody can get it
//! wrong.
//!
//! **Hostile clients**: a ring that can't be is left alone until its owner starts anew; a request
//! that can't be is answered with an error. Either is told once in the log per generation.

use crate::device::{Command, Device};
use crate::disk::{Disk, Fault, SECTOR};
use crate::link::{Link, Operation, Request};

/// Bytes that a link may ask for per turn.
const QUANTUM: u64 = 128 * 1024;

/// What a request costs at least, in bytes: small ones aren't free.
const LEAST: u64 = 4096;

/// Requests that are taken off a link per turn, wrong ones included.
const REQUESTS: usize = 64;

/// What stands in the way of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The peer is not there, or has to start anew.
    Waiting,
    /// Requests are taken.
    Serving,
}

/// What a link counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests that were answered, with success.
    pub served: u64,
    /// Requests that the disk or its rights refused.
    pub refused: u64,
    /// Requests in which the device failed.
    pub failed: u64,
    /// How often the peer started anew.
    pub connections: u64,
    /// How often the ring could not be.
    pub broken: u64,
}

/// A link, its disk, and what is under way for it.
#[derive(Debug)]
struct Client<L> {
    link: L,
    disk: Disk,
    state: State,
    /// A request that was taken off the ring and has to wait.
    held: Option<Request>,
    /// Bytes that it may still ask for.
    credit: u64,
    /// Commands under way, of its present generation or an older one.
    busy: usize,
    /// A flush is under way.
    flushing: bool,
    /// A fault was told already.
    told: bool,
    counters: Counters,
}

/// A command that is under way.
#[derive(Clone, Copy, Debug)]
struct Running {
    client: usize,
    id: u64,
}

/// The links of a device, at most `LINKS`, and the commands in its slots.
#[derive(Debug)]
pub struct Server<L, const LINKS: usize, const SLOTS: usize> {
    clients: heapless::Vec<Client<L>, LINKS>,
    slots: [Option<Running>; SLOTS],
    free: heapless::Vec<u16, SLOTS>,
    first: usize,
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
        Self { clients: heapless::Vec::new(), slots: [None; SLOTS], free, first: 0 }
    }

    /// Serves a link too. Gives it back if there are too many.
    ///
    /// # Errors
    /// The link.
    pub fn add(&mut self, link: L, disk: Disk) -> Result<(), L> {
        let client = Client {
            link,
            disk,
            state: State::Waiting,
            held: None,
            credit: 0,
            busy: 0,
            flushing: false,
            told: false,
            counters: Counters::default(),
        };
        self.clients.push(client).map_err(|client| client.link)
    }

    /// What the links have counted, by name.
    pub fn counters(&self) -> impl Iterator<Item = (&str, Counters)> {
        self.clients.iter().map(|client| (client.link.name(), client.counters))
    }

    /// Answers what the device has finished and gives every link a turn. Returns whether there is
    /// more to do at once; if not, the next bell or interrupt brings news.
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

    /// Answers the command of a slot.
    fn finish(&mut self, slot: usize, success: bool) {
        // A slot that isn't taken: the device lies, there is nobody to answer.
        let Some(running) = self.slots.get_mut(slot).and_then(Option::take) else { return };
        // The slot was taken, so there is room for it.
        let _ = self.free.push(slot as u16);
        let Some(client) = self.clients.get_mut(running.client) else { return };
        client.busy = client.busy.saturating_sub(1);
        client.flushing = false;
        // Whoever asked has started anew meanwhile: its answer would be taken for that of another.
        if client.state == State::Serving && !client.link.wants_connection() {
            let result = if success { Ok(()) } else { Err(Fault::Device) };
            client.answer(running.id, result);
        }
    }

    /// Gives a link its turn. Returns whether it has more to do.
    fn serve<D: Device>(&mut self, index: usize, device: &mut D) -> bool {
        let share = (SLOTS / self.clients.len().max(1)).max(1);
        let Some(client) = self.clients.get_mut(index) else { return false };
        if client.link.wants_connection() && !client.connect(device) {
            return false;
        }
        client.credit += QUANTUM;
        for _ in 0..REQUESTS {
            let Some(request) = client.next() else {
                client.credit = 0;
                return false;
            };
            let command = match client.command(&request, device) {
                Ok(command) => command,
                Err(fault) => {
                    client.refuse(&request, fault);
                    continue;
                }
            };
            let cost = request.bytes.max(LEAST);
            let waits = client.flushing || (request.operation == Some(Operation::Flush) && client.busy > 0);
            if waits || client.busy >= share || self.free.is_empty() {
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
                client.answer(request.id, Ok(()));
                continue;
            };
            if let Some(slot) = self.free.pop() {
                let slot = usize::from(slot);
                client.busy += 1;
                client.flushing = command == Command::Flush;
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
    /// Begins a new generation, unless something of the old one is still under way. Returns whether
    /// requests can be taken.
    fn connect<D: Device>(&mut self, device: &D) -> bool {
        self.held = None;
        self.credit = 0;
        self.state = State::Waiting;
        if self.busy > 0 {
            return false;
        }
        self.link.connect(&self.disk, device.can_flush(), device.can_discard());
        self.told = false;
        self.counters.connections += 1;
        // A peer that is still starting will come.
        if self.link.wants_connection() {
            return false;
        }
        self.state = State::Serving;
        true
    }

    /// The next request, if there is one and its answer will find room.
    fn next(&mut self) -> Option<Request> {
        if self.state != State::Serving {
            return None;
        }
        if self.held.is_some() {
            return self.held.take();
        }
        if self.link.room() <= self.busy {
            return None;
        }
        match self.link.next() {
            Ok(request) => request,
            Err(_) => {
                self.state = State::Waiting;
                self.counters.broken += 1;
                self.tell(format_args!("its ring can't be; it is left alone until it starts anew"));
                None
            }
        }
    }

    /// What the device has to do for a request; nothing for a flush that it needs not.
    fn command<D: Device>(&self, request: &Request, device: &D) -> Result<Option<Command>, Fault> {
        let operation = request.operation.ok_or(Fault::Unsupported)?;
        let &Request { bytes, offset, .. } = request;
        if operation == Operation::Flush {
            return Ok(device.can_flush().then_some(Command::Flush));
        }
        let sector = self.disk.place(operation, request.sector, bytes)?;
        if operation == Operation::Discard {
            let sectors = u32::try_from(bytes / SECTOR).map_err(|_| Fault::Malformed)?;
            let command = Command::Discard { sector, sectors };
            return if device.can_discard() { Ok(Some(command)) } else { Err(Fault::Unsupported) };
        }
        let bus = self.link.bus(operation, offset, bytes).ok_or(Fault::Malformed)?;
        let bytes = u32::try_from(bytes).map_err(|_| Fault::Malformed)?;
        Ok(Some(match operation {
            Operation::Write => Command::Write { sector, bytes, bus },
            _ => Command::Read { sector, bytes, bus },
        }))
    }

    /// Answers, and counts.
    fn answer(&mut self, id: u64, result: Result<(), Fault>) {
        match result {
            Ok(()) => self.counters.served += 1,
            Err(Fault::Device) => self.counters.failed += 1,
            Err(_) => self.counters.refused += 1,
        }
        self.link.answer(id, result);
    }

    /// Answers a request that can't be.
    fn refuse(&mut self, request: &Request, fault: Fault) {
        self.tell(format_args!("{:?} of {} bytes at sector {}: {fault:?}", request.operation, request.bytes, request.sector));
        self.answer(request.id, Err(fault));
    }

    /// Tells a fault of the peer, once per generation.
    fn tell(&mut self, what: core::fmt::Arguments<'_>) {
        if !core::mem::replace(&mut self.told, true) {
            log::warn!("{}: {what}", self.link.name());
        }
    }
}

#[cfg(test)]
mod tests;
