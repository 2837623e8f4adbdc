// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The server: moves frames between ports and uplink in turns, each a bounded amount of work.
//!
//! A frame for a port that is full, or not there, is lost: that is how Ethernet is. Clients that break
//! the ring's rules are not heard until they start anew; that, and frames that may not be, is told
//! once per client in the log.

use crate::frame::{ADDRESSES, LARGEST, TAG, tag};
use crate::limit::Limit;
use crate::switch::{Loss, PORTS, Plan, Switch, Targets};

/// Frames that a port, or the uplink, may send per turn.
const FRAMES: usize = 32;

/// Room for a frame with a tag, rounded up.
pub const BUFFER: usize = 1536;
const _: () = assert!(BUFFER >= LARGEST + TAG);

/// The server's end of a client's link. Generations are its business: what a client that starts anew
/// has not received is lost.
pub trait Port {
    /// For the log.
    fn name(&self) -> &str;

    /// How often the client has broken the rules.
    fn faults(&self) -> u64;

    /// Copies the next frame out, once; returns its length and its flags, which are passed on. What
    /// is longer than `into` is cut off: that is longer than any frame may be.
    fn receive(&mut self, into: &mut [u8]) -> Option<(usize, u32)>;

    /// Hands over a frame. Returns whether there was room, and somebody who takes it.
    fn send(&mut self, frame: &[u8], flags: u32) -> bool;

    /// Says whether the network is there.
    fn set_carrier(&mut self, up: bool);

    /// Rings the client's bell, if it waits for what happened since the last time.
    fn notify(&mut self);

    /// Whether there is nothing to do before its bell rings.
    fn may_sleep(&mut self) -> bool;
}

/// The network card.
pub trait Uplink {
    /// Copies the next frame out; returns its length.
    fn receive(&mut self, into: &mut [u8]) -> Option<usize>;

    /// Hands over a frame in pieces. Returns whether there was room.
    fn send(&mut self, pieces: [&[u8]; 3], flags: u32) -> bool;

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
    fn send(&mut self, _: [&[u8]; 3], _: u32) -> bool {
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
    is_told: bool,
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
    /// Ports begin with a network.
    is_up: bool,
    buffer: Buffer,
}

/// A frame, at a whole word.
#[derive(Debug)]
#[repr(align(8))]
struct Buffer([u8; BUFFER]);

impl<P: Port, U: Uplink> Server<P, U> {
    /// Serves the ports of a switch, which has none yet.
    pub fn new(switch: Switch, uplink: U) -> Self {
        let outside = Counters::default();
        Self {
            clients: heapless::Vec::new(),
            switch,
            uplink,
            outside,
            first: 0,
            is_up: true,
            buffer: Buffer([0; BUFFER]),
        }
    }

    /// Adds a port. Returns whether it could be: see [`Switch::add`].
    pub fn add(&mut self, port: P, plan: Plan, limit: Limit) -> bool {
        if self.switch.add(plan, limit).is_none() {
            return false;
        }
        // There is room: the switch has taken it, and their numbers agree.
        self.clients.push(Client { port, is_told: false, counters: Counters::default() }).is_ok()
    }

    /// What the ports have counted, by name.
    pub fn counters(&self) -> impl Iterator<Item = (&str, Counters)> {
        self.clients.iter().map(|client| (client.port.name(), client.counters))
    }

    /// What was counted of the uplink.
    pub fn outside(&self) -> Counters {
        self.outside
    }

    /// Tells the ports of networks with a way out whether that is there.
    pub fn set_carrier(&mut self, up: bool) {
        if core::mem::replace(&mut self.is_up, up) == up {
            return;
        }
        for (index, client) in self.clients.iter_mut().enumerate() {
            if self.switch.plan(index).is_some_and(|plan| plan.uplink.is_some()) {
                client.port.set_carrier(up);
            }
        }
    }

    /// The card.
    pub fn uplink(&mut self) -> &mut U {
        &mut self.uplink
    }

    /// Gives the uplink and every port a turn. Returns whether there is more to do at once.
    pub fn turn(&mut self, now: u64) -> bool {
        let mut more = self.hear_outside(now);
        let count = self.clients.len();
        for step in 0..count {
            more |= self.hear_port((self.first + step) % count, now);
        }
        self.first = (self.first + 1) % count.max(1);
        self.uplink.kick();
        self.clients.iter_mut().for_each(|client| client.port.notify());
        more
    }

    /// Whether there is nothing to do before a client's bell or the card's interrupt. After a turn
    /// that left nothing.
    pub fn may_sleep(&mut self) -> bool {
        // All are asked: each sets its wake-up hints by it.
        self.clients.iter_mut().fold(true, |all, client| all & client.port.may_sleep())
    }

    /// Takes frames from outside.
    fn hear_outside(&mut self, now: u64) -> bool {
        for _ in 0..FRAMES {
            let Some(length) = self.uplink.receive(&mut self.buffer.0) else { return false };
            let frame = self.buffer.0.get(..length).unwrap_or_default();
            match self.switch.from_uplink(frame, now) {
                Ok(targets) => {
                    self.outside.received += 1;
                    self.forward(length, 0, targets);
                }
                Err(loss) => self.outside.lose(loss),
            }
        }
        true
    }

    /// Takes frames from a port.
    fn hear_port(&mut self, index: usize, now: u64) -> bool {
        for _ in 0..FRAMES {
            let Some(client) = self.clients.get_mut(index) else { return false };
            let Some((length, flags)) = client.receive(&mut self.buffer.0) else { return false };
            let frame = self.buffer.0.get(..length).unwrap_or_default();
            match self.switch.from_port(index, frame, now) {
                Ok(targets) => {
                    client.counters.received += 1;
                    self.forward(length, flags, targets);
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
    fn forward(&mut self, length: usize, flags: u32, targets: Targets) {
        let frame = self.buffer.0.get(..length).unwrap_or_default();
        let (addresses, rest) = frame.split_at_checked(ADDRESSES).unwrap_or_default();
        if let Some(vlan) = targets.uplink {
            let tag = tag(vlan);
            let tag = if vlan == 0 { &[][..] } else { &tag };
            let sent = self.uplink.send([addresses, tag, rest], flags);
            *if sent { &mut self.outside.sent } else { &mut self.outside.full } += 1;
        }
        let mut frame = 0..length;
        if targets.strip {
            // The addresses move up to what is behind the tag.
            self.buffer.0.copy_within(..ADDRESSES, TAG);
            frame.start = TAG;
        }
        let frame = self.buffer.0.get(frame).unwrap_or_default();
        let mut ports = targets.ports;
        while ports != 0 {
            let index = ports.trailing_zeros() as usize;
            ports &= ports - 1;
            let Some(client) = self.clients.get_mut(index) else { continue };
            let sent = client.port.send(frame, flags);
            *if sent { &mut client.counters.sent } else { &mut client.counters.full } += 1;
        }
    }
}

impl<P: Port> Client<P> {
    /// The next frame's length and flags.
    fn receive(&mut self, into: &mut [u8]) -> Option<(usize, u32)> {
        let received = self.port.receive(into);
        if received.is_none() && self.port.faults() > 0 {
            self.tell(format_args!("it has broken the rules of the ring, and is left alone until it starts anew"));
        }
        received
    }

    /// Tells a fault of the client, once.
    fn tell(&mut self, what: core::fmt::Arguments<'_>) {
        if !core::mem::replace(&mut self.is_told, true) {
            log::warn!("{}: {what}", self.port.name());
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::frame::Mac;
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::rc::Rc;
    use std::vec::Vec;

    /// Both ends of a wire in one.
    #[derive(Default)]
    struct Wire {
        to_switch: RefCell<VecDeque<Vec<u8>>>,
        from_switch: RefCell<Vec<Vec<u8>>>,
    }

    fn take(wire: &Wire, into: &mut [u8]) -> Option<usize> {
        let frame = wire.to_switch.borrow_mut().pop_front()?;
        into[..frame.len()].copy_from_slice(&frame);
        Some(frame.len())
    }

    impl Port for Rc<Wire> {
        fn name(&self) -> &str {
            "port"
        }
        fn faults(&self) -> u64 {
            0
        }
        fn receive(&mut self, into: &mut [u8]) -> Option<(usize, u32)> {
            take(self, into).map(|length| (length, 7))
        }
        fn set_carrier(&mut self, _: bool) {}
        fn send(&mut self, frame: &[u8], _: u32) -> bool {
            self.from_switch.borrow_mut().push(frame.to_vec());
            true
        }
        fn notify(&mut self) {}
        fn may_sleep(&mut self) -> bool {
            self.to_switch.borrow().is_empty()
        }
    }

    impl Uplink for Rc<Wire> {
        fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
            take(self, into)
        }
        fn send(&mut self, pieces: [&[u8]; 3], _: u32) -> bool {
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

    type Wires = [Rc<Wire>; 4];

    fn server() -> (Server<Rc<Wire>, Rc<Wire>>, Wires) {
        let limit = Limit::new(1_000_000, 1_000);
        let wires: Wires = Default::default();
        let mut server = Server::new(Switch::new(limit), wires[3].clone());
        for (last, group, vlan) in [(0, 0, 0), (1, 0, 0), (2, 1, 20)] {
            let plan = Plan { mac: mac(last), group, uplink: Some(vlan) };
            assert!(server.add(wires[usize::from(last)].clone(), plan, limit));
        }
        server.turn(0);
        (server, wires)
    }

    #[test]
    fn frames_arrive_with_and_without_tags() {
        let (mut server, wires) = server();
        let send = |from: usize, frame: Vec<u8>| wires[from].to_switch.borrow_mut().push_back(frame);
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
    fn a_turn_is_bounded() {
        let (mut server, wires) = server();
        for _ in 0..1000 {
            wires[0].to_switch.borrow_mut().push_back(frame(mac(1), mac(0), &[]));
        }
        assert!(server.turn(0));
        assert_eq!(wires[1].from_switch.borrow().len(), FRAMES);
    }
}
