// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Names, and where things lie in a partition: what kernel, tool and partitions have in common.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Names of the partition's own objects take at most 30 bytes (PZ0009).
pub const NAME: usize = 32;
/// The caller itself, where a call takes a partition.
pub const SELF: u64 = u64::MAX;

/// A name, padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Name(pub [u8; NAME]);

impl Name {
    /// Packs a name. `None` when it is longer than 31 bytes.
    pub fn new(text: &str) -> Option<Name> {
        let mut bytes = [0; NAME];
        bytes.get_mut(..text.len()).filter(|slot| slot.len() < NAME)?.copy_from_slice(text.as_bytes());
        Some(Name(bytes))
    }

    /// The name as text; what isn't UTF-8 reads as "?".
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(NAME);
        core::str::from_utf8(self.0.get(..end).unwrap_or(&[])).unwrap_or("?")
    }
}

/// Where the tool maps things in every native partition.
pub mod layout {
    /// The information pages.
    pub const INFO: u64 = 0x0001_0000;
    /// The vCPU pages.
    pub const VCPU_PAGES: u64 = 0x0008_0000;
    /// The loader's program (read, execute).
    pub const LOADER: u64 = 0x0010_0000;
    /// Where `rt` links programs; programs linked elsewhere may lie anywhere up to `OBJECTS`.
    pub const PROGRAM: u64 = 0x0040_0000;
    /// Shared memory, devices, rings, pristine segments: from here on, placed by the tool.
    pub const OBJECTS: u64 = 0x8000_0000;
    /// Guest memory in a shim: from here on.
    pub const GUEST: u64 = 0x1_0000_0000;
    /// No mapping of a host space lies at or above this.
    pub const END: u64 = 1 << 38;
}
