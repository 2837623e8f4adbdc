// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The backend's end of a ring that it shares with a frontend.
//!
//! ```text
//!            rsp_prod          req_cons             req_prod
//!   ── answered ──┼── taken, open ──┼── not yet taken ──┼──     counts go on and on
//! ```
//! Our counts are kept here and only told to the guest. Its count is read once each time; one that
//! would mean more entries than there are breaks the ring: then nothing more is taken from it.

use core::sync::atomic::{Ordering, fence};

use crate::abi::PAGE;
use crate::abi::ring::{ENTRIES, REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD};
use crate::memory::Page;

/// The guest has written counts that make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A ring in a page of the guest.
#[derive(Clone, Debug)]
pub struct Ring<P> {
    page: P,
    /// Bytes of an entry.
    stride: usize,
    /// How many entries: a power of two.
    entries: u32,
    taken: u32,
    answered: u32,
    /// What the guest knows of `answered`.
    told: u32,
}

impl<P: Page> Ring<P> {
    /// The ring in `page`, with entries of so many bytes. Begins where the guest says that it is:
    /// a new one is at 0.
    pub fn new(page: P, stride: usize) -> Self {
        let room = (PAGE as usize - ENTRIES) / stride.max(4);
        let entries = 1u32 << room.checked_ilog2().unwrap_or(0);
        let start = page.load32(RSP_PROD);
        Self { page, stride, entries, taken: start, answered: start, told: start }
    }

    /// How many entries it has.
    #[must_use]
    pub const fn entries(&self) -> u32 {
        self.entries
    }

    /// How many requests wait to be taken.
    ///
    /// # Errors
    /// More than can be.
    pub fn waiting(&self) -> Result<u32, Broken> {
        let produced = self.page.load32(REQ_PROD);
        let waiting = produced.wrapping_sub(self.taken);
        if waiting > self.entries || produced.wrapping_sub(self.answered) > self.entries {
            return Err(Broken);
        }
        Ok(waiting)
    }

    /// Where the request lies that comes so many behind the next one.
    fn place(&self, count: u32) -> usize {
        ENTRIES + (count & (self.entries - 1)) as usize * self.stride
    }

    /// Reads 32 bits of a request, so many behind the next one.
    #[must_use]
    pub fn load32(&self, ahead: u32, at: usize) -> u32 {
        self.page.load32(self.place(self.taken.wrapping_add(ahead)) + at)
    }

    /// Reads 64 bits of a request, so many behind the next one.
    #[must_use]
    pub fn load64(&self, ahead: u32, at: usize) -> u64 {
        self.page.load64(self.place(self.taken.wrapping_add(ahead)) + at)
    }

    /// Takes so many requests: their entries may be written over by answers.
    pub const fn take(&mut self, count: u32) {
        self.taken = self.taken.wrapping_add(count);
    }

    /// Answers one of the requests that were taken, with these words.
    pub fn answer(&mut self, words: &[u32]) {
        let place = self.place(self.answered);
        for (at, word) in (place..).step_by(4).zip(words) {
            self.page.store32(at, *word);
        }
        self.answered = self.answered.wrapping_add(1);
    }

    /// Tells the guest of the answers. True: it wants an event for them.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        let (old, new) = (self.told, self.answered);
        if old == new {
            return false;
        }
        self.told = new;
        self.page.store32(RSP_PROD, new);
        fence(Ordering::SeqCst);
        new.wrapping_sub(self.page.load32(RSP_EVENT)) < new.wrapping_sub(old)
    }

    /// Asks for an event when so many requests wait. True: they do already.
    ///
    /// # Errors
    /// More than can be.
    pub fn ask(&self, count: u32) -> Result<bool, Broken> {
        self.page.store32(REQ_EVENT, self.taken.wrapping_add(count));
        fence(Ordering::SeqCst);
        Ok(self.waiting()? >= count)
    }
}
