// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The server: moves frames between ports and uplink in turns, each a bounded amount of work.
//!
//! A frame for a port that is full, or not there, is lost: that is how Ethernet is. A port whose ring
//! can't be is left alone until its owner starts anew.

use crate::frame::{ADDRESSES, LARGEST, TAG, tag};
use crate::switch::{Loss, PORTS, Switch, Targets};

/// Frames that a port, or the uplink, may send per turn.
const FRAMES: usize = 32;

/// Room for a frame with a tag, rounded up.
pub const BUFFER: usize = 1536;
const _: () = assert!(BUFFER >= LARGEST + TAG);

/// The peer has left the protocol. Nothing more is read until it starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// The server's end of a client's link.
pub trait Port {
    /// For the log.
    fn name(&self) -> &str;

    /// Whether the peer has started anew since [`Self::connect`], or never was connected.
    fn wants_connection(&self) -> bool;

    /// Connects to the peer's present generation, with empty rings; `up`: the network has a way.
    fn connect(&mut self, up: bool);

    /// Copies the next frame out, once; returns its length. Frames that don't fit are as long as
    /// `into`, which is longer than any that may be sent.
    ///
    /// # Errors
    /// [`Broken`] when the ring can't be trusted any more.
    fn receive(&mut self, into: &mut [u8]) -> Result<Option<usize>, Broken>;

    /// Hands over a frame in pieces. Returns whether there was room.
    fn send(&mut self, pieces: [&[u8]; 2]) -> bool;

    /// Rings the peer's bell if it waits for what happened since the last time.
    fn notify(&mut self);
}

/// The network card.
pub trait Uplink {
    /// Copies the next frame out; returns its length.
    fn receive(&mut self, into: &mut [u8]) -> Option<usize>;

    /// Hands over a frame in pieces. Returns whether there was room.
    fn send(&mut self, pieces: [&[u8]; 3]) -> bool;

    /// Tells the card what there is to do, if it was not told yet.
    fn kick(&mut self);
}

/// No card: a network among partitions.
#[derive(Clone, Copy, Debug)]
pub struct NoUplink;

impl Uplink for NoUplink {
    fn receive(&mut self, _: &mut [u8]) -> Option<usize> {
        None
    }
    fn send(&mut self, _: [&[u8]; 3]) -> bool {
        false
    }
    fn kick(&mut self) {}
}

/// What is counted per port, and of the uplink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that came from there and went somewhere.
    pub received: u64,
    /// Frames that went there.
    pub sent: u64,
    /// Frames for it that found no room.
    pub full: u64,
    /// Frames from there with another's address.
    pub spoofed: u64,
    /// Frames from there that are no frames or have tags that they must not have.
    pub malformed: u64,
    /// Frames to everybody from there, beyond the limit.
    pub limited: u64,
    /// Frames from there for nobody.
    pub unknown: u64,
    /// How often the ring could not be.
    pub broken: u64,
}

impl Counters {
    /// Counts a loss.
    fn lose(&mut self, loss: Loss) {
        *match loss {
            Loss::Spoofed => &mut self.spoofed,
            Loss::Malformed | Loss::Tagged => &mut self.malformed,
            Loss::Limited => &mut self.limited,
            Loss::Unknown => &mut self.unknown,
        } += 1;
    }
}

/// A port and what is known of its peer.
#[derive(Debug)]
struct Client<P> {
    port: P,
    up: bool,
    told: bool,
    counters: Counters,
}

/// Ports, switch and uplink.
#[derive(Debug)]
pub struct Server<P, U> {
    clients: heapless::Vec<Client<P>, PORTS>,
    switch: Switch,
    uplink: U,
    outside: Counters,
    first: usize,
    buffer: [u8; BUFFER],
}

impl<P: Port, U: Uplink> Server<P, U> {
    /// Serves the ports of a switch, which are added in the order of their numbers.
    pub fn new(switch: Switch, uplink: U) -> Self {
        let outside = Counters::default();
        Self { clients: heapless::Vec::new(), switch, uplink, outside, first: 0, buffer: [0; BUFFER] }
    }

    /// Adds the link of the switch's next port.
    ///
    /// # Errors
    /// The link, if there are too many.
    pub fn add(&mut self, port: P) -> Result<(), P> {
        let client = Client { port, up: false, told: false, counters: Counters::default() };
        self.clients.push(client).map_err(|client| client.port)
    }

    /// What the ports have counted, by name.
    pub fn counters(&self) -> impl Iterator<Item = (&str, Counters)> {
        self.clients.iter().map(|client| (client.port.name(), client.counters))
    }

    /// What was counted of the uplink.
    pub fn outside(&self) -> Counters {
        self.outside
    }

    /// The card.
    pub fn uplink(&mut self) -> &mut U {
        &mut self.uplink
    }

    /// Gives the uplink and every port a turn. Returns whether there is more to do at once.
    pub fn turn(&mut self, now: u64) -> bool {
        let mut more = self.from_outside(now);
        let count = self.clients.len();
        for step in 0..count {
            more |= self.from_port((self.first + step) % count, now);
        }
        self.first = (self.first + 1) % count.max(1);
        self.uplink.kick();
        self.clients.iter_mut().for_each(|client| client.port.notify());
        more
    }

    /// Takes frames from outside.
    fn from_outside(&mut self, now: u64) -> bool {
        for _ in 0..FRAMES {
            let Some(length) = self.uplink.receive(&mut self.buffer) else { return false };
            let frame = self.buffer.get(..length).unwrap_or_default();
            match self.switch.from_uplink(frame, now) {
                Ok(targets) => {
                    self.outside.received += 1;
                    self.forward(length, targets);
                }
                Err(loss) => self.outside.lose(loss),
            }
        }
        true
    }

    /// Takes frames from a port.
    fn from_port(&mut self, index: usize, now: u64) -> bool {
        for _ in 0..FRAMES {
            let Some(client) = self.clients.get_mut(index) else { return false };
            client.follow();
            let Some(length) = client.receive(&mut self.buffer) else { return false };
            let frame = self.buffer.get(..length).unwrap_or_default();
            match self.switch.from_port(index, frame, now) {
                Ok(targets) => {
                    client.counters.received += 1;
                    self.forward(length, targets);
                }
                Err(loss) => {
                    client.counters.lose(loss);
                    if matches!(loss, Loss::Spoofed | Loss::Malformed | Loss::Tagged) {
                        client.tell(format_args!("a frame of {length} bytes is lost: {loss:?}"));
                    }
                }
            }
        }
        true
    }

    /// Sends the frame in the buffer.
    fn forward(&mut self, length: usize, targets: Targets) {
        let frame = self.buffer.get(..length).unwrap_or_default();
        let (addresses, rest) = frame.split_at_checked(ADDRESSES).unwrap_or_default();
        if let Some(vlan) = targets.uplink {
            let tag = tag(vlan);
            let tag = if vlan == 0 { &[][..] } else { &tag };
            let sent = self.uplink.send([addresses, tag, rest]);
            *if sent { &mut self.outside.sent } else { &mut self.outside.full } += 1;
        }
        let rest = rest.get(if targets.strip { TAG } else { 0 }..).unwrap_or_default();
        let mut ports = targets.ports;
        while ports != 0 {
            let index = ports.trailing_zeros() as usize;
            ports &= ports - 1;
            let Some(client) = self.clients.get_mut(index) else { continue };
            let sent = client.up && client.port.send([addresses, rest]);
            *if sent { &mut client.counters.sent } else { &mut client.counters.full } += 1;
        }
    }
}

impl<P: Port> Client<P> {
    /// Follows the peer's generations.
    fn follow(&mut self) {
        if self.port.wants_connection() {
            self.port.connect(true);
            self.up = !self.port.wants_connection();
            self.told = false;
        }
    }

    /// The next frame's length.
    fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        if !self.up {
            return None;
        }
        match self.port.receive(into) {
            Ok(length) => length,
            Err(Broken) => {
                self.up = false;
                self.counters.broken += 1;
                self.tell(format_args!("its ring can't be; it is left alone until it starts anew"));
                None
            }
        }
    }

    /// Tells a fault of the peer, once per generation.
    fn tell(&mut self, what: core::fmt::Arguments<'_>) {
        if !core::mem::replace(&mut self.told, true) {
            log::warn!("{}: {what}", self.port.name());
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::frame::Mac;
    use crate::limit::Limit;
    use crate::switch::Plan;
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::rc::Rc;
    use std::vec::Vec;

    /// Both ends of a wire in one.
    #[derive(Default)]
    struct Wire {
        to_switch: RefCell<VecDeque<Result<Vec<u8>, Broken>>>,
        from_switch: RefCell<Vec<Vec<u8>>>,
        fresh: std::cell::Cell<bool>,
    }

    fn take(wire: &Wire, into: &mut [u8]) -> Result<Option<usize>, Broken> {
        let Some(frame) = wire.to_switch.borrow_mut().pop_front().transpose()? else { return Ok(None) };
        into[..frame.len()].copy_from_slice(&frame);
        Ok(Some(frame.len()))
    }

    impl Port for Rc<Wire> {
        fn name(&self) -> &str {
            "port"
        }
        fn wants_connection(&self) -> bool {
            self.fresh.get()
        }
        fn connect(&mut self, _: bool) {
            self.fresh.set(false);
        }
        fn receive(&mut self, into: &mut [u8]) -> Result<Option<usize>, Broken> {
            take(self, into)
        }
        fn send(&mut self, pieces: [&[u8]; 2]) -> bool {
            self.from_switch.borrow_mut().push(pieces.concat());
            true
        }
        fn notify(&mut self) {}
    }

    impl Uplink for Rc<Wire> {
        fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
            take(self, into).unwrap()
        }
        fn send(&mut self, pieces: [&[u8]; 3]) -> bool {
            self.from_switch.borrow_mut().push(pieces.concat());
            true
        }
        fn kick(&mut self) {}
    }

    fn mac(last: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, last])
    }

    fn frame(to: Mac, from: Mac, tag: &[u8]) -> Vec<u8> {
        [&to.0[..], &from.0, tag, &[8, 0], &[0x55; 50]].concat()
    }

    fn server() -> (Server<Rc<Wire>, Rc<Wire>>, [Rc<Wire>; 4]) {
        let limit = Limit::new(1_000_000, 1_000);
        let mut switch = Switch::new(limit);
        let wires: [Rc<Wire>; 4] = Default::default();
        for (last, group, vlan) in [(0, 0, 0), (1, 0, 0), (2, 1, 20)] {
            switch.add(Plan { mac: mac(last), group, uplink: Some(vlan) }, limit).unwrap();
        }
        let mut server = Server::new(switch, wires[3].clone());
        for wire in &wires[..3] {
            wire.fresh.set(true);
            assert!(server.add(wire.clone()).is_ok());
        }
        server.turn(0);
        (server, wires)
    }

    #[test]
    fn frames_arrive_with_and_without_tags() {
        let (mut server, wires) = server();
        let send = |from: usize, frame: Vec<u8>| wires[from].to_switch.borrow_mut().push_back(Ok(frame));
        send(0, frame(mac(1), mac(0), &[]));
        send(2, frame(mac(77), mac(2), &[]));
        send(3, frame(mac(2), mac(77), &tag(20)));
        send(1, frame(mac(0), mac(9), &[]));
        assert!(!server.turn(0));
        assert_eq!(*wires[1].from_switch.borrow(), [frame(mac(1), mac(0), &[])]);
        assert_eq!(*wires[3].from_switch.borrow(), [frame(mac(77), mac(2), &tag(20))]);
        assert_eq!(*wires[2].from_switch.borrow(), [frame(mac(2), mac(77), &[])]);
        assert!(wires[0].from_switch.borrow().is_empty());
        let spoofed: Vec<u64> = server.counters().map(|(_, counters)| counters.spoofed).collect();
        assert_eq!(spoofed, [0, 1, 0]);
    }

    #[test]
    fn a_mad_port_is_left_alone_until_it_starts_anew() {
        let (mut server, wires) = server();
        wires[0].to_switch.borrow_mut().push_back(Err(Broken));
        wires[0].to_switch.borrow_mut().push_back(Ok(frame(mac(1), mac(0), &[])));
        server.turn(0);
        wires[1].to_switch.borrow_mut().push_back(Ok(frame(mac(0), mac(1), &[])));
        server.turn(0);
        assert!(wires[0].from_switch.borrow().is_empty() && wires[1].from_switch.borrow().is_empty());
        wires[0].fresh.set(true);
        server.turn(0);
        assert_eq!(wires[1].from_switch.borrow().len(), 1);
    }

    #[test]
    fn a_turn_is_bounded() {
        let (mut server, wires) = server();
        for _ in 0..1000 {
            wires[0].to_switch.borrow_mut().push_back(Ok(frame(mac(1), mac(0), &[])));
        }
        assert!(server.turn(0));
        assert_eq!(wires[1].from_switch.borrow().len(), FRAMES);
    }
}
