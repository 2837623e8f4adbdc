// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Cutting a large packet of a TCP connection into frames.
//!
//! Each frame gets a copy of the headers, in which lengths, the sequence number, the number of the IP
//! packet, the flags and the checksums are made right (as network cards do it).

use super::checksum::{Places, TCP, get16, put16, seal_ipv4};
use super::packet::Unfit;
use crate::abi::network::extra;
use crate::devices::port::FRAME_MAX;

/// Bytes of headers at most: Ethernet with a VLAN, IPv6 or IPv4 with options, TCP with options.
const HEAD_MAX: usize = 18 + 60 + 60;
/// In the header of TCP: the sequence number, length and flags.
const SEQUENCE: usize = 4;
const LENGTH: usize = 12;
const FLAGS: usize = 13;
/// Flags for the last segment only.
const FIN_PSH: u8 = 0x09;
/// A flag for the first one only.
const CWR: u8 = 0x80;

/// The segments of a packet.
#[derive(Debug)]
pub(super) struct Segments {
    head: [u8; HEAD_MAX],
    places: Places,
    /// Bytes of the headers.
    bytes: usize,
    /// Bytes of data in each, and of all that are left.
    size: usize,
    left: usize,
    /// How many there were.
    count: u32,
    now: usize,
}

impl Segments {
    /// Those of a packet of `whole` bytes, with `size` bytes of data each. `peek` gives its first bytes.
    pub(super) fn new(
        whole: u16,
        size: u16,
        kind: u8,
        peek: impl FnOnce(&mut [u8]) -> Result<(), Unfit>,
    ) -> Result<Self, Unfit> {
        let mut head = [0; HEAD_MAX];
        let there = HEAD_MAX.min(whole.into());
        peek(head.get_mut(..there).ok_or(Unfit)?)?;
        let places = head.get(..there).and_then(Places::of).ok_or(Unfit)?;
        let expected = match kind {
            extra::TCP_V4 => 4,
            extra::TCP_V6 => 6,
            _ => return Err(Unfit),
        };
        let length = usize::from(*head.get(places.transport + LENGTH).ok_or(Unfit)? >> 4) * 4;
        let bytes = places.transport + length;
        let (size, whole) = (usize::from(size), usize::from(whole));
        let fits = places.version == expected
            && places.protocol == TCP
            && length >= 20
            && bytes <= there
            && bytes < whole
            && size > 0
            && bytes + size <= FRAME_MAX;
        if !fits {
            return Err(Unfit);
        }
        Ok(Self { head, places, bytes, size, left: whole - bytes, count: 0, now: 0 })
    }

    /// Bytes of the headers.
    pub(super) const fn head(&self) -> usize {
        self.bytes
    }

    /// Begins the next one, and tells how many bytes of data it has.
    pub(super) fn next(&mut self) -> Option<usize> {
        self.count += u32::from(self.now > 0);
        self.now = self.left.min(self.size);
        self.left -= self.now;
        (self.now > 0).then_some(self.now)
    }

    /// Whether there is none behind this one.
    pub(super) const fn is_last(&self) -> bool {
        self.left == 0
    }

    /// Writes the headers of a segment in front of its data, which are in `frame` already.
    pub(super) fn write_head(&self, frame: &mut [u8]) -> Result<(), Unfit> {
        self.try_write(frame).ok_or(Unfit)
    }

    fn try_write(&self, frame: &mut [u8]) -> Option<()> {
        let Places { ip, transport, version, .. } = self.places;
        frame.get_mut(..self.bytes)?.copy_from_slice(self.head.get(..self.bytes)?);
        let end = self.bytes + self.now;
        if version == 4 {
            put16(frame, ip + 2, (end - ip) as u16)?;
            let number = get16(frame, ip + 4)?.wrapping_add(self.count as u16);
            put16(frame, ip + 4, number)?;
            seal_ipv4(frame, &self.places)?;
        } else {
            put16(frame, ip + 4, (end - ip - 40) as u16)?;
        }
        let sequence: &mut [u8; 4] = frame.get_mut(transport + SEQUENCE..)?.first_chunk_mut()?;
        let done = self.count.wrapping_mul(self.size as u32);
        *sequence = u32::from_be_bytes(*sequence).wrapping_add(done).to_be_bytes();
        let flags = frame.get_mut(transport + FLAGS)?;
        if self.left > 0 {
            *flags &= !FIN_PSH;
        }
        if self.count > 0 {
            *flags &= !CWR;
        }
        self.places.seal(frame, end)
    }
}
