// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A request of `xen-blkfront`, and what is wrong with it.

use heapless::Vec;

use crate::abi::block::{
    DISCARD_COUNT, ENTRY, FIRST, ID, INDIRECT, INDIRECT_PER_PAGE, OPERATION, Operation, SEGMENT, SEGMENTS,
};
use crate::devices::disk::{Command, Geometry, Order};
use crate::devices::ring::Ring;
use crate::grants::{Grants, Use};
use crate::memory::{Frames, Page};

/// Segments that a request has at most: a page each.
pub const SEGMENTS_MAX: usize = 32;
/// Words of an entry.
const WORDS: usize = ENTRY / 8;

/// A request that can't be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// There is no such thing here.
    NotSupported,
    /// It makes no sense, or is not allowed.
    Wrong,
}

/// A part of the data: sectors of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) frame: u32,
    pub(super) first: u8,
    /// Not before `first`, and in the page.
    last: u8,
}

impl Segment {
    pub(super) const fn sectors(self) -> u64 {
        (self.last - self.first + 1) as u64
    }
}

/// A request that can be done, its segments aside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) id: u64,
    /// What the answer is to say.
    pub(super) operation: Operation,
    pub(super) order: Order,
}

/// A copy of an entry.
pub(super) struct Raw([u64; WORDS]);

impl Raw {
    /// The next request.
    pub(super) fn of<P: Page>(ring: &Ring<P>) -> Self {
        Self(core::array::from_fn(|word| ring.load64(0, word * 8)))
    }

    /// 64 bits at a byte that is a multiple of 4.
    fn word(&self, at: usize) -> u64 {
        let half = |at: usize| self.0.get(at / 8).map_or(0, |word| word >> (at % 8 * 8)) & 0xffff_ffff;
        half(at) | half(at + 4) << 32
    }

    /// The request's number.
    pub(super) fn id(&self) -> u64 {
        self.word(ID)
    }

    /// The operation that the answer is to name: for an indirect request, that within.
    pub(super) fn operation(&self) -> u32 {
        let head = self.word(OPERATION);
        let outer = head as u8;
        u32::from(if u32::from(outer) == Operation::Indirect.number() { (head >> 8) as u8 } else { outer })
    }

    /// Looks at a request, and finds its segments.
    pub(super) fn parse<P: Page>(
        &self,
        geometry: &Geometry,
        guest: &impl Frames<Page = P>,
        grants: &Grants<P>,
        segments: &mut Vec<Segment, SEGMENTS_MAX, u8>,
    ) -> Result<Request, Unfit> {
        segments.clear();
        let head = self.word(OPERATION);
        let outer = Operation::from_number(head & 0xff).ok_or(Unfit::NotSupported)?;
        let inner = Operation::from_number(self.operation().into()).ok_or(Unfit::NotSupported)?;
        let (id, sector) = (self.id(), self.word(FIRST));
        let mut order = Order { command: Command::Flush, sector: 0, sectors: 0 };
        match (outer, inner) {
            (Operation::Read | Operation::Write | Operation::Indirect, Operation::Read | Operation::Write) => {
                let reads = inner == Operation::Read;
                let wanted = if reads { Use::Write } else { Use::Read };
                let mut add = |entry: u64| add(entry, wanted, guest, grants, segments);
                if outer == Operation::Indirect {
                    self.each_indirect(guest, grants, &mut add)?;
                } else {
                    let count = (head >> 8) as usize & 0xff;
                    if count > SEGMENTS {
                        return Err(Unfit::Wrong);
                    }
                    (0..count).try_for_each(|index| add(self.word(SEGMENT + 8 * index)))?;
                }
                let command = if reads { Command::Read } else { Command::Write };
                let sectors = segments.iter().map(|segment| segment.sectors()).sum();
                order = Order { command, sector, sectors };
            }
            (Operation::Flush, _) if !geometry.flush => return Err(Unfit::NotSupported),
            (Operation::Flush, _) if head >> 8 & 0xff != 0 => return Err(Unfit::Wrong),
            (Operation::Flush, _) => {}
            (Operation::Discard, _) if !geometry.discard => return Err(Unfit::NotSupported),
            (Operation::Discard, _) => {
                order = Order { command: Command::Discard, sector, sectors: self.word(DISCARD_COUNT) };
            }
            (Operation::Barrier, _) => return Err(Unfit::NotSupported),
            (Operation::Indirect | Operation::Read | Operation::Write, _) => return Err(Unfit::Wrong),
        }
        check(&order, geometry)?;
        Ok(Request { id, operation: inner, order })
    }

    /// Goes through the segments of an indirect request, which are in pages of their own.
    fn each_indirect<P: Page>(
        &self,
        guest: &impl Frames<Page = P>,
        grants: &Grants<P>,
        add: &mut impl FnMut(u64) -> Result<(), Unfit>,
    ) -> Result<(), Unfit> {
        let count = self.word(OPERATION) >> 16 & 0xffff;
        if count > SEGMENTS_MAX as u64 {
            return Err(Unfit::Wrong);
        }
        const { assert!(SEGMENTS_MAX as u64 <= INDIRECT_PER_PAGE) };
        let reference = self.word(INDIRECT) as u32;
        let page = grants.page(reference, Use::Read, guest).map_err(|_| Unfit::Wrong)?;
        (0..count as usize).try_for_each(|index| add(page.load64(8 * index)))
    }
}

/// Adds a segment: reference, first and last sector.
fn add<P: Page>(
    entry: u64,
    wanted: Use,
    guest: &impl Frames<Page = P>,
    grants: &Grants<P>,
    segments: &mut Vec<Segment, SEGMENTS_MAX, u8>,
) -> Result<(), Unfit> {
    let (first, last) = ((entry >> 32) as u8, (entry >> 40) as u8);
    if first > last || last > 7 {
        return Err(Unfit::Wrong);
    }
    let frame = grants.find(entry as u32, wanted).map_err(|_| Unfit::Wrong)?;
    guest.page(frame).ok_or(Unfit::Wrong)?;
    let frame = u32::try_from(frame).map_err(|_| Unfit::Wrong)?;
    segments.push(Segment { frame, first, last }).map_err(|_| Unfit::Wrong)
}

/// Whether the disk has these sectors, and may be used so.
fn check(order: &Order, geometry: &Geometry) -> Result<(), Unfit> {
    let Order { command, sector, sectors } = *order;
    if command == Command::Flush {
        return Ok(());
    }
    let unit = u64::from(geometry.block / 512).max(1);
    let within = sector.checked_add(sectors).is_some_and(|end| end <= geometry.sectors);
    let whole = sector.is_multiple_of(unit) && sectors.is_multiple_of(unit);
    let allowed = command == Command::Read || !geometry.read_only;
    if sectors > 0 && within && whole && allowed { Ok(()) } else { Err(Unfit::Wrong) }
}
