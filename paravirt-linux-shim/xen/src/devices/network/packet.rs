// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A packet in the ring to the network: several entries, of which the first tells the whole size.
//!
//! ```text
//!   │ head: whole size, flags │ extra: GSO │ data │ data │ …
//! ```

use core::ops::Range;

use heapless::Vec;

use super::checksum;
use super::segment::Segments;
use crate::abi::PAGE;
use crate::abi::network::{SLOTS_MAX, extra, status, tx};
use crate::devices::port::{FRAME_MAX, SUMMED};
use crate::devices::ring::{Broken, Ring};
use crate::grants::{Grants, Use};
use crate::memory::{Frames, Page};

/// Extras of a packet: one of each kind at most.
const EXTRAS_MAX: usize = extra::KINDS as usize;

/// A packet that can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit;

/// A part of a packet.
#[derive(Clone, Copy, Debug)]
struct Part {
    reference: u32,
    at: u16,
    bytes: u16,
    id: u16,
}

/// That a packet is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    /// Bytes of data in each.
    size: u16,
    kind: u8,
}

/// A packet, copied from its entries.
#[derive(Debug)]
pub(super) struct Packet {
    parts: Vec<Part, SLOTS_MAX, u8>,
    extras: u8,
    flags: u16,
    size: u16,
    cut: Option<Cut>,
    /// Its sizes do not add up, or it has extras that nobody knows.
    unfit: bool,
}

impl Packet {
    /// The next packet in the ring, in which so many entries wait.
    ///
    /// # Errors
    /// It is not all there, or has more entries than a packet may have: nobody can tell where the
    /// next one begins.
    pub(super) fn of<P: Page>(ring: &Ring<P>, waiting: u32) -> Result<Self, Broken> {
        let (head, mut flags) = part(ring, 0);
        let mut packet = Self { parts: Vec::new(), extras: 0, flags, size: head.bytes, cut: None, unfit: false };
        let _ = packet.parts.push(head);
        let mut next = 1;
        let mut more = flags & tx::EXTRA_INFO != 0;
        while more {
            if next >= waiting || usize::from(packet.extras) >= EXTRAS_MAX {
                return Err(Broken);
            }
            let (first, second) = (ring.load32(next, 0), ring.load32(next, 4));
            let (kind, its_flags, size) = (first as u8, (first >> 8) as u8, (first >> 16) as u16);
            match kind {
                extra::GSO => packet.cut = Some(Cut { size, kind: second as u8 }),
                _ => packet.unfit = true,
            }
            packet.extras += 1;
            next += 1;
            more = its_flags & extra::MORE != 0;
        }
        let mut left = packet.size;
        while flags & tx::MORE_DATA != 0 {
            if next >= waiting {
                return Err(Broken);
            }
            let (more, its_flags) = part(ring, next);
            match left.checked_sub(more.bytes).filter(|left| *left > 0) {
                Some(rest) => left = rest,
                None => packet.unfit = true,
            }
            packet.parts.push(more).map_err(|_| Broken)?;
            flags = its_flags;
            next += 1;
        }
        if let Some(head) = packet.parts.first_mut() {
            head.bytes = left;
        }
        let within = |part: &Part| u64::from(part.at) + u64::from(part.bytes) <= PAGE;
        packet.unfit |= !packet.parts.iter().all(within);
        Ok(packet)
    }

    /// How many entries it has in the ring.
    pub(super) fn entries(&self) -> u32 {
        self.parts.iter().count() as u32 + u32::from(self.extras)
    }

    /// Sends it: of the frames that it becomes, those of these numbers. Tells whether they were the
    /// last ones.
    pub(super) fn send<P: Page>(
        &self,
        frame: &mut [u8; FRAME_MAX],
        guest: &impl Frames<Page = P>,
        grants: &Grants<P>,
        which: Range<usize>,
        mut send: impl FnMut(&[u8], u32),
    ) -> Result<bool, Unfit> {
        if self.unfit {
            return Err(Unfit);
        }
        let summed = self.cut.is_some() || self.flags & (tx::CHECKSUM_BLANK | tx::DATA_VALIDATED) != 0;
        let flags = if summed { SUMMED } else { 0 };
        let mut bytes = Bytes { parts: &self.parts, done: 0, guest, grants };
        match self.cut {
            None => {
                let frame = frame.get_mut(..usize::from(self.size)).ok_or(Unfit)?;
                bytes.read(frame)?;
                if self.flags & tx::CHECKSUM_BLANK != 0 {
                    checksum::complete(frame).ok_or(Unfit)?;
                }
                send(frame, flags);
                Ok(true)
            }
            Some(Cut { size, kind }) => {
                let mut segments = Segments::new(self.size, size, kind, |head| bytes.peek(head))?;
                bytes.skip(segments.head())?;
                for number in 0..which.end {
                    let Some(wanted) = segments.next() else { break };
                    if number < which.start {
                        bytes.skip(wanted)?;
                        continue;
                    }
                    let (head, end) = (segments.head(), segments.head() + wanted);
                    bytes.read(frame.get_mut(head..end).ok_or(Unfit)?)?;
                    let frame = frame.get_mut(..end).ok_or(Unfit)?;
                    segments.write_head(frame)?;
                    send(frame, flags);
                }
                Ok(segments.is_last())
            }
        }
    }

    /// Answers all of its entries.
    pub(super) fn answer<P: Page>(&self, ring: &mut Ring<P>, how: i16) {
        let word = |id: u16, status: i16| u32::from(id) | u32::from(status.cast_unsigned()) << 16;
        ring.take(self.entries());
        let mut ids = self.parts.iter().map(|part| part.id);
        ring.answer(&[word(ids.next().unwrap_or(0), how)]);
        (0..self.extras).for_each(|_| ring.answer(&[word(0, status::NULL)]));
        ids.for_each(|id| ring.answer(&[word(id, how)]));
    }
}

/// An entry of data, and its flags.
fn part<P: Page>(ring: &Ring<P>, ahead: u32) -> (Part, u16) {
    let [reference, second, third] = [0, 4, 8].map(|at| ring.load32(ahead, at));
    let (at, flags) = (second as u16, (second >> 16) as u16);
    (Part { reference, at, bytes: (third >> 16) as u16, id: third as u16 }, flags)
}

/// The bytes of a packet, one after the other.
#[derive(Clone)]
struct Bytes<'a, F, P> {
    parts: &'a [Part],
    /// Bytes of the first of `parts` that are done.
    done: u16,
    guest: &'a F,
    grants: &'a Grants<P>,
}

impl<P: Page, F: Frames<Page = P>> Bytes<'_, F, P> {
    /// Goes through so many bytes, part by part.
    fn each(
        &mut self,
        bytes: usize,
        mut take: impl FnMut(&Part, usize, usize) -> Result<(), Unfit>,
    ) -> Result<(), Unfit> {
        let mut done = 0;
        while done < bytes {
            let part = self.parts.first().ok_or(Unfit)?;
            let now = (bytes - done).min(usize::from(part.bytes - self.done));
            take(part, usize::from(part.at + self.done), now)?;
            done += now;
            self.done += now as u16;
            if self.done == part.bytes {
                self.parts = self.parts.get(1..).unwrap_or_default();
                self.done = 0;
            }
        }
        Ok(())
    }

    /// Copies the next bytes.
    fn read(&mut self, into: &mut [u8]) -> Result<(), Unfit> {
        let (guest, grants) = (self.guest, self.grants);
        let mut rest = &mut *into;
        self.each(rest.len(), |part, at, bytes| {
            let page = grants.page(part.reference, Use::Read, guest).map_err(|_| Unfit)?;
            let (now, later) = core::mem::take(&mut rest).split_at_mut_checked(bytes).ok_or(Unfit)?;
            page.copy_out(at, now);
            rest = later;
            Ok(())
        })
    }

    /// Copies the next bytes, which stay the next.
    fn peek(&self, into: &mut [u8]) -> Result<(), Unfit> {
        Self { parts: self.parts, done: self.done, guest: self.guest, grants: self.grants }.read(into)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Unfit> {
        self.each(bytes, |_, _, _| Ok(()))
    }
}
