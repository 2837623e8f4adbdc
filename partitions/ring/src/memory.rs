// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The memory of an area, as the rings need it.

/// Memory that a peer reads or writes at the same time.
///
/// Offsets count in bytes. A word lies at a multiple of 8 and is loaded and stored whole. What lies
/// outside loads as 0 and is not stored; the rings compute only offsets within.
pub trait Memory {
    /// How many bytes there are.
    fn bytes(&self) -> u64;

    /// Loads a word, in no order with other accesses.
    fn load(&self, offset: u64) -> u64;

    /// Loads a word; what comes later in the program sees all that the peer stored before it.
    fn load_acquire(&self, offset: u64) -> u64;

    /// Stores a word, in no order with other accesses.
    fn store(&self, offset: u64, value: u64);

    /// Stores a word; who loads it sees all that comes before in the program.
    fn store_release(&self, offset: u64, value: u64);

    /// Nothing passes here: all stores before are seen by others before any load behind is done.
    fn fence(&self);

    /// Copies bytes out; `None`, and nothing is copied, if they are not all within.
    #[must_use]
    fn read(&self, offset: u64, into: &mut [u8]) -> Option<()>;

    /// Copies bytes in; `None`, and nothing is copied, if they are not all within.
    #[must_use]
    fn write(&self, offset: u64, from: &[u8]) -> Option<()>;
}

/// The area that we write. The peer only reads it: what we load there is what we have stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ours<M>(pub(crate) M);

/// The area that the peer writes: there are only loads, and what they give may be anything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theirs<M>(M);

impl<M: Memory> Theirs<M> {
    pub(crate) fn new(area: M) -> Self {
        Self(area)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    pub(crate) fn load(&self, offset: u64) -> u64 {
        self.0.load(offset)
    }

    pub(crate) fn load_acquire(&self, offset: u64) -> u64 {
        self.0.load_acquire(offset)
    }

    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        self.0.read(offset, into)
    }
}
