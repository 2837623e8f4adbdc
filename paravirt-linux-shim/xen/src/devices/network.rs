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
use super::port::{FRAME_MAX, Port};
use super::ring::{Broken, Ring};
use crate::abi::network::{RX_ENTRY, TX_ENTRY, status};
use crate::grants::{Grants, Use};
use crate::memory::{Frames, Page};
use packet::Packet;

/// A port's rings.
#[derive(Debug)]
pub struct Network<P> {
    rings: Option<Rings<P>>,
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
        Self { rings: None, frame: [0; FRAME_MAX] }
    }

    /// Begins with the rings in these pages.
    pub fn connect(&mut self, tx: P, rx: P) {
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
            for _ in 0..rx_bound() {
                if port.receive(&mut self.frame).is_none() {
                    break;
                }
            }
            return Served::default();
        };
        let sent = send(tx, &mut self.frame, port, guest, grants);
        let received = receive(rx, &mut self.frame, port, guest, grants);
        let raise = tx.publish() | rx.publish();
        let broken = sent.is_err() || received.is_err();
        if broken {
            self.disconnect();
        }
        Served { raise, more: sent == Ok(true) || received == Ok(true), broken }
    }
}

/// Frames that are handed over, or thrown away, in one go.
const fn rx_bound() -> u32 {
    256
}

/// Sends what is in the ring, as far as there is room. True: more has come meanwhile.
fn send<P: Page>(
    ring: &mut Ring<P>,
    frame: &mut [u8; FRAME_MAX],
    port: &mut impl Port,
    guest: &impl Frames<Page = P>,
    grants: &Grants<P>,
) -> Result<bool, Broken> {
    let mut waiting = ring.waiting()?;
    while waiting > 0 {
        let packet = Packet::of(ring, waiting)?;
        if !port.is_up() {
            // No cable: what is sent is lost, and the guest need not wait.
            packet.answer(ring, status::DROPPED);
        } else {
            let frames = packet.frames();
            if frames.is_ok_and(|frames| frames > port.room()) {
                // An event of the link comes by here.
                return Ok(false);
            }
            let sent = frames.and_then(|_| packet.send(frame, guest, grants, |frame| port.send(frame)));
            packet.answer(ring, if sent.is_ok() { status::OKAY } else { status::ERROR });
        }
        waiting = waiting.saturating_sub(packet.entries());
    }
    ring.ask(1)
}

/// Hands frames over, as far as there are buffers. True: there is more to do.
fn receive<P: Page>(
    ring: &mut Ring<P>,
    frame: &mut [u8; FRAME_MAX],
    port: &mut impl Port,
    guest: &impl Frames<Page = P>,
    grants: &Grants<P>,
) -> Result<bool, Broken> {
    let mut waiting = ring.waiting()?;
    while port.is_waiting() {
        if waiting == 0 {
            return ring.ask(1);
        }
        let (id, reference) = (ring.load32(0, 0) & 0xffff, ring.load32(0, 4));
        ring.take(1);
        waiting -= 1;
        let how = match grants.page(reference, Use::Write, guest) {
            // Another buffer for the same frame.
            Err(_) => status::ERROR,
            Ok(page) => match port.receive(frame) {
                Some(length) => {
                    let bytes = frame.get(..length).unwrap_or(frame);
                    page.copy_in(0, bytes);
                    bytes.len() as i16
                }
                None => status::ERROR,
            },
        };
        // Offset and flags are 0: the guest looks at checksums.
        ring.answer(&[id, u32::from(how.cast_unsigned()) << 16]);
    }
    Ok(false)
}
