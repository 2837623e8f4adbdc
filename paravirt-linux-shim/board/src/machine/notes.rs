// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Odd things that a guest does, each reported once.
//!
//! A driver that probes for a device that isn't there does so thousands of times; one line in the
//! log says all. What has been reported is remembered in a table of fixed size: when it is full,
//! the rest is only counted.

use core::fmt;

use heapless::Vec;

use crate::exit::SysReg;

/// How many different odd things are reported.
const REMEMBERED: usize = 32;

/// Something odd that the guest did, and what it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// It read where there is no register (the address); it got 0.
    Read(u64),
    /// It wrote where there is no register (the address); ignored.
    Write(u64),
    /// It touched a system register that nobody expected; reads gave 0.
    SystemRegister(SysReg),
    /// It called a firmware function that doesn't exist (its number); it got "not supported".
    Call(u32),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(ipa) => write!(f, "guest read {ipa:#x}, where there is nothing: it got 0"),
            Self::Write(ipa) => write!(f, "guest wrote to {ipa:#x}, where there is nothing: ignored"),
            Self::SystemRegister(register) => write!(f, "guest used the system register {register}: hidden from it"),
            Self::Call(function) => write!(f, "guest called the firmware function {function:#x}: not supported"),
        }
    }
}

/// The odd things so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    notes: Vec<Note, REMEMBERED>,
    total: u64,
}

impl Seen {
    /// Counts `note` and tells whether it is new (and fits the table).
    pub fn is_first(&mut self, note: Note) -> bool {
        self.total = self.total.saturating_add(1);
        !self.notes.contains(&note) && self.notes.push(note).is_ok()
    }

    /// Returns how many there were, repeated ones included.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }
}
