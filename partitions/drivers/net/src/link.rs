// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A client's ring as a port of the switch.

use parzelle_ring::Memory;
use parzelle_ring::network;

use crate::server::Port;

/// Rings a client's bell.
pub trait Bell {
    /// For the log.
    fn name(&self) -> &str;

    /// Rings.
    fn ring(&mut self);
}

/// A ring and its bell.
#[derive(Debug)]
pub struct Linked<M, B> {
    ring: network::Port<M>,
    bell: B,
}

impl<M: Memory, B: Bell> Linked<M, B> {
    /// Serves a client over this ring.
    pub fn new(mut ring: network::Port<M>, bell: B) -> Self {
        ring.set_carrier(true);
        Self { ring, bell }
    }
}

impl<M: Memory, B: Bell> Port for Linked<M, B> {
    fn name(&self) -> &str {
        self.bell.name()
    }

    fn faults(&self) -> u64 {
        self.ring.link().faults()
    }

    fn receive(&mut self, into: &mut [u8]) -> Option<(usize, u32)> {
        self.ring.receive(into)
    }

    fn send(&mut self, frame: &[u8], flags: u32) -> bool {
        // No room now is no reason to wait for any: the frame is lost.
        self.ring.send(frame, flags).is_ok()
    }

    fn set_carrier(&mut self, up: bool) {
        self.ring.set_carrier(up);
    }

    fn notify(&mut self) {
        if self.ring.notify() {
            self.bell.ring();
        }
    }

    fn may_sleep(&mut self) -> bool {
        self.ring.may_sleep()
    }
}
