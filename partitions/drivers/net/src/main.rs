// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The network partition: the only owner of a network card, or of none. It is the switch between its
//! links and the card (see the library for how) and sleeps until a client's bell or the card's
//! interrupt.
//!
//! It may be restarted at any time: frames are lost then, and connections live on.
//!
//! | `config` | default | meaning |
//! |---|---|---|
//! | `broadcasts` | 1000 | frames to everybody per second, of each port and of the card |
//! | `crash-after`, `crashes` | never, 1 | fail after so many frames, so often: for tests |
#![no_std]
#![no_main]

mod virtio;

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use net::limit::Limit;
use net::{Bell, Linked, Mac, Plan, Server, Switch, Uplink};
use parzelle_ring::network::{Parameters, Port};
use parzelle_rt::abi::NEVER;
use parzelle_rt::abi::info::Protocol;
use parzelle_rt::{Link, Once, Partition, Volatile, now, start, wait};
use virtio::Card;

/// Bytes behind the Ethernet header.
const MTU: u32 = 1500;
/// Frames to everybody per second, unless the description says otherwise.
const BROADCASTS: u64 = 1000;

/// Ports, switch, card.
type Ports = Server<Linked<Volatile, Peer>, Outside>;

static SERVER: Once<Option<Ports>> = Once::new(None);

parzelle_rt::retained! {
    /// How often this partition crashed because its description wanted it.
    static CRASHES: AtomicU64;
}

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    let mut names = me.links_served().map(|link| link.info().device.as_str());
    let card = names.find(|name| !name.is_empty()).map(|name| Card::open(&me, name)).transpose()?;
    let Some(place) = SERVER.take() else { return Ok(()) };
    let server = place.insert(serve(&me, Outside(card)));
    let bells = me.links_served().fold(0, |mask, link| mask | link.event());
    let events = bells | server.uplink().events();
    let crash = crash_after(&me);
    let up = server.uplink().is_up();
    server.set_carrier(up);
    parzelle_rt::ready()?;
    loop {
        let more = server.turn(now());
        if server.counters().map(|(_, counters)| counters.received).sum::<u64>() >= crash {
            CRASHES.fetch_add(1, Ordering::Relaxed);
            start::fail(format_args!("crashes, as its description wants"));
        }
        if !more && server.may_sleep() {
            let heard = wait(NEVER, events);
            if server.uplink().acknowledge(heard) {
                let up = server.uplink().is_up();
                server.set_carrier(up);
            }
        }
    }
}

/// After how many frames to crash.
fn crash_after(me: &Partition) -> u64 {
    let config = me.config();
    let wanted = config.number("crashes").unwrap_or(1);
    let is_due = CRASHES.load(Ordering::Relaxed) < wanted;
    config.number("crash-after").filter(|_| is_due).unwrap_or(u64::MAX)
}

/// Serves all links. What is wrong with one harms no other.
fn serve(me: &Partition, outside: Outside) -> Ports {
    let rate = me.config().number("broadcasts").unwrap_or(BROADCASTS);
    let limit = Limit::new(rate, rate / 4);
    let has_card = outside.0.is_some();
    let mut server = Server::new(Switch::new(limit), outside);
    for link in me.links_served().filter(|link| link.protocol() == Some(Protocol::Network)) {
        let info = link.info();
        let is_out = has_card && !info.device.as_str().is_empty();
        let plan = Plan { mac: Mac(info.mac), group: info.group, uplink: is_out.then_some(info.vlan) };
        let ring = Port::serve(link.out(), link.incoming(), Parameters { mac: info.mac, mtu: MTU });
        let is_served = ring.is_ok_and(|ring| server.add(Linked::new(ring, Peer(link)), plan, limit));
        match is_served {
            true => log::info!("{} `{}` is in `{}`", link.peer(), link.name(), info.of.as_str()),
            false => log::error!("{} `{}` can't be served", link.peer(), link.name()),
        }
    }
    server
}

/// The client's end of a link.
#[derive(Clone, Copy, Debug)]
struct Peer(Link);

impl Bell for Peer {
    fn name(&self) -> &str {
        self.0.peer()
    }

    fn ring(&mut self) {
        self.0.ring();
    }
}

/// The card, if there is one.
#[derive(Debug)]
struct Outside(Option<Card>);

impl Outside {
    fn events(&self) -> u64 {
        self.0.as_ref().map_or(0, Card::events)
    }

    fn acknowledge(&mut self, events: u64) -> bool {
        self.0.as_mut().is_some_and(|card| card.acknowledge(events))
    }

    fn is_up(&self) -> bool {
        self.0.as_ref().is_some_and(Card::is_up)
    }
}

impl Uplink for Outside {
    fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        self.0.as_mut()?.receive(into)
    }

    fn send(&mut self, pieces: [&[u8]; 3], flags: u32) -> bool {
        self.0.as_mut().is_some_and(|card| card.send(pieces, flags))
    }

    fn kick(&mut self) {
        if let Some(card) = self.0.as_mut() {
            card.kick();
        }
    }
}

/// Why nobody is served.
#[derive(Debug)]
enum Error {
    /// The card can't be driven.
    Card(parzelle_virtio::Error),
    /// The kernel refused something.
    Kernel(parzelle_rt::Error),
}

impl From<parzelle_virtio::Error> for Error {
    fn from(error: parzelle_virtio::Error) -> Self {
        Self::Card(error)
    }
}

impl From<parzelle_rt::Error> for Error {
    fn from(error: parzelle_rt::Error) -> Self {
        Self::Kernel(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Card(error) => error.fmt(f),
            Error::Kernel(error) => error.fmt(f),
        }
    }
}
