// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Descriptors: what the kernel knows of each frame of the pool.

use crate::Error;

/// Where a table is in its life (drawn in the crate's head).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// In the free list, all zero.
    #[default]
    Free,
    /// Created, and some lines are yet to be read: can't be linked.
    Filling,
    /// In use.
    Ready,
    /// Some lines are yet to be cleared.
    Dying,
}

/// What a root is for. Fixed when it first becomes a vCPU's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The host context: guest kernel and shim, one domain of trust. Slots 256–271: kernel and shim.
    Kernel = 0,
    /// The guest context: the guest's user programs. Slots 256–271: the kernel alone.
    User = 1,
}

/// A frame of the pool. Its default is one that no list has yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Descriptor {
    pub(crate) state: State,
    /// 1: entries lead to memory; 4: a root.
    pub(crate) level: u8,
    /// Of a root that was in use.
    pub(crate) kind: Option<Kind>,
    /// In use: the guest frame. Free: the next free table, 0 if there is none.
    pub(crate) link: u32,
    /// Entries that lead here, and vCPUs whose root it is.
    pub(crate) refs: u32,
    /// Lines in which something was put.
    pub(crate) lines: u64,
    /// Lines yet to be read (filling, ready) or cleared (dying).
    pub(crate) todo: u64,
    /// In use: where the guest's table lies. Free: the generation in which it was freed.
    pub(crate) place: u64,
}

impl Descriptor {
    /// Whether an entry may lead here that needs a table of this level.
    #[inline(always)]
    pub(crate) const fn linkable(&self, level: u8) -> Result<(), Error> {
        if matches!(self.state, State::Ready) && self.level == level { Ok(()) } else { Err(self.obstacle(level)) }
    }

    /// Why not.
    #[cold]
    const fn obstacle(&self, level: u8) -> Error {
        if matches!(self.state, State::Free | State::Dying) {
            Error::NoTable
        } else if self.level == level {
            Error::NotReady
        } else {
            Error::WrongLevel
        }
    }

    /// Whether something has to be written to put `word` there; marks the line, if so.
    #[inline]
    pub(crate) const fn uses(&mut self, index: usize, word: u64) -> bool {
        let line = 1 << (index / LINE);
        if word == 0 && self.lines & line == 0 {
            return false;
        }
        self.lines |= line;
        true
    }
}

/// Entries in a line: a line of the cache, and a bit of `lines`.
pub(crate) const LINE: usize = 8;

/// The lowest line of a set, as the indices of its entries.
pub(crate) fn first_line(lines: u64) -> Option<core::ops::Range<usize>> {
    let first = lines.trailing_zeros() as usize * LINE;
    (lines != 0).then_some(first..first + LINE)
}
