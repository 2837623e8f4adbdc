// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What all protocols share: the handshake, the indices of the two rings, and the wake hints.
//!
//! # Handshake
//! Each side has a *generation*, which counts its starts: its own area tells it of the one before,
//! for memory survives a restart. `state` says "I am generation g, connected to your generation s".
//! Two sides are connected when each names the other's generation.
//!
//! ```text
//!   client (5, 0)                     server  –          the client waits
//!   client (5, 0)                     server (1, 5)      the server starts, sees the client
//!   client (5, 1) joins               server (1, 5)      connected, as each sees
//!   client (6, 1) starts anew         server (1, 5)      not any more
//!   client (6, 1)                     server (1, 6)      … once the server has let go of all that
//!                                                        it had of generation 5
//! ```
//! A side that joins a generation sets its indices to 0 first. All index words carry a *tag* made of
//! both generations, so that a word belongs to one connection: what is left of an older one, or
//! comes from a peer that has joined a newer one, is told by its tag and counts as no news. Entries
//! and data need no tag: after a start, a side writes none before it is connected, and by then the
//! other has seen that start.
//!
//! # Wake hints
//! Who is going to sleep says how far the peer's index must come to wake it, then looks at the index
//! once more. Who advances an index looks at the hint after it. With a full fence between the two
//! accesses of each, at least one sees the other's store: either the bell rings or nobody sleeps.
//! A change of `state` rings always, and a bell is kept until somebody waits for it.

use crate::Error;
use crate::layout::{self, join, split};
use crate::memory::{Memory, Ours, Theirs};

/// What a look at the peer's `state` gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// As before.
    None,
    /// The peer has started anew, and we have not joined yet: there is something of the old
    /// connection to let go of.
    Lost,
    /// Connected, with all indices at 0: the parameters can be read.
    Up,
}

/// What an end sleeps for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    /// The peer's entries.
    pub(crate) entries: bool,
    /// Room for ours; at least so many are to be free.
    pub(crate) room: Option<u32>,
    /// Whether a new generation could be joined at once.
    pub(crate) joins: bool,
}

/// One side's view of a link.
#[derive(Debug)]
pub struct Connection<M> {
    pub(crate) ours: Ours<M>,
    pub(crate) theirs: Theirs<M>,
    /// What `protocol` has to say at the peer.
    expected: u64,
    /// Entries (or bytes) that the rings have room for: powers of two.
    out_entries: u32,
    in_entries: u32,
    generation: u32,
    /// The peer's generation that we have joined.
    peer: u32,
    up: bool,
    /// The peer has broken the rules in this generation.
    broken: bool,
    faults: u64,
    /// The bell is to ring.
    bell: bool,
    /// Ours: entries produced, those that the peer has consumed as far as we have looked.
    produced: u32,
    taken: u32,
    /// The peer's: entries produced as far as we have looked, those that we have consumed.
    announced: u32,
    consumed: u32,
    /// `produced` and `consumed` at the last look at the peer's hints.
    told_produced: u32,
    told_consumed: u32,
}

impl<M: Memory> Connection<M> {
    /// Starts: a new generation, joined to whatever the peer is.
    pub(crate) fn new(out: M, incoming: M, protocol: u32, serves: bool, entries: [u32; 2]) -> Result<Self, Error> {
        let [out_entries, in_entries] = entries;
        if out.bytes() <= layout::DATA
            || incoming.bytes() <= layout::DATA
            || entries.iter().any(|n| !n.is_power_of_two())
        {
            return Err(Error::Area);
        }
        let word = |serves| join(layout::VERSION, protocol | u32::from(serves) << 8);
        let (before, _) = split(out.load(layout::STATE));
        out.store(layout::MAGIC, layout::MAGIC_WORD);
        out.store(layout::PROTOCOL, word(serves));
        let (ours, theirs) = (Ours(out), Theirs::new(incoming));
        // 0 is "never started".
        let generation = before.wrapping_add(1).max(1);
        Ok(Self {
            ours,
            theirs,
            expected: word(!serves),
            out_entries,
            in_entries,
            generation,
            peer: 0,
            up: false,
            broken: false,
            faults: 0,
            bell: false,
            produced: 0,
            taken: 0,
            announced: 0,
            consumed: 0,
            told_produced: 0,
            told_consumed: 0,
        })
    }

    /// Shows itself, with the parameters in place. Called once, behind `new`.
    pub(crate) fn start(&mut self) {
        let (generation, _) = split(self.theirs.load_acquire(layout::STATE));
        self.join(generation);
    }

    /// Stores a parameter of ours.
    pub(crate) fn set_parameter(&self, number: u64, value: u64) {
        self.ours.0.store_release(layout::PARAMETERS + 8 * number, value);
    }

    /// A parameter of the peer's: anything.
    pub(crate) fn parameter(&self, number: u64) -> u64 {
        self.theirs.load(layout::PARAMETERS + 8 * number)
    }

    /// The tag of the words that one side writes for the other.
    fn tag(writer: u32, reader: u32) -> u32 {
        writer << 16 | reader & 0xffff
    }

    /// Stores an index of ours, behind all that it announces.
    fn publish(&self, offset: u64, index: u32) {
        self.ours.0.store_release(offset, join(Self::tag(self.generation, self.peer), index));
    }

    /// An index of the peer's; `None` if it isn't of this connection.
    fn index(&self, offset: u64) -> Option<u32> {
        let (tag, index) = split(self.theirs.load_acquire(offset));
        (tag == Self::tag(self.peer, self.generation)).then_some(index)
    }

    /// Connects to a generation of the peer's, as far as this side goes.
    fn join(&mut self, generation: u32) {
        self.peer = generation;
        (self.up, self.broken) = (false, false);
        (self.produced, self.taken, self.told_produced) = (0, 0, 0);
        (self.announced, self.consumed, self.told_consumed) = (0, 0, 0);
        self.publish(layout::PRODUCED, 0);
        self.publish(layout::CONSUMED, 0);
        // The first entry wakes us; room doesn't.
        self.publish(layout::WAKE_PRODUCED, 0);
        self.publish(layout::WAKE_CONSUMED, u32::MAX);
        self.ours.0.store_release(layout::STATE, join(self.generation, generation));
        self.bell = true;
    }

    /// The peer has broken the rules: it is not heard any more in this generation.
    pub(crate) fn blame(&mut self) {
        (self.up, self.broken) = (false, true);
        self.faults = self.faults.saturating_add(1);
    }

    /// Looks whether the peer has started anew, or has joined us. `joins`: there is nothing left of
    /// the connection before.
    pub(crate) fn poll(&mut self, joins: bool) -> Change {
        let (generation, seen) = split(self.theirs.load_acquire(layout::STATE));
        if generation != self.peer {
            self.up = false;
            if !joins {
                return Change::Lost;
            }
            self.join(generation);
        }
        if self.up && seen != self.generation {
            self.blame();
        }
        if self.up || self.broken || self.peer == 0 || seen != self.generation {
            return Change::None;
        }
        if self.theirs.load(layout::MAGIC) != layout::MAGIC_WORD || self.theirs.load(layout::PROTOCOL) != self.expected
        {
            self.blame();
            return Change::None;
        }
        self.up = true;
        Change::Up
    }

    /// Whether both sides are connected, as far as we have looked.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// How often the peer has broken the rules, since our start. An honest one never does.
    pub fn faults(&self) -> u64 {
        self.faults
    }

    /// Our generation: how often this end has started.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// How many of the peer's entries wait; looks at the peer's index only when all that it has told
    /// of before is consumed.
    pub(crate) fn available(&mut self) -> u32 {
        if self.up && self.announced == self.consumed {
            self.look();
        }
        if self.up { self.announced.wrapping_sub(self.consumed) } else { 0 }
    }

    /// Looks how many entries the peer has produced.
    pub(crate) fn look(&mut self) {
        let Some(produced) = self.index(layout::PRODUCED) else { return };
        if produced.wrapping_sub(self.consumed) > self.in_entries {
            return self.blame();
        }
        self.announced = produced;
    }

    /// The index of the next of the peer's entries; it lies at that modulo the ring's entries.
    pub(crate) fn next_in(&self) -> u32 {
        self.consumed & (self.in_entries - 1)
    }

    /// Gives entries of the peer's back, at most those available.
    pub(crate) fn consume(&mut self, entries: u32) {
        self.consumed = self.consumed.wrapping_add(entries);
        self.publish(layout::CONSUMED, self.consumed);
    }

    /// How many entries of ours the peer has not consumed; looks only if they are `limit` or more.
    pub(crate) fn unconsumed(&mut self, limit: u32) -> u32 {
        let unconsumed = self.produced.wrapping_sub(self.taken);
        if self.up
            && unconsumed >= limit
            && let Some(consumed) = self.index(layout::CONSUMED)
        {
            match consumed.wrapping_sub(self.taken) <= unconsumed {
                true => self.taken = consumed,
                false => self.blame(),
            }
        }
        self.produced.wrapping_sub(self.taken)
    }

    /// Room for entries of ours: 0 if not connected. Looks anew if it is less than `wanted`.
    pub(crate) fn room(&mut self, wanted: u32) -> u32 {
        let limit = self.out_entries.saturating_sub(wanted).saturating_add(1);
        let unconsumed = self.unconsumed(limit);
        if self.up { self.out_entries.saturating_sub(unconsumed) } else { 0 }
    }

    /// How many entries our ring has.
    pub(crate) fn out_entries(&self) -> u32 {
        self.out_entries
    }

    /// The index of our next entry, see [`Self::next_in`].
    pub(crate) fn next_out(&self) -> u32 {
        self.produced & (self.out_entries - 1)
    }

    /// Announces entries of ours, at most the room there is.
    pub(crate) fn produce(&mut self, entries: u32) {
        self.produced = self.produced.wrapping_add(entries);
        self.publish(layout::PRODUCED, self.produced);
    }

    /// Rings the bell with the next [`Self::notify`].
    pub(crate) fn want_bell(&mut self) {
        self.bell = true;
    }

    /// Whether the peer has to be woken, for all that was done since the last time. To be called
    /// after each batch, and before sleeping.
    pub(crate) fn notify(&mut self) -> bool {
        let (produced, consumed) = (self.produced != self.told_produced, self.consumed != self.told_consumed);
        if self.bell || produced || consumed {
            self.ours.0.fence();
        }
        if self.up && produced {
            self.bell |= self.passes(layout::WAKE_PRODUCED, self.told_produced, self.produced);
            self.told_produced = self.produced;
        }
        if self.up && consumed {
            self.bell |= self.passes(layout::WAKE_CONSUMED, self.told_consumed, self.consumed);
            self.told_consumed = self.consumed;
        }
        core::mem::take(&mut self.bell)
    }

    /// Whether a step of an index passes the peer's hint. A hint of another connection: the peer has
    /// something to look at in any case.
    fn passes(&self, hint: u64, from: u32, to: u32) -> bool {
        self.index(hint).is_none_or(|hint| to.wrapping_sub(hint).wrapping_sub(1) < to.wrapping_sub(from))
    }

    /// Whether there is nothing to do before the peer's bell rings. Sets the hints, so that it does.
    pub(crate) fn may_sleep(&mut self, interest: Interest) -> bool {
        if self.bell {
            return false;
        }
        if self.up {
            // Consumed means looked at: the hint is where the news begin.
            self.publish(layout::WAKE_PRODUCED, self.consumed);
            if let Some(room) = interest.room {
                let used = self.out_entries.saturating_sub(room);
                let hint = self.produced.wrapping_sub(used).wrapping_sub(1);
                self.publish(layout::WAKE_CONSUMED, hint);
            }
            self.ours.0.fence();
        }
        let (generation, seen) = split(self.theirs.load_acquire(layout::STATE));
        if generation != self.peer {
            return !interest.joins;
        }
        if !self.up {
            return self.broken || self.peer == 0 || seen != self.generation;
        }
        let waiting = interest.entries && self.available() > 0;
        let room = interest.room.is_some_and(|room| self.room(room) >= room);
        self.up && seen == self.generation && !waiting && !room
    }
}
