// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the service should be: maps of what the guest was granted, without counts, lists or bits.

use super::world::{CORES, COUNT, NAMES, place};
use crate::Error;
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Filling,
    Ready,
    Dying,
}

/// The kernel's table for a frame, in the guest's words.
#[derive(Clone, Debug)]
pub(super) struct Shadow {
    pub(super) level: u64,
    pub(super) state: State,
    /// Lines yet to be read or cleared.
    pub(super) todo: u64,
    /// Lines that were ever used.
    pub(super) lines: u64,
    /// 0: kernel, 1: user.
    pub(super) kind: Option<usize>,
    /// Entries as the guest wrote them, and as they were accepted.
    pub(super) entries: BTreeMap<usize, u64>,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) tables: BTreeMap<u64, Shadow>,
    pub(super) roots: [[Option<u64>; 2]; CORES],
}

const RESERVED: std::ops::Range<usize> = 256..272;

fn frame(entry: u64) -> u64 {
    entry << 12 >> 24
}

impl Model {
    fn live(&self, frame: u64) -> Result<&Shadow, Error> {
        self.tables.get(&frame).filter(|table| table.state != State::Dying).ok_or(Error::NoTable)
    }

    fn linkable(&self, frame: u64, level: u64) -> Result<(), Error> {
        let table = self.live(frame)?;
        match table.state {
            _ if table.level != level => Err(Error::WrongLevel),
            State::Ready => Ok(()),
            _ => Err(Error::NotReady),
        }
    }

    pub(super) fn references(&self, to: u64) -> usize {
        let upper = self.tables.values().filter(|table| table.level > 1);
        let entries = upper.flat_map(|table| table.entries.values()).filter(|entry| frame(**entry) == to);
        entries.count() + self.roots.iter().flatten().filter(|root| **root == Some(to)).count()
    }

    pub(super) fn create(&mut self, frame: u64, level: u64, lines: u64) -> Result<(), Error> {
        match self.tables.contains_key(&frame) {
            _ if !(1..=4).contains(&level) => return Err(Error::OutOfRange),
            true => return Err(Error::Exists),
            _ if place(frame).is_none() || frame >= NAMES as u64 => return Err(Error::NotYours),
            _ if self.tables.len() == COUNT - 1 => return Err(Error::PoolEmpty),
            _ => {}
        }
        let (state, entries) = (State::Filling, BTreeMap::new());
        self.tables.insert(frame, Shadow { level, state, todo: lines, lines: 0, kind: None, entries });
        Ok(())
    }

    /// What a step of filling does, `guest` being the frame's content, after which the lines in `left` are to be
    /// done: how many are, is the service's affair, but one at least.
    pub(super) fn fill(&mut self, frame: u64, lines: u64, guest: &[u64; 512], left: u64) -> Result<bool, Error> {
        let table = self.live(frame)?;
        let mut todo = table.todo | lines;
        assert!(left & !todo == 0 && (todo == 0 || left != todo), "{left:#x} of {todo:#x}");
        let mut result = Ok(());
        while todo != left {
            let line = (todo & !left).trailing_zeros() as usize;
            todo &= !(1 << line);
            for (index, entry) in guest.iter().enumerate().skip(line * 8).take(8) {
                result = result.and(self.read(frame, index, *entry));
            }
        }
        let table = self.tables.get_mut(&frame).unwrap();
        table.todo = todo;
        if todo == 0 {
            table.state = State::Ready;
        }
        result.map(|()| todo == 0)
    }

    /// An entry from the guest's memory.
    pub(super) fn read(&mut self, frame: u64, index: usize, entry: u64) -> Result<(), Error> {
        let result = self.write(frame, index, entry);
        if result.is_err() && self.live(frame).is_ok() {
            self.write(frame, index, 0).unwrap();
        }
        result
    }

    pub(super) fn write(&mut self, at: u64, index: usize, entry: u64) -> Result<(), Error> {
        let level = self.live(at)?.level;
        let present = entry & 1 != 0;
        if level == 4 && RESERVED.contains(&index) {
            return if present { Err(Error::Reserved) } else { Ok(()) };
        }
        let mut granted = present;
        if level == 1 {
            granted &= entry & 0x20 != 0;
            if granted {
                place(frame(entry)).ok_or(Error::NotYours)?;
            }
        } else if present {
            if entry & 0x80 != 0 {
                return Err(Error::Malformed);
            }
            self.linkable(frame(entry), level - 1)?;
        }
        let table = self.tables.get_mut(&at).unwrap();
        table.entries.remove(&index);
        if granted {
            table.entries.insert(index, entry);
            table.lines |= 1 << (index / 8);
        }
        Ok(())
    }

    /// A step of destroying; whether it was the last.
    pub(super) fn destroy(&mut self, frame: u64) -> Result<bool, Error> {
        let references = self.references(frame);
        let table = self.tables.get_mut(&frame).ok_or(Error::NoTable)?;
        if references > 0 {
            return Err(Error::InUse);
        }
        if table.state != State::Dying {
            table.state = State::Dying;
            table.todo = table.lines;
        }
        for _ in 0..if table.level == 1 { 16 } else { 4 } {
            let line = table.todo.trailing_zeros() as usize;
            table.entries.retain(|index, _| index / 8 != line);
            table.todo &= table.todo.wrapping_sub(1);
        }
        let done = table.todo == 0;
        if done {
            self.tables.remove(&frame);
        }
        Ok(done)
    }

    pub(super) fn set_roots(&mut self, vcpu: usize, roots: [Option<u64>; 2]) -> Result<(), Error> {
        for (kind, root) in roots.into_iter().enumerate() {
            if let Some(root) = root {
                self.linkable(root, 4)?;
                if self.tables[&root].kind.is_some_and(|is| is != kind) {
                    return Err(Error::WrongKind);
                }
            }
        }
        if roots[0].is_some() && roots[0] == roots[1] {
            return Err(Error::WrongKind);
        }
        for (kind, root) in roots.into_iter().enumerate() {
            if let Some(table) = root.and_then(|root| self.tables.get_mut(&root)) {
                table.kind = Some(kind);
                table.lines |= 0b11 << 32;
            }
        }
        self.roots[vcpu] = roots;
        Ok(())
    }

    /// Where an address leads: the physical frame, writable, executable.
    pub(super) fn walk(&self, root: Option<u64>, address: u64) -> Option<(u64, bool, bool)> {
        let (mut at, mut write, mut execute) = (root?, true, true);
        for shift in [39, 30, 21, 12] {
            let entry = *self.tables[&at].entries.get(&((address >> shift) as usize % 512))?;
            at = frame(entry);
            write &= entry & 2 != 0 && (shift > 12 || entry & 0x40 != 0);
            execute &= entry >> 63 == 0;
        }
        Some((place(at)?, write && at < 64, execute && at < 64))
    }
}
