// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a virtual disk is connected to.

use crate::memory::Page;

/// A part of a request's data: bytes within a page of the guest.
#[derive(Clone, Debug)]
pub struct Piece<P> {
    /// The page.
    pub page: P,
    /// The first byte.
    pub at: u16,
    /// How many.
    pub bytes: u16,
}

/// What a disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    /// How large it is, in sectors of 512 bytes.
    pub sectors: u64,
    /// Bytes of what it reads and writes at least: 512, …, 4096.
    pub block: u32,
    /// Bytes that it reads and writes best.
    pub physical: u32,
    /// Bytes that it reads and writes at a time at most: at least 44 KiB.
    pub most: u32,
    /// It can't be written.
    pub read_only: bool,
    /// It can be told to make what was written last.
    pub flush: bool,
    /// It can be told that sectors are not needed.
    pub discard: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// To read.
    Read,
    /// To write.
    Write,
    /// To make what was written last.
    Flush,
    /// To forget.
    Discard,
}

/// An order to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub command: Command,
    /// The first sector of 512 bytes.
    pub sector: u64,
    /// How many of them.
    pub sectors: u64,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is under way.
    Taken,
    /// There is no room now: try again when something is done.
    Full,
    /// The disk does not do that.
    NotSupported,
    /// It fails.
    Failed,
}

/// An order that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Which.
    pub id: u16,
    /// How.
    pub outcome: Outcome,
}

/// How an order went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Okay,
    /// Not at all.
    Failed,
    /// The disk does not do that.
    NotSupported,
}

/// A disk, by which link ever. It takes orders and says later which are done, in any order.
///
/// # Contract
/// No order is lost: each one that was taken is done once. Whoever serves the disk may begin anew
/// meanwhile; that is not seen here but by the time it takes.
pub trait Disk {
    /// What it is; none: nobody knows yet. It stays what it is.
    fn geometry(&mut self) -> Option<Geometry>;

    /// Takes an order. Data to write are copied before this returns. `id`s are below
    /// [`ORDERS_MAX`]; one is free again when [`Self::complete`] has told of it.
    fn submit<P: Page>(&mut self, id: u16, order: &Order, data: impl Iterator<Item = Piece<P>>) -> Submitted;

    /// Tells which order is done, if one is. `data` says where what was read is to be copied to.
    fn complete<P: Page, I: Iterator<Item = Piece<P>>>(&mut self, data: impl FnOnce(&Done) -> I) -> Option<Done>;

    /// Tells whoever serves the disk what there is to do, and that this side is about to look at
    /// other things. False: something has come meanwhile.
    fn settle(&mut self) -> bool;
}

/// Orders that are under way at most.
pub const ORDERS_MAX: usize = 32;
