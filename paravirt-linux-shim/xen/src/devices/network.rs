// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A network port, as `xen-netfront` uses it: two rings, one each way.
//!
//! ```text
//!   tx ring ─▶ packet: head, extras, more data ─▶ copied, checksum completed, cut ─▶ Port::send
//!   rx ring ◀─ one buffer for each frame, in the ring's order                    ◀─ Port::receive
//! ```
//! A guest leaves checksums open and hands over whole windows of a TCP connection at once: that spares
//! it half of its work. Frames on a link are small and complete, as on a wire: so what was left open
//! is completed here, and what is too large is cut, while it has to be copied anyhow.
//!
//! What the network has no room for stays in the guest's ring, and what the guest has no buffers for
//! stays in the link: then its switch loses frames, and nobody waits for this guest.

mod checksum;
mod packet;
mod segment;

use super::block::Served;
use super::port::{FRAME_MAX, Port, SUMMED};
use super::ring::{Broken, Ring};
use crate::abi::network::{RX_ENTRY, TX_ENTRY, rx, status};
use crate::grants::{Grants, Use};
use crate::memory::{Frames, Page};
use packet::Packet;

/// A port's rings.
#[derive(Debug)]
pub struct Network<P> {
    rings: Option<Rings<P>>,
    /// Frames that are sent already of the packet that is next in the ring.
    sent: usize,
    /// A frame on its way.
    frame: [u8; FRAME_MAX],
}

#[derive(Debug)]
struct Rings<P> {
    tx: Ring<P>,
    rx: Ring<P>,
}

impl<P: Page> Default for Network<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Page> Network<P> {
    /// Without rings.
    #[must_use]
    pub const fn new() -> Self {
        Self { rings: None, sent: 0, frame: [0; FRAME_MAX] }
    }

    /// Begins with the rings in these pages.
    pub fn connect(&mut self, tx: P, rx: P) {
        self.sent = 0;
        self.rings = Some(Rings { tx: Ring::new(tx, TX_ENTRY), rx: Ring::new(rx, RX_ENTRY) });
    }

    /// Leaves the rings.
    pub fn disconnect(&mut self) {
        self.rings = None;
    }

    /// Sends what the guest has, and hands over what has come.
    pub fn serve(&mut self, port: &mut impl Port, guest: &impl Frames<Page = P>, grants: &Grants<P>) -> Served {
        let Some(Rings { tx, rx }) = &mut self.rings else {
            // Nobody wants them.
            for _ in 0..FRAMES {
                if port.receive(&mut self.frame).is_none() {
                    break;
                }
            }
            return Served { more: !port.settle(), ..Served::default() };
        };
        let sent = send(tx, &mut self.sent, &mut self.frame, port, guest, grants);
        let received = receive(rx, &mut self.frame, port, guest, grants);
        let raise = tx.publish() | rx.publish();
        // What has no buffers waits for them, not for the link.
        let news = !port.settle() && received != Ok(Received::Stuck);
        let more = news || sent == Ok(true) || received == Ok(Received::More);
        let broken = sent.is_err() || received.is_err();
        if broken {
            self.disconnect();
        }
        Served { raise, more, broken }
    }
}

/// How far handing over has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Received {
    /// All of it.
    All,
    /// There is more to do at once.
    More,
    /// The guest has no buffers.
    Stuck,
}

/// Frames that are thrown away in one go.
const FRAMES: u32 = 256;

/// Sends what is in the ring, as far as there is room. True: more has come meanwhile.
fn send<P: Page>(
    ring: &mut Ring<P>,
    done: &mut usize,
    frame: &mut [u8; FRAME_MAX],
    port: &mut impl Port,
    guest: &impl Frames<Page = P>,
    grants: &Grants<P>,
) -> Result<bool, Broken> {
    let mut waiting = ring.waiting()?;
    while waiting > 0 {
        let packet = Packet::of(ring, waiting)?;
        let room = port.room();
        if room == 0 {
            // An event of the link comes by here.
            return Ok(false);
        }
        match packet.send(frame, guest, grants, *done..*done + room, |frame, flags| port.send(frame, flags)) {
            Ok(false) => {
                *done += room;
                continue;
            }
            Ok(true) => packet.answer(ring, status::OKAY),
            Err(_) => packet.answer(ring, status::ERROR),
        }
        *done = 0;
        waiting = waiting.saturating_sub(packet.entries());
    }
    ring.ask(1)
}

/// Hands frames over, as far as there are buffers.
fn receive<P: Page>(
    ring: &mut Ring<P>,
    frame: &mut [u8; FRAME_MAX],
    port: &mut impl Port,
    guest: &impl Frames<Page = P>,
    grants: &Grants<P>,
) -> Result<Received, Broken> {
    let mut waiting = ring.waiting()?;
    while port.is_waiting() {
        if waiting == 0 {
            return Ok(if ring.ask(1)? { Received::More } else { Received::Stuck });
        }
        let (id, reference) = (ring.load32(0, 0) & 0xffff, ring.load32(0, 4));
        ring.take(1);
        waiting -= 1;
        let mut flags = 0;
        let how = match grants.page(reference, Use::Write, guest) {
            // Another buffer for the same frame.
            Err(_) => status::ERROR,
            Ok(page) => match port.receive(frame) {
                Some((length, said)) => {
                    flags = if said & SUMMED != 0 { rx::DATA_VALIDATED } else { 0 };
                    let bytes = frame.get(..length).unwrap_or(frame);
                    page.copy_in(0, bytes);
                    bytes.len() as i16
                }
                None => status::ERROR,
            },
        };
        // The offset is 0; without a flag the guest looks at checksums.
        ring.answer(&[id, u32::from(how.cast_unsigned()) << 16 | u32::from(flags)]);
    }
    Ok(Received::All)
}
