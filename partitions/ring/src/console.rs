// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Consoles: bytes both ways, none lost while both sides live, and the size of the window.
//!
//! ```text
//!   data of an area: as many bytes as are a power of two, byte n at n mod that
//!   parameters of the server: columns and rows of the window
//! ```
//! Indices count bytes. Unlike a log, a console waits: what doesn't fit isn't taken.

use crate::Error;
use crate::connection::{Connection, Interest};
use crate::layout::{self, join, split};
use crate::memory::Memory;

/// The protocol's number: consoles have no links of their own in the information pages.
const PROTOCOL: u32 = 0x80;
/// The most bytes of a ring.
const MOST: u64 = 1 << 20;

/// Columns and rows of a window; 0 if not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Characters of a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// One end of a console.
#[derive(Debug)]
pub struct Console<M> {
    link: Connection<M>,
    /// Bytes of the data of `out` and of `incoming`.
    out_bytes: u32,
    in_bytes: u32,
    /// The last write had no room for all.
    full: bool,
}

impl<M: Memory> Console<M> {
    /// Starts the end where the window is.
    ///
    /// # Errors
    /// [`Error::Area`] if an area is too small.
    pub fn serve(out: M, incoming: M) -> Result<Self, Error> {
        Self::new(out, incoming, true)
    }

    /// Starts the end of the program that is talked to.
    ///
    /// # Errors
    /// [`Error::Area`] if an area is too small.
    pub fn connect(out: M, incoming: M) -> Result<Self, Error> {
        Self::new(out, incoming, false)
    }

    fn new(out: M, incoming: M, serves: bool) -> Result<Self, Error> {
        let bytes = |area: &M| {
            let bytes = area.bytes().saturating_sub(layout::DATA).min(MOST);
            bytes.checked_ilog2().map_or(0, |bits| 1u32 << bits)
        };
        let (out_bytes, in_bytes) = (bytes(&out), bytes(&incoming));
        let mut link = Connection::new(out, incoming, PROTOCOL, serves, [out_bytes, in_bytes])?;
        link.set_parameter(0, 0);
        link.start();
        Ok(Self { link, out_bytes, in_bytes, full: false })
    }

    /// What is known of the link: whether it is up, how often the peer broke the rules.
    pub fn link(&self) -> &Connection<M> {
        &self.link
    }

    /// Says how large the window is.
    pub fn set_window(&mut self, window: Window) {
        self.link.set_parameter(0, join(u32::from(window.columns), u32::from(window.rows)));
        self.link.want_bell();
    }

    /// How large the peer's window is, as it says.
    pub fn window(&self) -> Window {
        let (columns, rows) = if self.link.is_up() { split(self.link.parameter(0)) } else { (0, 0) };
        Window { columns: columns as u16, rows: rows as u16 }
    }

    /// Writes bytes, as many as there is room for; how many. 0 if the peer isn't there.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        self.link.poll(true);
        let wanted = u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(self.out_bytes);
        let count = self.link.room(wanted).min(wanted) as usize;
        self.full = count < bytes.len();
        let at = self.link.next_out();
        let (now, later) = bytes.get(..count).unwrap_or_default().split_at(count.min((self.out_bytes - at) as usize));
        let first = self.link.ours.0.write(layout::DATA + u64::from(at), now);
        if first.and_then(|()| self.link.ours.0.write(layout::DATA, later)).is_none() || count == 0 {
            return 0;
        }
        self.link.produce(count as u32);
        count
    }

    /// How many bytes wait to be read.
    pub fn waiting(&mut self) -> usize {
        if !self.link.is_up() || self.link.available() == 0 {
            self.link.poll(true);
        }
        self.link.available() as usize
    }

    /// How many bytes can be written now. 0 if the peer isn't there.
    pub fn room(&mut self) -> usize {
        self.link.poll(true);
        self.link.room(self.out_bytes) as usize
    }

    /// Reads bytes that have come; how many.
    pub fn read(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.waiting());
        let at = self.link.next_in();
        let (now, later) =
            into.get_mut(..count).unwrap_or_default().split_at_mut(count.min((self.in_bytes - at) as usize));
        let first = self.link.theirs.read(layout::DATA + u64::from(at), now);
        if first.and_then(|()| self.link.theirs.read(layout::DATA, later)).is_none() || count == 0 {
            return 0;
        }
        self.link.consume(count as u32);
        count
    }

    /// Whether the peer has to be woken: ring if so. After each batch, and before sleeping.
    pub fn notify(&mut self) -> bool {
        self.link.notify()
    }

    /// Whether there is nothing to do before the peer's doorbell rings. After a write that had no
    /// room for all, it also rings when half of the ring is free again.
    pub fn may_sleep(&mut self) -> bool {
        self.sleeps(true)
    }

    /// As [`Self::may_sleep`], for who can only write: bytes that wait to be read are no reason to
    /// stay awake.
    pub fn may_sleep_for_room(&mut self) -> bool {
        self.sleeps(false)
    }

    fn sleeps(&mut self, entries: bool) -> bool {
        let room = self.full.then_some(self.out_bytes / 2);
        let sleeps = self.link.may_sleep(Interest { entries, room, joins: true });
        // Told once: who has nothing more to write may sleep the next time.
        self.full &= sleeps;
        sleeps
    }
}
