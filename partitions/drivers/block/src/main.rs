// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The block partition: the only owner of a disk. It serves a virtual disk over each of its links
//! (see the library for how) and sleeps until a client's bell or the device's interrupt.
//!
//! It may be restarted at any time: the device is reset first, so that nothing moves data any more;
//! then rings begin a new generation, and the clients send again what was not answered.
//!
//! For tests, `config = { crash-after = 100, crashes = 3 }` lets it fail after every so many requests,
//! so often.
#![no_std]
#![no_main]

mod start;
mod virtio;

use block::Server;
use parzelle_rt::abi::NEVER;
use parzelle_rt::{Link, Once, Partition, Volatile, start::fail, wait};
use virtio::{Disk, SLOTS};

/// The most links that are served.
const LINKS: usize = 32;

/// A link with its ring.
type Served = block::Served<Volatile, start::Bell>;
/// All of them.
type Links = Server<Served, LINKS, SLOTS>;

static SERVER: Once<Option<Links>> = Once::new(None);

parzelle_rt::retained! {
    /// How often this partition crashed because its description wanted it.
    static CRASHES: core::sync::atomic::AtomicU64;
}

parzelle_rt::entry!(main);

fn main() -> Result<(), start::Error> {
    let me = Partition::get();
    let (mut disk, mut dma) = Disk::open(&me)?;
    let Some(place) = SERVER.take() else { return Ok(()) };
    let server = place.insert(start::serve(&me, &mut disk, &mut dma)?);
    let events = me.links_served().map(|link: Link| link.event()).fold(disk.events(), |mask, event| mask | event);
    let crash = Crash::of(&me);
    parzelle_rt::ready()?;
    loop {
        let more = server.turn(&mut disk);
        crash.check(server.served());
        if !more && server.may_sleep() {
            disk.acknowledge(wait(NEVER, events));
        }
    }
}

/// When to crash.
struct Crash {
    after: u64,
}

impl Crash {
    /// What the description says; never, if it says nothing or it has happened often enough.
    fn of(me: &Partition) -> Self {
        let config = me.config();
        let wanted = config.number("crashes").unwrap_or(1);
        let done = CRASHES.load(core::sync::atomic::Ordering::Relaxed);
        let after = config.number("crash-after").filter(|_| done < wanted).unwrap_or(u64::MAX);
        Self { after }
    }

    /// Crashes if it is time to.
    fn check(&self, served: u64) {
        if served >= self.after {
            CRASHES.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
            fail(format_args!("crashes, as its description wants"));
        }
    }
}
