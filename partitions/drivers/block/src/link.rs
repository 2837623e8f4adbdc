// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A client's side: what the server needs of a link, and the ring that gives it.

use parzelle_ring::Memory;
use parzelle_ring::block::{Operation, Request, Server, Status};

/// The server's end of a link. Requests come off it checked against what it knows; generations are
/// its business, too: it lets a client that has started anew in when all requests that it gave out
/// are completed.
pub trait Link {
    /// For the log.
    fn name(&self) -> &str;

    /// How often the client has broken the rules.
    fn faults(&self) -> u64;

    /// How many requests the ring has refused on its own.
    fn refused(&self) -> u64;

    /// The next request. Each is to be completed.
    fn next_request(&mut self) -> Option<Request>;

    /// Completes a request.
    fn complete(&mut self, id: u32, status: Status);

    /// Where the device finds the data of a request.
    fn bus(&self, request: &Request) -> u64;

    /// Rings the client's bell, if it waits for what happened since the last time.
    fn notify(&mut self);

    /// Whether there is nothing to do before its bell rings.
    fn may_sleep(&mut self) -> bool;
}

/// Rings a client's bell.
pub trait Bell {
    /// For the log.
    fn name(&self) -> &str;

    /// Rings.
    fn ring(&mut self);
}

/// A link whose areas the device reaches.
#[derive(Debug)]
pub struct Served<M, B> {
    server: Server<M>,
    bell: B,
    /// Where the device finds our area, and the client's.
    out_bus: u64,
    incoming_bus: u64,
}

impl<M: Memory, B: Bell> Served<M, B> {
    /// Serves a disk over this ring; the addresses are those of both areas for the device.
    pub fn new(server: Server<M>, bell: B, out_bus: u64, incoming_bus: u64) -> Self {
        Self { server, bell, out_bus, incoming_bus }
    }
}

impl<M: Memory, B: Bell> Link for Served<M, B> {
    fn name(&self) -> &str {
        self.bell.name()
    }

    fn faults(&self) -> u64 {
        self.server.link().faults()
    }

    fn refused(&self) -> u64 {
        self.server.refused()
    }

    fn next_request(&mut self) -> Option<Request> {
        self.server.next_request()
    }

    fn complete(&mut self, id: u32, status: Status) {
        self.server.complete(id, status);
    }

    fn bus(&self, request: &Request) -> u64 {
        // The ring has checked that the data lie within the area.
        request.offset + if request.operation == Operation::Read { self.out_bus } else { self.incoming_bus }
    }

    fn notify(&mut self) {
        if self.server.notify() {
            self.bell.ring();
        }
    }

    fn may_sleep(&mut self) -> bool {
        self.server.may_sleep()
    }
}
