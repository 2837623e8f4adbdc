// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Messages on their way: put together from pieces, and taken apart again.

use heapless::Vec;
use zerocopy::{FromBytes, IntoBytes};

use crate::abi::store::{Header, Message, PAYLOAD, RING, at};
use crate::memory::Page;

/// Bytes of a request's body that are kept: a path and a value, and some more.
pub(super) const BODY: usize = 512;
/// Bytes of a header.
const HEADER: usize = size_of::<Header>();

/// A request on its way in.
#[derive(Debug)]
pub(super) struct Input {
    header: Vec<u8, HEADER, u8>,
    body: Vec<u8, BODY, u16>,
    /// Bytes of the body that did not fit.
    excess: u32,
    /// How much was taken from the ring.
    taken: u32,
}

impl Input {
    pub(super) const fn new() -> Self {
        Self { header: Vec::new(), body: Vec::new(), excess: 0, taken: 0 }
    }

    /// Takes from the ring what is there, up to the end of one request. Tells whether it is complete.
    /// A count that makes no sense is an empty ring.
    pub(super) fn take(&mut self, page: &impl Page) -> bool {
        let waiting = page.load32(at::REQUESTS_PROD).wrapping_sub(self.taken);
        let mut left = if waiting as usize <= RING { waiting } else { 0 };
        while left > 0 && !self.is_complete() {
            let byte = page.load8(at::REQUESTS + self.taken as usize % RING);
            self.add(byte);
            self.taken = self.taken.wrapping_add(1);
            left -= 1;
        }
        page.store32(at::REQUESTS_CONS, self.taken);
        self.is_complete()
    }

    fn add(&mut self, byte: u8) {
        if self.header.push(byte).is_err() && self.body.push(byte).is_err() {
            self.excess = self.excess.saturating_add(1);
        }
    }

    fn is_complete(&self) -> bool {
        let kept = u32::from(self.body.len() as u16).saturating_add(self.excess);
        self.header().is_some_and(|header| kept >= header.length)
    }

    /// The header, once it is there.
    pub(super) fn header(&self) -> Option<Header> {
        Header::read_from_bytes(&self.header).ok()
    }

    /// The body; none: it was too long.
    pub(super) fn body(&self) -> Option<&[u8]> {
        (self.excess == 0).then_some(&self.body)
    }

    /// Begins with the next request.
    pub(super) fn clear(&mut self) {
        self.header.clear();
        self.body.clear();
        self.excess = 0;
    }
}

/// A message on its way out.
#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8, { HEADER + PAYLOAD }, u16>,
    /// Bytes of it that are in the ring.
    sent: u16,
    /// How much was put into the ring.
    put: u32,
}

impl Output {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), sent: 0, put: 0 }
    }

    /// Begins a message whose body is yet to come.
    pub(super) fn begin(&mut self, header: &Header) {
        self.bytes.clear();
        self.sent = 0;
        let _ = self.bytes.extend_from_slice(header.as_bytes());
    }

    /// Adds to the body.
    ///
    /// # Errors
    /// There is no room.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.bytes.extend_from_slice(bytes).map_err(|_| ())
    }

    /// Makes it a refusal instead.
    pub(super) fn refuse(&mut self, header: &Header, name: &[u8]) {
        self.begin(&Header { kind: Message::Error.number(), ..*header });
        let _ = self.add(name);
    }

    /// Ends a message: its length is known.
    pub(super) fn end(&mut self) {
        let length = (self.bytes.len().saturating_sub(HEADER) as u32).to_ne_bytes();
        if let Some(place) = self.bytes.get_mut(HEADER - 4..HEADER) {
            place.copy_from_slice(&length);
        }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Puts into the ring what there is room for. Tells whether that was anything.
    pub(super) fn put(&mut self, page: &impl Page) -> bool {
        let taken = self.put.wrapping_sub(page.load32(at::REPLIES_CONS)) as usize;
        let rest = self.bytes.get(usize::from(self.sent)..).unwrap_or_default();
        let now = rest.iter().take(RING.saturating_sub(taken));
        let before = self.put;
        for byte in now {
            page.store8(at::REPLIES + self.put as usize % RING, *byte);
            self.put = self.put.wrapping_add(1);
            self.sent += 1;
        }
        if usize::from(self.sent) == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
        page.store32(at::REPLIES_PROD, self.put);
        self.put != before
    }
}
