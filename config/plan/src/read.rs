// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Reading a plan in place.

use crate::tables::{Header, Plan, Span};
use crate::{MAGIC, REVISION, digest};
use core::mem::{offset_of, size_of};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// Why a blob is not a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// The blob does not begin with the plan's magic.
    Magic,
    /// It is of another revision, of the format or of the kernel interface: what was found, what this reader knows.
    Revision(u32, u32),
    /// It ends too early, or begins at an address that is not a multiple of 8: bytes there should be, bytes there are.
    Truncated(u64, u64),
    /// Its bytes were changed.
    Digest,
    /// A table does not lie in the blob.
    Table(&'static str),
}

impl core::fmt::Display for PlanError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            PlanError::Magic => write!(f, "there is no plan where one should begin"),
            PlanError::Revision(found, known) => write!(f, "the plan has revision {found} instead of {known}"),
            PlanError::Truncated(needed, found) => write!(f, "the plan has {found} of {needed} bytes"),
            PlanError::Digest => write!(f, "the plan's digest is wrong: its bytes were changed"),
            PlanError::Table(name) => write!(f, "the plan's table `{name}` lies outside of it"),
        }
    }
}

impl<'a> Plan<'a> {
    /// The bytes that [`Plan::total_bytes`] needs.
    pub const HEADER_BYTES: usize = size_of::<Header>();

    /// Tells how many bytes the plan has that begins with `head`, so that a kernel that finds it
    /// behind its own image can take a slice of the right length.
    ///
    /// # Errors
    /// When `head` is not the head of a plan.
    pub fn total_bytes(head: &'a [u8]) -> Result<u64, PlanError> {
        let header = Self::header(head)?;
        Ok(header.bytes)
    }

    /// Reads a plan in place; `bytes` may be longer than the plan.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn read(bytes: &'a [u8]) -> Result<Plan<'a>, PlanError> {
        let header = Self::header(bytes)?;
        for (found, known) in [(header.revision, REVISION), (header.abi, parzelle_abi::REVISION)] {
            if found != known {
                return Err(PlanError::Revision(found, known));
            }
        }
        let truncated = PlanError::Truncated(header.bytes, bytes.len() as u64);
        let length = usize::try_from(header.bytes).map_err(|_| truncated)?;
        let bytes = bytes.get(..length).ok_or(truncated)?;
        let digested = bytes.get(offset_of!(Header, revision)..).ok_or(truncated)?;
        if digest(digested) != header.digest {
            return Err(PlanError::Digest);
        }
        Plan::locate(bytes, header)
    }

    fn header(bytes: &'a [u8]) -> Result<&'a Header, PlanError> {
        let short = PlanError::Truncated(size_of::<Header>() as u64, bytes.len() as u64);
        let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| short)?;
        if header.magic != MAGIC {
            return Err(PlanError::Magic);
        }
        Ok(header)
    }
}

/// The records at `span`: a byte offset and a count.
pub(crate) fn table<'a, T: FromBytes + KnownLayout + Immutable>(
    bytes: &'a [u8],
    name: &'static str,
    span: Span,
) -> Result<&'a [T], PlanError> {
    let tail = bytes.get(span.first as usize..).ok_or(PlanError::Table(name))?;
    let (records, _) =
        <[T]>::ref_from_prefix_with_elems(tail, span.count as usize).map_err(|_| PlanError::Table(name))?;
    Ok(records)
}
