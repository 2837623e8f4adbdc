// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A disk whose operations return when they are done.

use super::Doorbells;
use crate::block::{Client, Completion, Geometry, SECTOR};
use crate::{Error, Memory};

/// A disk. Of a long read or write several pieces are in flight at a time.
///
/// While its server isn't there, operations wait; what was in flight is sent again to a server that
/// has started anew.
#[derive(Debug)]
pub struct Disk<M, B> {
    client: Client<M>,
    bells: B,
    geometry: Geometry,
}

impl<M: Memory, B: Doorbells> Disk<M, B> {
    /// Takes a client's end and waits until the server is there.
    pub fn new(mut client: Client<M>, bells: B) -> Self {
        loop {
            if let Some(geometry) = client.geometry() {
                return Self { client, bells, geometry };
            }
            pause(&mut client, &bells);
        }
    }

    /// What the disk is.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The client's end: what it has counted.
    pub fn client(&self) -> &Client<M> {
        &self.client
    }

    /// Reads whole blocks from a sector on.
    ///
    /// # Errors
    /// [`Error::Range`] if they aren't whole, or not within the disk; [`Error::Device`].
    pub fn read(&mut self, sector: u64, into: &mut [u8]) -> Result<(), Error> {
        let total = into.len() as u64;
        let ask = |client: &mut Client<M>, at: u64, bytes| client.read(sector + at / SECTOR, bytes, at);
        self.check(sector, total)?;
        self.transfer(total, ask, |done, at, bytes| {
            let part = into.get_mut(at as usize..(at + bytes) as usize);
            part.and_then(|part| done.copy_out(0, part)).ok_or(Error::Range)
        })
    }

    /// Writes whole blocks from a sector on.
    ///
    /// # Errors
    /// As [`Self::read`], and [`Error::ReadOnly`].
    pub fn write(&mut self, sector: u64, from: &[u8]) -> Result<(), Error> {
        let total = from.len() as u64;
        let ask = |client: &mut Client<M>, at: u64, bytes| {
            let part = from.get(at as usize..(at + bytes) as usize).ok_or(Error::Range)?;
            let mut write = client.write(sector + at / SECTOR, bytes, at)?;
            write.copy_in(0, part).ok_or(Error::Range)?;
            write.submit();
            Ok(())
        };
        self.check(sector, total)?;
        self.transfer(total, ask, |_, _, _| Ok(()))
    }

    /// Puts all that was written on stable storage.
    ///
    /// # Errors
    /// [`Error::Device`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.transfer(1, |client, at, _| client.flush(at), |_, _, _| Ok(()))
    }

    /// Says that the content of blocks isn't needed any more.
    ///
    /// # Errors
    /// As [`Self::write`], and [`Error::Unsupported`].
    pub fn discard(&mut self, sector: u64, bytes: u64) -> Result<(), Error> {
        self.check(sector, bytes)?;
        self.transfer(1, |client, at, _| client.discard(sector, bytes, at), |_, _, _| Ok(()))
    }

    /// Whether a range lies within the disk: later, sums are of numbers that are small enough.
    fn check(&self, sector: u64, bytes: u64) -> Result<(), Error> {
        let end = sector.checked_add(bytes.div_ceil(SECTOR)).ok_or(Error::Range)?;
        if end > self.geometry.sectors { Err(Error::Range) } else { Ok(()) }
    }

    /// Moves `total` bytes in pieces: `ask` sends one, `done` takes its answer. Returns when all that
    /// was sent is answered, with the first error.
    fn transfer(
        &mut self,
        total: u64,
        mut ask: impl FnMut(&mut Client<M>, u64, u64) -> Result<(), Error>,
        mut done: impl FnMut(&Completion<'_, M>, u64, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (mut sent, mut flying, mut result) = (0, 0u32, Ok(()));
        let piece = self.client.max_bytes().max(SECTOR);
        loop {
            while sent < total && result.is_ok() {
                let bytes = piece.min(total - sent);
                match ask(&mut self.client, sent, bytes) {
                    Ok(()) => (sent, flying) = (sent + bytes, flying + 1),
                    // Later: what is in flight makes room.
                    Err(Error::Full | Error::Down) => break,
                    Err(error) => result = Err(error),
                }
            }
            let before = flying;
            while let Some(answer) = self.client.completed() {
                flying = flying.saturating_sub(1);
                let at = answer.token();
                let bytes = answer.bytes();
                let this = answer.status().result().and_then(|()| done(&answer, at, bytes));
                result = result.and(this);
            }
            if flying == 0 && (sent >= total || result.is_err()) {
                return result;
            }
            // An answer has made room: what is left to send goes before any sleep, as perhaps nothing
            // is in flight that would end it.
            if flying == before || sent >= total {
                pause(&mut self.client, &self.bells);
            }
        }
    }
}

/// Wakes the server if need be, and sleeps until it has something.
fn pause<M: Memory, B: Doorbells>(client: &mut Client<M>, bells: &B) {
    if client.notify() {
        bells.ring();
    }
    if client.may_sleep() {
        bells.wait();
    }
}
