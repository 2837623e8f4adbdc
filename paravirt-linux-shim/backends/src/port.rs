// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest's network port, over a link to the partition that switches.

use parzelle_ring::Error;
use parzelle_ring::network;
use parzelle_rt::Volatile;
use parzelle_rt::link::Link;
use parzelle_xen::devices::port::{FRAME_MAX, Port};

const _: () = assert!(FRAME_MAX as u64 == network::MAX_FRAME);

/// A port at the other end of a link.
#[derive(Debug)]
pub struct LinkPort {
    port: network::Port<Volatile>,
    link: Link,
}

impl LinkPort {
    /// Starts to use it.
    ///
    /// # Errors
    /// The link's areas are too small.
    pub fn new(link: Link) -> Result<Self, Error> {
        Ok(Self { port: network::Port::connect(link.out(), link.incoming())?, link })
    }
}

impl Port for LinkPort {
    fn room(&mut self) -> usize {
        match self.port.reserve() {
            Ok(_) => self.port.room() as usize,
            Err(_) => 0,
        }
    }

    fn send(&mut self, frame: &[u8], flags: u32) {
        // Without room it is lost, as on any network.
        let _ = self.port.send(frame, flags);
    }

    fn is_waiting(&mut self) -> bool {
        self.port.peek().is_some()
    }

    fn receive(&mut self, into: &mut [u8; FRAME_MAX]) -> Option<(usize, u32)> {
        self.port.receive(into)
    }

    fn settle(&mut self) -> bool {
        if self.port.notify() {
            self.link.ring();
        }
        self.port.may_sleep()
    }
}
