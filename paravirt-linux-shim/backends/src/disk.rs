// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest's disk, over a link to the partition that serves it.
//!
//! ```text
//!   guest's pages ── pieces ──▶ our area      ──▶ the driver's device     writes
//!   guest's pages ◀─ pieces ─── driver's area ◀── the driver's device     reads
//! ```
//! The link sends again what a driver that has started anew does not know: the guest sees a pause.

use parzelle_ring::Error;
use parzelle_ring::block::{Client, Completion, Operation, SECTOR, Status, Write};
use parzelle_rt::Volatile;
use parzelle_rt::link::Link;
use parzelle_xen::devices::disk::{Command, Disk, Done, Geometry, Order, Outcome, Piece, Submitted};
use parzelle_xen::memory::Page;

/// Bytes that are copied at once.
const CHUNK: usize = 4096;

/// A disk at the other end of a link.
#[derive(Debug)]
pub struct LinkDisk {
    client: Client<Volatile>,
    link: Link,
}

impl LinkDisk {
    /// Starts to use it.
    ///
    /// # Errors
    /// The link's areas are too small.
    pub fn new(link: Link) -> Result<Self, Error> {
        Ok(Self { client: Client::new(link.out(), link.incoming())?, link })
    }

    /// Wakes the other side, if it sleeps.
    fn notify(&mut self) {
        if self.client.notify() {
            self.link.ring();
        }
    }
}

impl Disk for LinkDisk {
    fn geometry(&mut self) -> Option<Geometry> {
        let known = self.client.geometry()?;
        Some(Geometry {
            sectors: known.sectors,
            block: known.block,
            physical: known.physical,
            most: known.max_bytes,
            read_only: known.read_only,
            flush: known.flush,
            discard: known.discard,
        })
    }

    fn submit<P: Page>(&mut self, id: u16, order: &Order, data: impl Iterator<Item = Piece<P>>) -> Submitted {
        let Order { command, sector, sectors } = *order;
        let (bytes, token) = (sectors.saturating_mul(SECTOR), u64::from(id));
        let sent = match command {
            Command::Read => self.client.read(sector, bytes, token),
            Command::Flush => self.client.flush(token),
            Command::Discard => self.client.discard(sector, bytes, token),
            Command::Write => match self.client.write(sector, bytes, token) {
                Err(error) => Err(error),
                Ok(mut write) => match copy_in(&mut write, data) {
                    Some(()) => {
                        write.submit();
                        Ok(())
                    }
                    None => Err(Error::Range),
                },
            },
        };
        match sent {
            Ok(()) => Submitted::Taken,
            Err(Error::Full | Error::Down) => Submitted::Full,
            Err(Error::Unsupported) => Submitted::NotSupported,
            Err(_) => Submitted::Failed,
        }
    }

    fn complete<P: Page, I: Iterator<Item = Piece<P>>>(&mut self, data: impl FnOnce(&Done) -> I) -> Option<Done> {
        let completion = self.client.completed()?;
        let outcome = match completion.status() {
            Status::Done => Outcome::Okay,
            Status::Unsupported => Outcome::NotSupported,
            Status::Failed | Status::Invalid | Status::ReadOnly => Outcome::Failed,
        };
        let mut done = Done { id: completion.token() as u16, outcome };
        let pieces = data(&done);
        if completion.operation() == Operation::Read
            && outcome == Outcome::Okay
            && copy_out(&completion, pieces).is_none()
        {
            done.outcome = Outcome::Failed;
        }
        Some(done)
    }

    fn settle(&mut self) -> bool {
        self.notify();
        self.client.may_sleep()
    }
}

/// Copies from the guest's pages.
fn copy_in<P: Page>(write: &mut Write<'_, Volatile>, data: impl Iterator<Item = Piece<P>>) -> Option<()> {
    let mut done = 0;
    let mut chunk = [0; CHUNK];
    for Piece { page, at, bytes } in data {
        for offset in (0..usize::from(bytes)).step_by(CHUNK) {
            let part = chunk.get_mut(..CHUNK.min(usize::from(bytes) - offset))?;
            page.copy_out(usize::from(at) + offset, part);
            write.copy_in(done, part)?;
            done += part.len() as u64;
        }
    }
    Some(())
}

/// Copies to the guest's pages.
fn copy_out<P: Page>(completion: &Completion<'_, Volatile>, data: impl Iterator<Item = Piece<P>>) -> Option<()> {
    let mut done = 0;
    let mut chunk = [0; CHUNK];
    for Piece { page, at, bytes } in data {
        for offset in (0..usize::from(bytes)).step_by(CHUNK) {
            let part = chunk.get_mut(..CHUNK.min(usize::from(bytes) - offset))?;
            completion.copy_out(done, part)?;
            page.copy_in(usize::from(at) + offset, part);
            done += part.len() as u64;
        }
    }
    Some(())
}
