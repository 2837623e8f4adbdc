// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A writer of flattened device trees, version 17 (Devicetree Specification 0.4, chapter 5),
//! without a heap.
//!
//! ```text
//!   header (40) │ no reservations (16) │ structure: nodes, properties │ strings: names of properties
//! ```
//! The structure is written as the calls come; names are remembered (each once) and written at the
//! end. Running out of room is remembered too and reported once, by [`Writer::finish`]: a tree has
//! no useful half.
//!
//! Not a crate, because those that write trees build them on a heap first, with hash maps; forty
//! properties in a fixed order need neither. The tests read the result back with a crate.

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROPERTY: u32 = 3;
const END: u32 = 9;

const HEADER: usize = 40;
/// Where the structure begins: behind the header and the empty list of reservations.
const STRUCTURE: usize = HEADER + 16;
/// How many names of properties one tree can have.
const NAMES: usize = 40;

/// The buffer is too short for the device tree, or the tree has too many names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRoom;

impl core::fmt::Display for OutOfRoom {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the device tree does not fit: shorten the command line")
    }
}

impl core::error::Error for OutOfRoom {}

/// A device tree that is being written.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    names: [&'static str; NAMES],
    known: usize,
    overflow: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        let mut writer = Self { out, at: 0, names: [""; NAMES], known: 0, overflow: false };
        writer.put(&[0; STRUCTURE]);
        writer
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        match self.out.get_mut(self.at..end) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.at = end;
            }
            None => self.overflow = true,
        }
    }

    fn put_cell(&mut self, cell: u32) {
        self.put(&cell.to_be_bytes());
    }

    fn align(&mut self) {
        while !self.at.is_multiple_of(4) && !self.overflow {
            self.put(&[0]);
        }
    }

    /// Begins a node.
    pub(super) fn begin(&mut self, name: &str) {
        self.put_cell(BEGIN_NODE);
        self.put(name.as_bytes());
        self.put(&[0]);
        self.align();
    }

    /// Begins a node whose name carries its address: `name@address`.
    pub(super) fn begin_at(&mut self, name: &str, address: u64) {
        self.put_cell(BEGIN_NODE);
        self.put(name.as_bytes());
        self.put(b"@");
        let digits = (64 - address.leading_zeros()).div_ceil(4).max(1);
        for n in (0..digits).rev() {
            let digit = (address >> (4 * n) & 0xf) as u8;
            self.put(&[if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }]);
        }
        self.put(&[0]);
        self.align();
    }

    /// Ends the node begun last.
    pub(super) fn end(&mut self) {
        self.put_cell(END_NODE);
    }

    /// Writes a property's head: its value of `bytes` bytes follows.
    fn property(&mut self, name: &'static str, bytes: usize) {
        let known = self.names.iter().take(self.known).position(|old| *old == name);
        let index = known.unwrap_or(self.known);
        match self.names.get_mut(index) {
            Some(slot) => *slot = name,
            None => self.overflow = true,
        }
        self.known = self.known.max(index + 1).min(NAMES);
        let offset: usize = self.names.iter().take(index).map(|name| name.len() + 1).sum();
        self.put_cell(PROPERTY);
        self.put_cell(bytes as u32);
        self.put_cell(offset as u32);
    }

    /// Writes a property of 32-bit cells.
    pub(super) fn cells(&mut self, name: &'static str, cells: &[u32]) {
        self.property(name, 4 * cells.len());
        for cell in cells {
            self.put_cell(*cell);
        }
    }

    /// Writes a property of 64-bit numbers, two cells each.
    pub(super) fn wide(&mut self, name: &'static str, numbers: &[u64]) {
        self.property(name, 8 * numbers.len());
        for number in numbers {
            self.put(&number.to_be_bytes());
        }
    }

    /// Writes a property of bytes; none for one that only is there or not.
    pub(super) fn bytes(&mut self, name: &'static str, bytes: &[u8]) {
        self.property(name, bytes.len());
        self.put(bytes);
        self.align();
    }

    /// Writes a property of texts.
    pub(super) fn strings(&mut self, name: &'static str, texts: &[&str]) {
        self.property(name, texts.iter().map(|text| text.len() + 1).sum());
        for text in texts {
            self.put(text.as_bytes());
            self.put(&[0]);
        }
        self.align();
    }

    /// Writes the names and the header, and returns how long the tree is.
    pub(super) fn finish(mut self) -> Result<usize, OutOfRoom> {
        self.put_cell(END);
        let strings = self.at;
        for n in 0..self.known {
            self.put(self.names[n].as_bytes());
            self.put(&[0]);
        }
        let total = self.at;
        if self.overflow {
            return Err(OutOfRoom);
        }
        let header = [
            0xd00d_feed,
            total,
            STRUCTURE,
            strings,
            HEADER,
            // Version, and the oldest that it is compatible with.
            17,
            16,
            // The processor that boots.
            0,
            total - strings,
            strings - STRUCTURE,
        ];
        self.at = 0;
        for word in header {
            self.put_cell(word as u32);
        }
        Ok(total)
    }
}
