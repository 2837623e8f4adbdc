// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! How operations answer. What a call returns for that is in the crate's head.

/// How far an operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All is done.
    Done,
    /// A step is done: call again. What is left is kept in the table's descriptor, or in the queue.
    Again,
    /// Nothing is done: no free table was passed by every core yet. Have them pass this generation
    /// ([`Tlb::pass`](crate::Tlb::pass); the caller's own core can at once), then call again.
    Flush(u64),
}

impl Progress {
    pub(crate) const fn of(done: bool) -> Progress {
        if done { Progress::Done } else { Progress::Again }
    }
}

/// Why an operation was refused. Nothing has changed then, except where an operation says otherwise.
/// Its number is the status of the call, apart from those of `parzelle_abi::Error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Error {
    /// There is no table for this frame, or it is being destroyed.
    NoTable = 32,
    /// There is one already (maybe not wholly destroyed).
    Exists = 33,
    /// The frame is not in the partition's memory.
    NotYours = 34,
    /// Levels are 1 to 4, indices 0 to 511.
    OutOfRange = 35,
    /// The table has another level than it would have to have here.
    WrongLevel = 36,
    /// The table is not filled yet.
    NotReady = 37,
    /// The table is referred to, or a vCPU's root.
    InUse = 38,
    /// The slot is the kernel's.
    Reserved = 39,
    /// A large page, or a bit that has to be zero.
    Malformed = 40,
    /// This root is one for the other kind of context.
    WrongKind = 41,
    /// The pool is used up: a health event, naming the setting to raise.
    PoolEmpty = 42,
    /// The partition is being restarted.
    Resetting = 43,
    /// What boot gave doesn't fit together.
    Setup = 44,
}
