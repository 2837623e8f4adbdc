// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Ports of a network: Ethernet frames both ways.
//!
//! ```text
//!   data of an area: 256 slots of 2 KiB, frame n in slot n mod 256
//!   slot: flags │ length, 0, frame from byte 16 on
//!   parameters of the server: MAC, MTU, link state
//! ```
//! Both ends are alike; only the server tells parameters. Frames may be lost at a restart of either
//! side, and are never seen half.

use crate::Error;
use crate::connection::{Change, Connection, Interest};
use crate::layout::{self, join, split};
use crate::memory::Memory;

/// The most slots that an area has.
pub const SLOTS: u32 = 256;
/// Bytes of a slot.
pub const SLOT: u64 = 2048;
/// Where the frame begins in its slot.
pub const FRAME: u64 = 16;
/// The most bytes of a frame, without its checksum.
pub const MAX_FRAME: u64 = SLOT - FRAME;
/// Bytes of an Ethernet header.
const HEADER: u64 = 14;
/// The smallest MTU that IPv4 needs (RFC 791).
const MIN_MTU: u32 = 68;

/// What a port is, as its server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The client's address.
    pub mac: [u8; 6],
    /// The most bytes behind the Ethernet header.
    pub mtu: u32,
}

/// A frame that waits, in the peer's area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where it lies: counts from the begin of `incoming`.
    pub offset: u64,
    /// Its length, 14 to [`MAX_FRAME`].
    pub bytes: u64,
    /// What the sender says of it: its own affair with the receiver, passed on as it is.
    pub flags: u32,
}

/// One end of a port.
#[derive(Debug)]
pub struct Port<M> {
    link: Connection<M>,
    parameters: Option<Parameters>,
    serves: bool,
    /// The last `send` had no room.
    full: bool,
}

impl<M: Memory> Port<M> {
    /// Starts to serve a port.
    ///
    /// # Errors
    /// [`Error::Area`] if an area is too small, [`Error::Range`] if the MTU doesn't fit a slot.
    pub fn serve(out: M, incoming: M, parameters: Parameters) -> Result<Self, Error> {
        if !is_sound(&parameters) {
            return Err(Error::Range);
        }
        let mut port = Self::new(out, incoming, Some(parameters))?;
        let mac = parameters.mac.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        port.link.set_parameter(0, mac);
        port.link.set_parameter(1, u64::from(parameters.mtu));
        port.link.set_parameter(2, 0);
        port.link.start();
        Ok(port)
    }

    /// Starts to use a port.
    ///
    /// # Errors
    /// [`Error::Area`] if an area is too small.
    pub fn connect(out: M, incoming: M) -> Result<Self, Error> {
        let mut port = Self::new(out, incoming, None)?;
        port.link.start();
        Ok(port)
    }

    /// An end that isn't seen yet.
    fn new(out: M, incoming: M, parameters: Option<Parameters>) -> Result<Self, Error> {
        let slots = |area: &M| {
            let slots = area.bytes().saturating_sub(layout::DATA) / SLOT;
            slots.min(u64::from(SLOTS)).checked_ilog2().map_or(0, |bits| 1 << bits)
        };
        let serves = parameters.is_some();
        let protocol = parzelle_abi::info::Protocol::Network as u32;
        let entries = [slots(&out), slots(&incoming)];
        let link = Connection::new(out, incoming, protocol, serves, entries)?;
        Ok(Self { link, parameters, serves, full: false })
    }

    /// What is known of the link: whether it is up, how often the peer broke the rules.
    pub fn link(&self) -> &Connection<M> {
        &self.link
    }

    /// Looks whether the peer has started anew or has joined us.
    fn poll(&mut self) {
        if self.link.poll(true) != Change::Up || self.serves {
            return;
        }
        let mac = self.link.parameter(0).to_be_bytes();
        let mtu = u32::try_from(self.link.parameter(1)).unwrap_or(0);
        let mut parameters = Parameters { mac: [0; 6], mtu };
        parameters.mac.iter_mut().zip(mac.iter().skip(2)).for_each(|(to, from)| *to = *from);
        match is_sound(&parameters) {
            true => self.parameters = Some(parameters),
            false => self.link.blame(),
        }
    }

    /// What the port is; `None` at a client before the server has said so.
    pub fn parameters(&mut self) -> Option<Parameters> {
        if !self.link.is_up() {
            self.poll();
        }
        self.parameters
    }

    /// Says whether frames get anywhere, at the server: they don't before this says so.
    pub fn set_carrier(&mut self, up: bool) {
        self.link.set_parameter(2, u64::from(up));
        self.link.want_bell();
    }

    /// Whether frames get anywhere, as the server says; at a client. Its doorbell tells of changes.
    pub fn carrier(&self) -> bool {
        self.link.is_up() && self.link.parameter(2) & 1 != 0
    }

    /// Where a slot's frame begins.
    fn slot(index: u32) -> u64 {
        layout::DATA + SLOT * u64::from(index)
    }

    /// The next frame that waits, without taking it. A slot whose length is no frame's is blamed on
    /// the peer.
    pub fn peek(&mut self) -> Option<Frame> {
        if !self.link.is_up() || self.link.available() == 0 {
            self.poll();
        }
        if self.link.available() == 0 {
            return None;
        }
        let slot = Self::slot(self.link.next_in());
        let (flags, bytes) = split(self.link.theirs.load(slot));
        let bytes = u64::from(bytes);
        if !(HEADER..=MAX_FRAME).contains(&bytes) {
            self.link.blame();
            return None;
        }
        Some(Frame { offset: slot + FRAME, bytes, flags })
    }

    /// Copies a frame's bytes out, from byte `at` on. The peer can still change them: what is
    /// checked has to be a copy. `None` if they are not all within.
    #[must_use]
    pub fn copy_out(&self, frame: &Frame, at: u64, into: &mut [u8]) -> Option<()> {
        let end = at.checked_add(into.len() as u64)?;
        let from = frame.offset.checked_add(at)?;
        if end > frame.bytes {
            return None;
        }
        self.link.theirs.read(from, into)
    }

    /// Gives back the slot of the frame that [`Self::peek`] gives.
    pub fn take(&mut self) {
        if self.link.available() > 0 {
            self.link.consume(1);
        }
    }

    /// Receives a frame: copies and takes it. Its length and flags; what is longer than `into` is
    /// cut off.
    pub fn receive(&mut self, into: &mut [u8]) -> Option<(usize, u32)> {
        let frame = self.peek()?;
        let length = into.len().min(frame.bytes as usize);
        let copied = into.get_mut(..length).and_then(|into| self.copy_out(&frame, 0, into));
        self.take();
        copied.map(|()| (length, frame.flags))
    }

    /// Where the next frame to send goes in our area, for up to [`MAX_FRAME`] bytes; for callers
    /// that put it there on their own. The same until [`Self::commit`].
    ///
    /// # Errors
    /// [`Error::Down`] if the peer isn't there, [`Error::Full`] if it has not yet taken enough.
    pub fn reserve(&mut self) -> Result<u64, Error> {
        if self.link.room(1) == 0 {
            // Full, or a peer that has started anew and takes nothing of what was sent before.
            self.poll();
        }
        if self.link.room(1) > 0 {
            return Ok(Self::slot(self.link.next_out()) + FRAME);
        }
        if !self.link.is_up() {
            return Err(Error::Down);
        }
        self.full = true;
        Err(Error::Full)
    }

    /// Sends the frame that lies where [`Self::reserve`] said.
    ///
    /// # Errors
    /// As `reserve`, and [`Error::Range`] for a length that is no frame's.
    pub fn commit(&mut self, bytes: u64, flags: u32) -> Result<(), Error> {
        if !(HEADER..=MAX_FRAME).contains(&bytes) {
            return Err(Error::Range);
        }
        let frame = self.reserve()?;
        self.link.ours.0.store(frame - FRAME, join(flags, bytes as u32));
        self.link.produce(1);
        Ok(())
    }

    /// Sends a frame: copies it.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn send(&mut self, frame: &[u8], flags: u32) -> Result<(), Error> {
        let bytes = frame.len() as u64;
        if bytes > MAX_FRAME {
            return Err(Error::Range);
        }
        let to = self.reserve()?;
        self.link.ours.0.write(to, frame).ok_or(Error::Range)?;
        self.commit(bytes, flags)
    }

    /// How many frames can be sent now.
    pub fn room(&mut self) -> u32 {
        self.link.room(SLOTS)
    }

    /// Whether the peer has to be woken: ring if so. After each batch, and before sleeping.
    pub fn notify(&mut self) -> bool {
        self.link.notify()
    }

    /// Whether there is nothing to do before the peer's doorbell rings. After a send that had no
    /// room, it also rings when half of the slots are free again.
    pub fn may_sleep(&mut self) -> bool {
        let room = self.full.then(|| self.link.out_entries() / 2);
        let sleeps = self.link.may_sleep(Interest { entries: true, room, joins: true });
        // Told once: who has nothing more to send may sleep the next time.
        self.full &= sleeps;
        sleeps
    }
}

/// Whether a port can be so.
fn is_sound(parameters: &Parameters) -> bool {
    parameters.mtu >= MIN_MTU && u64::from(parameters.mtu) + HEADER <= MAX_FRAME
}
