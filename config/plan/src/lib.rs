// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The resolved system: one blob that the host writes and the kernel reads in place.
//!
//! ```text
//!   ┌────────┬─────────┬─────────┬───
//!   │ Header │ table 0 │ table 1 │ …        each table: an array of one record type
//!   └────────┴─────────┴─────────┴───
//! ```
//! Records name one another by index into their tables, ranges as [`Span`]. One list
//! (`tables!` in [`tables`]) is the format, the reader and the writer: nothing can be mirrored
//! wrongly. All integers are little-endian; both architectures run so.
//!
//! [`Plan::read`] proves magic, revision, architecture-independent bounds and the digest; whether
//! the content makes sense is proved by the kernel core (`parzelle_core::check`), on the host when
//! the image is built and again at boot.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "write"))]
extern crate alloc;

mod read;
pub mod records;
mod tables;
#[cfg(any(test, feature = "write"))]
mod write;

pub use read::PlanError;
pub use records::*;
pub use tables::{Header, Plan, Span};
#[cfg(any(test, feature = "write"))]
pub use write::PlanBuilder;

/// "PZPLAN01".
pub const MAGIC: u64 = u64::from_le_bytes(*b"PZPLAN01");

/// Revision of the format.
pub const REVISION: u32 = 4;

/// No index.
pub const NONE: u32 = u32::MAX;

/// The digest of plans and segments: CRC-64/XZ. It finds corruption; authenticity is the business
/// of the board's secure boot.
pub fn digest(bytes: &[u8]) -> u64 {
    const CRC: crc::Crc<u64, crc::Table<16>> = crc::Crc::<u64, crc::Table<16>>::new(&crc::CRC_64_XZ);
    CRC.checksum(bytes)
}
