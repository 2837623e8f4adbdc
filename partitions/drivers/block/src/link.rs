// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A client's side: what a link has to offer to the server.

use crate::disk::{Disk, Fault};

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Sectors to the server's area.
    Read,
    /// The client's area to sectors.
    Write,
    /// What was written and acknowledged has to last.
    Flush,
    /// What these sectors hold is of no more interest.
    Discard,
}

impl Operation {
    /// Whether it changes the disk.
    pub fn changes(self) -> bool {
        matches!(self, Operation::Write | Operation::Discard)
    }
}

/// A request, copied out of the link once: nobody changes it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The client's name for it; goes back with the answer.
    pub id: u64,
    /// What is asked for; `None` for what nobody knows.
    pub operation: Option<Operation>,
    /// First sector of the client's disk.
    pub sector: u64,
    /// How many bytes.
    pub bytes: u64,
    /// Where the data lie, or will lie, in the area's data.
    pub offset: u64,
}

/// The peer has left the protocol: an index that can't be. Nothing more is read until it starts
/// anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// The server's end of a link.
pub trait Link {
    /// For the log.
    fn name(&self) -> &str;

    /// Whether the peer has started anew since [`Self::connect`], or never was connected.
    fn wants_connection(&self) -> bool;

    /// Connects to the peer's present generation, with empty rings, and tells what the disk is
    /// like. Only when nothing of an older generation is under way: the peer reuses its memory.
    fn connect(&mut self, disk: &Disk, flush: bool, discard: bool);

    /// The next request, taken off the ring.
    ///
    /// # Errors
    /// [`Broken`] when the ring can't be trusted any more.
    fn next(&mut self) -> Result<Option<Request>, Broken>;

    /// How many answers fit now.
    fn room(&self) -> usize;

    /// Puts an answer on the ring.
    fn answer(&mut self, id: u64, result: Result<(), Fault>);

    /// Where the device finds the data of a request; `None` if they are not all in the area.
    fn bus(&self, operation: Operation, offset: u64, bytes: u64) -> Option<u64>;

    /// Rings the peer's bell if it waits for what was put on the ring since the last time.
    fn notify(&mut self);
}
