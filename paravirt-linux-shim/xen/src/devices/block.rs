// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A virtual disk, as `xen-blkfront` uses it: from the ring of requests to a [`Disk`] and back.
//!
//! ```text
//!   ring ─▶ Request ─▶ segments: references ─▶ frames ─▶ Disk::submit ─┐ slot
//!   ring ◀─ answer, operation of the request ◀─ Disk::done, finish ◀───┘
//! ```
//! An entry is copied before it is looked at. A request that makes no sense is answered with an
//! error; one for which the disk has no room stays in the ring, and is read anew the next time. A
//! frame is written to only while an answer is made: nothing of a request that the guest has left
//! (its frontend has gone) can land in its memory later.

mod request;

use heapless::Vec;

use super::disk::{Command, Disk, Done, Geometry, ORDERS_MAX, Outcome, Piece, Submitted};
use super::ring::{Broken, Ring};
use crate::abi::block::{ENTRY, Operation, SECTOR, status};
use crate::grants::Grants;
use crate::memory::{Frames, Page};
use request::{Raw, Request, Segment, Unfit};

pub use request::SEGMENTS_MAX;

/// A request under way.
#[derive(Debug)]
struct Slot {
    state: State,
    id: u64,
    operation: Operation,
    segments: Vec<Segment, SEGMENTS_MAX, u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Busy,
    /// Whoever asked for it has gone.
    Left,
}

/// A disk's requests.
#[derive(Debug)]
pub struct Block<P> {
    ring: Option<Ring<P>>,
    slots: [Slot; ORDERS_MAX],
}

/// What is to be done after serving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The guest wants to be told.
    pub raise: bool,
    /// There is more to do at once.
    pub more: bool,
    /// The guest's ring makes no sense: nothing more is done for it.
    pub broken: bool,
}

impl<P: Page> Default for Block<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Page> Block<P> {
    /// Without a ring.
    #[must_use]
    pub const fn new() -> Self {
        const FREE: Slot = Slot { state: State::Free, id: 0, operation: Operation::Read, segments: Vec::new() };
        Self { ring: None, slots: [FREE; ORDERS_MAX] }
    }

    /// Begins with the ring in `page`.
    pub fn connect(&mut self, page: P) {
        self.disconnect();
        self.ring = Some(Ring::new(page, ENTRY));
    }

    /// Leaves the ring. What is under way is not answered any more.
    pub fn disconnect(&mut self) {
        self.ring = None;
        for slot in self.slots.iter_mut().filter(|slot| slot.state == State::Busy) {
            slot.state = State::Left;
        }
    }

    /// Answers what is done, and takes requests.
    pub fn serve(&mut self, disk: &mut impl Disk, guest: &impl Frames<Page = P>, grants: &Grants<P>) -> Served {
        self.finish(disk, guest);
        let more = self.begin(disk, guest, grants);
        if more.is_err() {
            self.disconnect();
        }
        let raise = self.ring.as_mut().is_some_and(Ring::publish);
        Served { raise, more: !disk.settle() || more == Ok(true), broken: more.is_err() }
    }

    /// Answers what is done.
    fn finish(&mut self, disk: &mut impl Disk, guest: &impl Frames<Page = P>) {
        let slots = &mut self.slots;
        for _ in 0..ORDERS_MAX {
            let data = |done: &Done| {
                let slot = slots.get(usize::from(done.id));
                let reads = |slot: &&Slot| slot.state == State::Busy && slot.operation == Operation::Read;
                let wanted = slot.filter(reads).filter(|_| done.outcome == Outcome::Okay);
                pieces(wanted.map_or(&[], |slot| slot.segments.as_slice()), guest)
            };
            let Some(Done { id, outcome }) = disk.complete(data) else { break };
            let Some(slot) = slots.get_mut(usize::from(id)) else { break };
            if slot.state == State::Busy
                && let Some(ring) = &mut self.ring
            {
                answer(ring, slot.id, slot.operation.number(), status_of(outcome));
            }
            slot.state = State::Free;
        }
    }

    /// Takes requests. True: more have come meanwhile.
    fn begin(
        &mut self,
        disk: &mut impl Disk,
        guest: &impl Frames<Page = P>,
        grants: &Grants<P>,
    ) -> Result<bool, Broken> {
        let (Some(ring), Some(geometry)) = (&mut self.ring, disk.geometry()) else { return Ok(false) };
        let waiting = ring.waiting()?;
        for _ in 0..waiting {
            let Some((number, slot)) = (0u16..).zip(&mut self.slots).find(|(_, slot)| slot.state == State::Free) else {
                // An answer frees one, and comes by here.
                return Ok(false);
            };
            let raw = Raw::of(ring);
            let (id, operation) = (raw.id(), raw.operation());
            match begin_one(&raw, number, slot, disk, &geometry, guest, grants) {
                Ok(()) => ring.take(1),
                Err(Refused::Full) => return Ok(false),
                Err(Refused::With(status)) => {
                    ring.take(1);
                    answer(ring, id, operation, status);
                }
            }
        }
        ring.ask(1)
    }
}

/// A request that is not under way.
enum Refused {
    /// Not now.
    Full,
    /// Not at all.
    With(i16),
}

impl From<Unfit> for Refused {
    fn from(unfit: Unfit) -> Self {
        Self::With(match unfit {
            Unfit::NotSupported => status::NOT_SUPPORTED,
            Unfit::Wrong => status::ERROR,
        })
    }
}

/// Puts a request under way.
fn begin_one<P: Page>(
    raw: &Raw,
    number: u16,
    slot: &mut Slot,
    disk: &mut impl Disk,
    geometry: &Geometry,
    guest: &impl Frames<Page = P>,
    grants: &Grants<P>,
) -> Result<(), Refused> {
    let Request { id, operation, order } = raw.parse(geometry, guest, grants, &mut slot.segments)?;
    let data = if order.command == Command::Write { slot.segments.as_slice() } else { &[] };
    match disk.submit(number, &order, pieces(data, guest)) {
        Submitted::Taken => {
            (slot.state, slot.id, slot.operation) = (State::Busy, id, operation);
            Ok(())
        }
        Submitted::Full => Err(Refused::Full),
        Submitted::NotSupported => Err(Refused::With(status::NOT_SUPPORTED)),
        Submitted::Failed => Err(Refused::With(status::ERROR)),
    }
}

/// Where the bytes of segments are. Their frames were there when the request came, and stay.
fn pieces<P: Page>(segments: &[Segment], guest: &impl Frames<Page = P>) -> impl Iterator<Item = Piece<P>> {
    segments.iter().filter_map(|segment| {
        let page = guest.page(segment.frame.into())?;
        let at = u16::from(segment.first) * SECTOR as u16;
        let bytes = segment.sectors() as u16 * SECTOR as u16;
        Some(Piece { page, at, bytes })
    })
}

const fn status_of(outcome: Outcome) -> i16 {
    match outcome {
        Outcome::Okay => status::OKAY,
        Outcome::Failed => status::ERROR,
        Outcome::NotSupported => status::NOT_SUPPORTED,
    }
}

/// Answers: the request's number, its operation, and how it went.
fn answer<P: Page>(ring: &mut Ring<P>, id: u64, operation: u32, status: i16) {
    let how = u32::from(status.cast_unsigned()) << 16 | operation & 0xff;
    ring.answer(&[id as u32, (id >> 32) as u32, how]);
}
