// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What can be wrong with a mapping or a link.

use core::error::Error;
use core::fmt;

/// Why a mapping was refused. Only [`OutOfTables`](MapError::OutOfTables) leaves a trace in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// The arena is too small. A beginning of the mapping is in place: such a root is not to be loaded.
    OutOfTables,
    /// The field named (`va`, `pa` or `len`) is no multiple of 4 KiB, or the length is zero.
    Unaligned(&'static str),
    /// Something is mapped or linked already: the first address at which the two meet.
    Overlap(u64),
    /// The range reaches into a subtree that the root was linked to, so the mapping would show up in other roots: the
    /// first address that is not the root's own.
    Shared(u64),
    /// The range leaves the addresses that the format can translate, or can translate to.
    OutOfRange,
    /// Nothing may be both.
    WritableAndExecutable,
    /// The format has no way to express this access to this memory at this address.
    Unsupported,
}

impl fmt::Display for MapError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            MapError::Unaligned(what) => return write!(out, "{what} is no multiple of 4 KiB, or zero"),
            MapError::Overlap(va) => return write!(out, "{va:#x} is mapped already"),
            MapError::Shared(va) => return write!(out, "{va:#x} belongs to shared tables"),
            MapError::OutOfTables => "no page-table frame is left",
            MapError::OutOfRange => "the range leaves the address space",
            MapError::WritableAndExecutable => "writable and executable",
            MapError::Unsupported => "the page-table format can't express this access",
        };
        out.write_str(text)
    }
}

impl Error for MapError {}
