// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Requests of a virtual disk's frontend (`io/blkif.h`), 64-bit layout.

/// Bytes of an entry of the ring.
pub const ENTRY: usize = 112;
/// Bytes of a sector, always.
pub const SECTOR: u64 = 512;
/// Segments in a request.
pub const SEGMENTS: usize = 11;
/// Segments in a page of an indirect request.
pub const INDIRECT_PER_PAGE: u64 = 512;
/// Where the operation is: 8 bits, the number of segments behind it.
pub const OPERATION: usize = 0;
/// Where the request's number is: 64 bits.
pub const ID: usize = 8;
/// Where the first sector is: 64 bits.
pub const FIRST: usize = 16;
/// Where segments begin: reference (32 bits), first and last sector in its page (8 bits each).
pub const SEGMENT: usize = 24;
/// Where an indirect request has the references of its pages of segments.
pub const INDIRECT: usize = 28;
/// Where the count of sectors to discard is: 64 bits.
pub const DISCARD_COUNT: usize = 24;

super::numbers! {
    /// Operations.
    Operation {
        /// Reads.
        Read = 0,
        /// Writes.
        Write = 1,
        /// Orders what was written (no longer used).
        Barrier = 2,
        /// Makes what was written last.
        Flush = 3,
        /// Gives sectors up.
        Discard = 5,
        /// Reads or writes with more segments.
        Indirect = 6,
    }
}

/// How a request went.
pub mod status {
    /// Well.
    pub const OKAY: i16 = 0;
    /// Not at all.
    pub const ERROR: i16 = -1;
    /// There is no such operation here.
    pub const NOT_SUPPORTED: i16 = -2;
}
/// A disk that can only be read, in the key `info`.
pub const INFO_READ_ONLY: u32 = 4;
