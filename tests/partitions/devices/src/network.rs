// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Clients of a switch. `network` leads: it talks with `peer`, which sends everything back, and does
//! what it must not; `outsider` is in another network and must hear nothing of it. `outside` talks
//! with the router of QEMU's user network.

use parzelle_ring::layout;
use parzelle_ring::network::Port;
use parzelle_rt::time::{MILLISECOND, SECOND};
use parzelle_rt::{Error, Link, Partition, Volatile, now, wait};
use test_support::{Random, Test};

/// The largest frame.
const FRAME: usize = 1514;
/// Frames of this kind are for local experiments (IEEE 802, 9.2.3).
const KIND: [u8; 2] = [0x88, 0xb5];
const BROADCAST: [u8; 6] = [0xff; 6];

/// A port of the partition.
struct Wire {
    link: Link,
    port: Port<Volatile>,
    mac: [u8; 6],
    frame: [u8; FRAME + 100],
}

impl Wire {
    /// Connects to the switch.
    fn open(me: &Partition) -> Result<Self, Error> {
        let link = me.link(me.config().text("link").unwrap_or("eth"))?;
        let port = Port::connect(link.out(), link.incoming()).map_err(|_| Error::Bounds)?;
        let mut wire = Self { link, port, mac: [0; 6], frame: [0; FRAME + 100] };
        loop {
            if let Some(parameters) = wire.port.parameters() {
                wire.mac = parameters.mac;
                return Ok(wire);
            }
            wire.sleep(now() + 100 * MILLISECOND);
        }
    }

    /// Sleeps until there is something, or the time has come.
    fn sleep(&mut self, until: u64) {
        if self.port.notify() {
            self.link.ring();
        }
        if self.port.may_sleep() {
            wait(until, self.link.event());
        }
    }

    /// Sends a frame, when there is room.
    fn send(&mut self, frame: &[u8]) {
        for _ in 0..1000 {
            if self.port.send(frame, 0).is_ok() {
                break;
            }
            self.sleep(now() + 10 * MILLISECOND);
        }
        if self.port.notify() {
            self.link.ring();
        }
    }

    /// Sends a frame of this test.
    fn say(&mut self, to: [u8; 6], from: [u8; 6], text: &[u8]) {
        let mut frame = [0; FRAME + 100];
        let pieces = [&to[..], &from, &KIND, text];
        let mut end = 0;
        for piece in pieces {
            if let Some(room) = frame.get_mut(end..end + piece.len()) {
                room.copy_from_slice(piece);
                end += piece.len();
            }
        }
        self.send(frame.get(..end.max(60)).unwrap_or_default());
    }

    /// The next frame that comes before a time.
    fn hear(&mut self, until: u64) -> Option<&[u8]> {
        loop {
            if let Some((length, _)) = self.port.receive(&mut self.frame) {
                return self.frame.get(..length);
            }
            if now() >= until {
                return None;
            }
            self.sleep(until);
        }
    }
}

/// The source of a frame.
fn source(frame: &[u8]) -> [u8; 6] {
    frame.get(6..12).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default()
}

/// What a frame of this test says.
fn text(frame: &[u8]) -> &[u8] {
    frame.get(14..).unwrap_or_default()
}

/// Leads.
pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    let mut test = Test::new("network");
    let mut wire = Wire::open(me)?;
    let own = wire.mac;
    let peer = wire.hear(now() + 20 * SECOND).map(source).unwrap_or_default();
    test.check(peer != [0; 6] && peer != own, "no hello from the peer");
    // Frames of all lengths come back, in their order.
    let mut random = Random::new(3);
    let mut lost = 0;
    for round in 0..300u64 {
        let mut text = [0; 1500];
        text.iter_mut().for_each(|byte| *byte = random.word() as u8);
        let length = 46 + random.below(1455) as usize;
        let text = text.get(..length).unwrap_or_default();
        wire.say(peer, own, text);
        let until = now() + 5 * SECOND;
        let is_back = loop {
            // The peer may have said hello more than once before it heard us.
            match wire.hear(until) {
                Some(frame) if frame.get(14..).is_some_and(|text| text.starts_with(b"hello")) => {}
                heard => break heard.is_some_and(|frame| frame.get(14..) == Some(text)),
            }
        };
        lost += u64::from(!is_back);
        test.check(lost < 5 || round == 299, "too many frames are lost");
        if lost > 5 {
            break;
        }
    }
    test.equal("frames that were lost or wrong", lost, 0);
    // What must not pass: another's address, a tag, a frame that is too long, the other network.
    let outsider = [own[0], own[1], own[2], own[3], own[4], own[5] ^ 0xff];
    wire.say(peer, peer, b"spoofed");
    wire.say(BROADCAST, outsider, b"spoofed");
    wire.say(peer, BROADCAST, b"spoofed");
    wire.send([&peer[..], &own, &[0x81, 0, 0, 20, 0x88, 0xb5], &[b't'; 50]].concat_into(&mut [0; 68]));
    wire.say(peer, own, &[b'l'; 1550]);
    wire.say(outsider, own, b"to another network");
    wire.say([1, 0x80, 0xc2, 0, 0, 2], own, b"to the bridge itself");
    // Frames to everybody are limited: most of these are lost.
    for _ in 0..2000 {
        wire.say(BROADCAST, own, b"to everybody");
    }
    wire.say(peer, own, b"the end");
    let (mut everybody, mut wrong) = (0, 0);
    let is_over = loop {
        let Some(frame) = wire.hear(now() + 5 * SECOND) else { break false };
        match text(frame) {
            text if text.starts_with(b"the end") => break true,
            text if text.starts_with(b"to everybody") => everybody += 1,
            text if text.starts_with(b"hello") => {}
            _ => wrong += 1,
        }
    };
    test.check(is_over, "the peer is gone");
    test.equal("frames that should not have passed", wrong, 0);
    test.check((1..1900).contains(&everybody), format_args!("{everybody} of 2000 broadcasts came back"));
    // Garbage all over: then a new generation, and all is well.
    for _ in 0..200 {
        for _ in 0..50 {
            let offset = random.below(wire.link.out().len() / 8) * 8;
            wire.link.out().store_u64(offset, random.edge());
        }
        wire.link.ring();
        wait(now() + MILLISECOND, 0);
    }
    let mut wire = Wire::open(me)?;
    let mut is_back = false;
    for _ in 0..100 {
        wire.say(peer, own, b"after garbage");
        let until = now() + 100 * MILLISECOND;
        while let Some(frame) = wire.hear(until) {
            is_back |= text(frame).starts_with(b"after garbage");
        }
        if is_back {
            break;
        }
    }
    test.check(is_back, "nothing comes back after garbage");
    test.verdict();
    me.queuing_source("end")?.send(&[1])
}

/// Sends everything back.
pub(crate) fn peer(me: &Partition) -> Result<(), Error> {
    let mut wire = Wire::open(me)?;
    let own = wire.mac;
    let mut is_known = false;
    loop {
        let mut frame = [0; FRAME + 100];
        let Some(heard) = wire.hear(now() + 20 * MILLISECOND) else {
            if !is_known {
                wire.say(BROADCAST, own, b"hello");
            }
            continue;
        };
        is_known = true;
        let length = heard.len();
        if let Some((frame, heard)) = frame.get_mut(..length).zip(heard.get(..length)) {
            frame.copy_from_slice(heard);
            frame.copy_within(6..12, 0);
        }
        if let Some(place) = frame.get_mut(6..12) {
            place.copy_from_slice(&own);
        }
        wire.send(frame.get(..length).unwrap_or_default());
    }
}

/// Listens in another network until the end.
pub(crate) fn outsider(me: &Partition) -> Result<(), Error> {
    let mut test = Test::new("outsider");
    let mut wire = Wire::open(me)?;
    let end = me.queuing_destination("end")?;
    let mut heard = 0;
    while end.receive(&mut [0]).is_err() {
        heard += u64::from(wire.hear(now() + 20 * MILLISECOND).is_some());
    }
    test.equal("frames of another network", heard, 0);
    test.verdict();
    Ok(())
}

/// Asks the router of QEMU's user network for its address and for an echo.
pub(crate) fn outside(me: &Partition) -> Result<(), Error> {
    let mut test = Test::new("outside");
    let mut wire = Wire::open(me)?;
    let own = wire.mac;
    let [us, router] = [[10, 0, 2, 15], [10, 0, 2, 2]];
    let arp = [&BROADCAST[..], &own, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &own, &us, &[0; 6], &router, &[0; 18]];
    let mut mac = [0; 6];
    for _ in 0..20 {
        wire.send(arp.concat_into(&mut [0; 60]));
        let until = now() + 200 * MILLISECOND;
        while let Some(frame) = wire.hear(until) {
            let is_answer = frame.get(12..14) == Some(&[8, 6]) && frame.get(28..32) == Some(&router);
            mac = if is_answer { source(frame) } else { mac };
        }
        if mac != [0; 6] {
            break;
        }
    }
    test.check(mac != [0; 6], "no answer to who has 10.0.2.2");
    // An echo request of 28 bytes (RFC 791, RFC 792); both checksums are of these very bytes.
    let ip = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0x62, 0xd1, 10, 0, 2, 15, 10, 0, 2, 2];
    let icmp = [8, 0, 0xf7, 0xfd, 0, 1, 0, 1];
    let echo = [&mac[..], &own, &[8, 0], &ip, &icmp, &[0; 18]];
    let mut answers = 0;
    for _ in 0..20 {
        wire.send(echo.concat_into(&mut [0; 60]));
        while let Some(frame) = wire.hear(now() + 200 * MILLISECOND) {
            let is_answer = frame.get(26..30) == Some(&router) && frame.get(34) == Some(&0);
            answers += u64::from(is_answer);
            if is_answer {
                break;
            }
        }
    }
    test.check(answers >= 18, format_args!("{answers} of 20 echoes came back"));
    // Mad words must not stop the switch; another generation begins as if nothing had been.
    wire.link.out().store_u64(layout::PRODUCED, u64::MAX);
    wire.link.ring();
    wait(now() + 20 * MILLISECOND, 0);
    let mut wire = Wire::open(me)?;
    wire.send(echo.concat_into(&mut [0; 60]));
    test.check(wire.hear(now() + SECOND).is_some(), "no echo in a new generation");
    test.verdict();
    Ok(())
}

/// Pieces, put together.
trait Concat {
    /// Puts them into a buffer, which has room.
    fn concat_into<'a>(&self, buffer: &'a mut [u8]) -> &'a [u8];
}

impl<const N: usize> Concat for [&[u8]; N] {
    fn concat_into<'a>(&self, buffer: &'a mut [u8]) -> &'a [u8] {
        let mut end = 0;
        for piece in self {
            if let Some(room) = buffer.get_mut(end..end + piece.len()) {
                room.copy_from_slice(piece);
                end += piece.len();
            }
        }
        buffer.get(..end).unwrap_or_default()
    }
}
