// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What is known of each frame of the guest's.
//!
//! ```text
//!   15 ......... 4   3     2 1 0
//!   links          pinned  level   0: no table; else the kernel has one for it
//! ```
//! Links are the guest's entries, in tables that the kernel knows of, that lead here. They tell when
//! a table is done with. The most that there is room for stays (then the kernel is asked): the
//! kernel's own counts decide, these spare the question.

use super::entry::LINE;

/// Where links are counted.
const LINK: u16 = 1 << 4;
/// More of them than can be told.
const MANY: u16 = u16::MAX / LINK;
/// The guest has pinned it.
const PINNED: u16 = 1 << 3;
/// Its level.
const LEVEL: u16 = 7;

/// Tables above level 1 whose lines are remembered.
const REMEMBERED: usize = 512;

/// A word for each frame.
#[derive(Debug)]
pub(super) struct Book<'a> {
    words: &'a mut [u16],
    /// Of some tables above level 1, by the frame's last bits: the frame, and the lines that have links. So who
    /// takes a table apart need not look through it again.
    lines: [(u64, u64); REMEMBERED],
    /// Tables that there are, and the most there ever were.
    pub(super) tables: u32,
    pub(super) most: u32,
}

impl<'a> Book<'a> {
    pub(super) fn new(words: &'a mut [u16]) -> Self {
        words.fill(0);
        Self { words, lines: [(u64::MAX, 0); REMEMBERED], tables: 0, most: 0 }
    }

    /// How many frames the guest has.
    #[inline]
    pub(super) const fn frames(&self) -> u64 {
        self.words.len() as u64
    }

    #[inline]
    fn word(&self, frame: u64) -> u16 {
        self.words.get(frame as usize).copied().unwrap_or(0)
    }

    fn change(&mut self, frame: u64, change: impl FnOnce(u16) -> u16) {
        if let Some(word) = self.words.get_mut(frame as usize) {
            *word = change(*word);
        }
    }

    /// The level of the table in a frame; 0: there is none.
    #[inline]
    pub(super) fn level(&self, frame: u64) -> u8 {
        (self.word(frame) & LEVEL) as u8
    }

    /// Notes that the kernel has a table for it now.
    pub(super) fn created(&mut self, frame: u64, level: u8) {
        self.change(frame, |_| u16::from(level));
        self.tables += 1;
        self.most = self.most.max(self.tables);
    }

    /// Notes that it has none any more.
    pub(super) fn destroyed(&mut self, frame: u64) {
        self.change(frame, |_| 0);
        self.tables = self.tables.saturating_sub(1);
    }

    pub(super) fn is_pinned(&self, frame: u64) -> bool {
        self.word(frame) & PINNED != 0
    }

    pub(super) fn pin(&mut self, frame: u64, pinned: bool) {
        self.change(frame, |word| word & !PINNED | if pinned { PINNED } else { 0 });
    }

    /// One more entry leads to a table, if there is one of that level.
    #[inline(always)]
    pub(super) fn link(&mut self, frame: u64, level: u8) -> bool {
        let Some(word) = self.words.get_mut(frame as usize).filter(|word| **word & LEVEL == u16::from(level)) else {
            return false;
        };
        *word = word.checked_add(LINK).unwrap_or(*word);
        true
    }

    /// One less. Whether nothing that is known keeps the table then.
    #[inline(always)]
    pub(super) fn unlink(&mut self, frame: u64) -> bool {
        let Some(word) = self.words.get_mut(frame as usize) else { return false };
        if (LINK..MANY * LINK).contains(word) {
            *word -= LINK;
        }
        is_loose(*word)
    }

    /// Whether nothing that is known keeps the table in a frame.
    #[inline]
    pub(super) fn is_loose(&self, frame: u64) -> bool {
        is_loose(self.word(frame))
    }

    /// Remembers the lines of a table that have links.
    pub(super) fn remember(&mut self, frame: u64, lines: u64) {
        self.lines[frame as usize % REMEMBERED] = (frame, lines);
    }

    /// Another entry of a table is a link.
    pub(super) fn remember_entry(&mut self, frame: u64, index: u64) {
        let (of, lines) = &mut self.lines[frame as usize % REMEMBERED];
        if *of == frame {
            *lines |= 1 << (index / LINE);
        }
    }

    /// The lines of a table that have links, if that is known; not any more.
    pub(super) fn recall(&mut self, frame: u64) -> Option<u64> {
        let place = &mut self.lines[frame as usize % REMEMBERED];
        (place.0 == frame).then(|| core::mem::replace(place, (u64::MAX, 0)).1)
    }
}

#[inline]
const fn is_loose(word: u16) -> bool {
    word & LEVEL != 0 && word & PINNED == 0 && matches!(word / LINK, 0 | MANY)
}
