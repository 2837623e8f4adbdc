// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Reading a plan in place.

use crate::records::SystemRecord;
use crate::tables::{Header, Span, Tables};
use crate::{MAGIC, REVISION, digest};
use core::mem::{offset_of, size_of};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// A plan whose form has been proved: every table lies in the blob, the digest is right.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    bytes: &'a [u8],
    /// The fixed part.
    pub system: &'a SystemRecord,
    pub(crate) tables: &'a Tables,
}

/// Why a blob is not a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// The blob does not begin with the plan's magic.
    Magic,
    /// It is of another revision: of the format, or of the kernel interface.
    Revision {
        /// What was found.
        found: u32,
        /// What this reader knows.
        known: u32,
    },
    /// It ends too early, or begins at an address that is not a multiple of 8.
    Truncated {
        /// Bytes there should be.
        needed: u64,
        /// Bytes there are.
        found: u64,
    },
    /// Its bytes were changed.
    Digest,
    /// A table does not lie in the blob.
    Table(&'static str),
}

impl core::fmt::Display for PlanError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            PlanError::Magic => write!(f, "there is no plan where one should begin"),
            PlanError::Revision { found, known } => {
                write!(f, "the plan has revision {found}, this kernel reads {known}")
            }
            PlanError::Truncated { needed, found } => {
                write!(f, "the plan has {found} bytes, {needed} are needed")
            }
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
                return Err(PlanError::Revision { found, known });
            }
        }
        let truncated = PlanError::Truncated { needed: header.bytes, found: bytes.len() as u64 };
        let length = usize::try_from(header.bytes).map_err(|_| truncated)?;
        let bytes = bytes.get(..length).ok_or(truncated)?;
        let digested = bytes.get(offset_of!(Header, revision)..).ok_or(truncated)?;
        if digest(digested) != header.digest {
            return Err(PlanError::Digest);
        }
        let plan = Plan { bytes, system: &header.system, tables: &header.tables };
        plan.check_tables()?;
        Ok(plan)
    }

    fn header(bytes: &'a [u8]) -> Result<&'a Header, PlanError> {
        let short = PlanError::Truncated { needed: size_of::<Header>() as u64, found: bytes.len() as u64 };
        let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| short)?;
        if header.magic != MAGIC {
            return Err(PlanError::Magic);
        }
        Ok(header)
    }

    pub(crate) fn check_table<T: FromBytes + KnownLayout + Immutable>(
        &self,
        name: &'static str,
        span: Span,
    ) -> Result<(), PlanError> {
        if self.slice::<T>(span).is_some() { Ok(()) } else { Err(PlanError::Table(name)) }
    }

    /// The records at `span` (a byte offset and a count); proved by `check_tables`.
    #[inline]
    pub(crate) fn table<T: FromBytes + KnownLayout + Immutable>(&self, span: Span) -> &'a [T] {
        self.slice(span).unwrap_or(&[])
    }

    #[inline]
    fn slice<T: FromBytes + KnownLayout + Immutable>(&self, span: Span) -> Option<&'a [T]> {
        let bytes = self.bytes.get(span.first as usize..)?;
        let (records, _) = <[T]>::ref_from_prefix_with_elems(bytes, span.count as usize).ok()?;
        Some(records)
    }

    /// The partition of that name.
    pub fn partition_named(&self, name: &str) -> Option<usize> {
        self.partitions().iter().position(|partition| partition.name.as_str() == name)
    }
}
