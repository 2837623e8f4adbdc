// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The store: names and values by which a guest's frontends find their devices ("xenstore").
//!
//! ```text
//!   page of the guest                         here
//!   requests[1024] ─▶ message, in pieces ─▶ tree: read, write, list     ─▶ reply ─┐
//!                                           watches: who wants to know            │
//!                                                       └─▶ events ─▶ one message ┤
//!   replies[1024] ◀── as much as there is room for ◀──────────────────────────────┘
//! ```
//! One store for one guest, which sees itself as domain [`GUEST`]; its devices are served by domain 0.
//! It reads everything and writes what is below its own [`HOME`]. All storage is fixed: what does not
//! fit is refused, and a next request is looked at only when everything said before is in the ring.
//!
//! Transactions are accepted, and what is written in one holds at once: frontends use them to write
//! keys together and then say by another write that they have. None ever has to be tried again.

mod message;
mod path;
mod serve;
mod tree;
mod watch;

#[cfg(test)]
pub(crate) mod tests;

pub use path::{PATH, Path};
pub use tree::{NAME, NODES, VALUE};

use message::{Input, Output};
use tree::Tree;
use watch::Watches;

/// The guest's number of itself.
pub const GUEST: u16 = 1;
/// The number of the domain that serves it.
pub const SERVER: u16 = 0;
/// Where the guest's part of the store begins; its own names without a slash count from there.
pub const HOME: &str = "/local/domain/1";
/// Below it are the guest's frontends.
const DEVICES: &str = "/local/domain/1/device";

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It makes no sense.
    Invalid,
    /// There is nothing of that name.
    NoEntry,
    /// Not for the guest.
    Access,
    /// No room.
    NoSpace,
    /// There is one already.
    Exists,
    /// Too long.
    TooBig,
    /// There is no such request.
    NoSystem,
}

impl Refusal {
    /// As the guest is told.
    #[must_use]
    pub const fn name(self) -> &'static [u8] {
        match self {
            Self::Invalid => b"EINVAL\0",
            Self::NoEntry => b"ENOENT\0",
            Self::Access => b"EACCES\0",
            Self::NoSpace => b"ENOSPC\0",
            Self::Exists => b"EEXIST\0",
            Self::TooBig => b"E2BIG\0",
            Self::NoSystem => b"ENOSYS\0",
        }
    }
}

/// A guest's store.
#[derive(Debug)]
pub struct Store {
    contents: Contents,
    input: Input,
    output: Output,
}

/// What the store holds, without the way to the guest.
#[derive(Debug)]
struct Contents {
    tree: Tree,
    watches: Watches,
    /// A bit for each transaction that is open.
    transactions: u32,
    /// The guest has written something.
    changed: bool,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            contents: Contents { tree: Tree::new(), watches: Watches::new(), transactions: 0, changed: false },
            input: Input::new(),
            output: Output::new(),
        }
    }

    /// Writes a value, for the shim, and tells those who watch.
    ///
    /// # Errors
    /// [`Refusal::Invalid`], [`Refusal::NoSpace`].
    pub fn put(&mut self, path: &str, value: &[u8]) -> Result<(), Refusal> {
        let path = Path::of(path.as_bytes())?;
        self.contents.write(&path, value)?;
        self.contents.watches.fire(&path, false);
        Ok(())
    }

    /// Removes a node and all below, for the shim, and tells those who watch.
    pub fn remove(&mut self, path: &str) {
        let Ok(path) = Path::of(path.as_bytes()) else { return };
        if self.contents.tree.remove(&path).is_ok() {
            self.contents.watches.fire(&path, true);
        }
    }

    /// A value.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.contents.tree.value(&Path::of(path.as_bytes()).ok()?).ok()
    }

    /// A value that is a number.
    #[must_use]
    pub fn number(&self, path: &str) -> Option<u32> {
        core::str::from_utf8(self.get(path)?).ok()?.trim_end_matches('\0').parse().ok()
    }

    /// Whether the guest has written something since the last time.
    pub fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.contents.changed)
    }
}

impl Contents {
    fn write(&mut self, path: &Path, value: &[u8]) -> Result<(), Refusal> {
        self.tree.write(path, value)
    }
}
