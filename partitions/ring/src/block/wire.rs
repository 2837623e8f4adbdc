// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Requests, responses and parameters, as words.

use crate::Error;
use crate::connection::Connection;
use crate::layout::{self, join, split};
use crate::memory::Memory;

/// Requests in flight, and entries of each ring.
pub const REQUESTS: u32 = 64;
/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// Bytes of a slot of data: each request has slots of its own, in one piece.
pub const SLOT: u64 = 4096;
/// The most bytes that a read or write moves.
pub const MAX_BYTES: u64 = 128 << 10;
/// Bytes of an entry, of both rings.
const ENTRY: u64 = 32;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Operation {
    /// From the disk to the server's area.
    Read = 0,
    /// From the client's area to the disk.
    Write = 1,
    /// What was written is to be on stable storage.
    Flush = 2,
    /// The sectors' content isn't needed any more.
    Discard = 3,
}

impl Operation {
    /// The operation of that number.
    fn of(number: u32) -> Option<Self> {
        [Self::Read, Self::Write, Self::Flush, Self::Discard].into_iter().find(|operation| *operation as u32 == number)
    }

    /// Whether data are moved.
    pub(super) fn moves(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Done.
    Done = 0,
    /// The device failed.
    Failed = 1,
    /// The server does not do that.
    Unsupported = 2,
    /// The request breaks the rules: a range, a size, an id.
    Invalid = 3,
    /// The disk may only be read.
    ReadOnly = 4,
}

impl Status {
    /// The status of that number; one that nobody knows is a failure.
    fn of(number: u32) -> Self {
        let known = [Self::Done, Self::Unsupported, Self::Invalid, Self::ReadOnly];
        known.into_iter().find(|status| *status as u32 == number).unwrap_or(Self::Failed)
    }

    /// As a result.
    ///
    /// # Errors
    /// What it says, if it isn't `Done`.
    pub fn result(self) -> Result<(), Error> {
        match self {
            Self::Done => Ok(()),
            Self::Failed => Err(Error::Device),
            Self::Unsupported => Err(Error::Unsupported),
            Self::Invalid => Err(Error::Range),
            Self::ReadOnly => Err(Error::ReadOnly),
        }
    }
}

/// What a disk is, as its server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Its size, in sectors of 512 bytes.
    pub sectors: u64,
    /// Bytes of a block: reads and writes move whole ones. A power of two, 512 to 4096.
    pub block: u32,
    /// Bytes that the device moves best at a time: a power of two, at least `block`.
    pub physical: u32,
    /// The most bytes of a read or write.
    pub max_bytes: u32,
    /// It may only be read.
    pub read_only: bool,
    /// It has a cache that flushes empty.
    pub flush: bool,
    /// Discards are done.
    pub discard: bool,
}

impl Geometry {
    /// A disk of so many sectors, which is read and written.
    pub const fn new(sectors: u64) -> Self {
        let max_bytes = MAX_BYTES as u32;
        Self { sectors, block: 512, physical: 512, max_bytes, read_only: false, flush: true, discard: false }
    }

    /// Stores it as parameters.
    pub(super) fn tell<M: Memory>(&self, link: &Connection<M>) {
        let flags = u32::from(self.read_only) | u32::from(self.flush) << 1 | u32::from(self.discard) << 2;
        link.set_parameter(0, self.sectors);
        link.set_parameter(1, join(self.physical, self.block));
        link.set_parameter(2, join(self.max_bytes, flags));
    }

    /// Copies the peer's parameters and checks them. `None` if they make no sense.
    pub(super) fn learn<M: Memory>(link: &Connection<M>) -> Option<Self> {
        let sectors = link.parameter(0);
        let (physical, block) = split(link.parameter(1));
        let (max_bytes, flags) = split(link.parameter(2));
        let bit = |n: u32| flags >> n & 1 != 0;
        let geometry = Self { sectors, block, physical, max_bytes, read_only: bit(0), flush: bit(1), discard: bit(2) };
        geometry.is_sound().then_some(geometry)
    }

    /// Whether it can be the geometry of a disk.
    pub(super) fn is_sound(&self) -> bool {
        let block = self.block.is_power_of_two() && (512..=4096).contains(&self.block);
        let physical = self.physical.is_power_of_two() && self.physical >= self.block;
        block && physical && self.max_bytes >= self.block && self.sectors <= u64::MAX / SECTOR
    }

    /// Whether a request may be done, as far as the disk goes.
    pub(super) fn check(&self, operation: Operation, sector: u64, bytes: u64) -> Status {
        let within = || {
            let block = u64::from(self.block);
            let first = sector.checked_mul(SECTOR);
            let end = first.and_then(|first| first.checked_add(bytes));
            let inside = end.is_some_and(|end| end <= self.sectors.saturating_mul(SECTOR));
            inside
                && bytes != 0
                && bytes.is_multiple_of(block)
                && first.is_some_and(|first| first.is_multiple_of(block))
        };
        match operation {
            Operation::Flush => Status::Done,
            Operation::Write | Operation::Discard if self.read_only => Status::ReadOnly,
            Operation::Discard if !self.discard => Status::Unsupported,
            Operation::Discard if within() => Status::Done,
            Operation::Read | Operation::Write if within() && bytes <= u64::from(self.max_bytes).min(MAX_BYTES) => {
                Status::Done
            }
            _ => Status::Invalid,
        }
    }
}

/// A request as it stands in the ring, copied out and not checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) id: u32,
    pub(super) operation: Option<Operation>,
    pub(super) sector: u64,
    pub(super) bytes: u64,
    pub(super) offset: u64,
}

/// Where an entry lies.
fn place(index: u32) -> u64 {
    layout::RING + ENTRY * u64::from(index)
}

/// Stores a request.
pub(super) fn store_request<M: Memory>(link: &Connection<M>, operation: Operation, entry: &Entry) {
    let at = place(link.next_out());
    link.ours.0.store(at, join(operation as u32, entry.id));
    link.ours.0.store(at + 8, entry.sector);
    link.ours.0.store(at + 16, entry.bytes);
    link.ours.0.store(at + 24, entry.offset);
}

/// Copies the next request out: each word is loaded once.
pub(super) fn load_request<M: Memory>(link: &Connection<M>) -> Entry {
    let at = place(link.next_in());
    let (operation, id) = split(link.theirs.load(at));
    Entry {
        id,
        operation: Operation::of(operation),
        sector: link.theirs.load(at + 8),
        bytes: link.theirs.load(at + 16),
        offset: link.theirs.load(at + 24),
    }
}

/// Stores a response.
pub(super) fn store_response<M: Memory>(link: &Connection<M>, id: u32, status: Status) {
    link.ours.0.store(place(link.next_out()), join(status as u32, id));
}

/// Copies the next response out.
pub(super) fn load_response<M: Memory>(link: &Connection<M>) -> (u32, Status) {
    let (status, id) = split(link.theirs.load(place(link.next_in())));
    (id, Status::of(status))
}
