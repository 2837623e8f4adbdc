// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Grants, first version (`grant_table.h`): frames that a guest lets another domain use.

super::wire! {
    /// `query_size`.
    QuerySize: 16 {
        /// In: whose; the caller's own.
        0 dom: u16,
        /// Unused.
        2 pad: u16,
        /// Out: frames of the table now.
        4 nr_frames: u32,
        /// Out: frames that it may grow to.
        8 max_nr_frames: u32,
        /// Out: see [`status`].
        12 status: i16,
        /// Unused.
        14 pad1: u16,
    }
    /// `setup_table`.
    SetupTable: 24 {
        /// In: whose; the caller's own.
        0 dom: u16,
        /// Unused.
        2 pad: u16,
        /// In: how many frames it wants to have.
        4 nr_frames: u32,
        /// Out: see [`status`].
        8 status: i16,
        /// Unused.
        10 pad1: [u16; 3],
        /// In: address of an array for the frames' numbers.
        16 frame_list: u64,
    }
    /// `get_version`.
    GetVersion: 8 {
        /// In: whose; the caller's own.
        0 dom: u16,
        /// Unused.
        2 pad: u16,
        /// Out.
        4 version: u32,
    }
}

/// How an operation went.
pub mod status {
    /// Well.
    pub const OKAY: i16 = 0;
    /// Not at all.
    pub const GENERAL_ERROR: i16 = -1;
    /// There is no such domain, or not for the caller.
    pub const BAD_DOMAIN: i16 = -2;
}

/// Bytes of an entry: flags and domain (16 bits each), frame (32 bits).
pub const ENTRY: usize = 8;
/// Entries in a frame of the table.
pub const PER_FRAME: u32 = 512;
/// Bits of an entry's flags that say what it is.
pub const TYPE: u16 = 3;
/// The frame may be used.
pub const PERMIT_ACCESS: u16 = 1;
/// It may only be read.
pub const READ_ONLY: u16 = 1 << 2;
