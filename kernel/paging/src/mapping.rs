// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a caller wants to be reachable, in words that every format has to translate.

/// A physical address, in bytes: of a table, or of what is mapped.
///
/// A type of its own, because swapping it with a virtual address compiles otherwise and opens a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pa(pub u64);

/// What may be done with memory, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: bool,
    /// By partitions, too; without it only by the kernel.
    pub user: bool,
}

impl Access {
    /// The kernel's constants.
    pub const READ: Access = Access { read: true, write: false, execute: false, user: false };
    /// The kernel's data.
    pub const READ_WRITE: Access = Access { write: true, ..Access::READ };
    /// The kernel's code.
    pub const READ_EXECUTE: Access = Access { execute: true, ..Access::READ };

    /// Extends the same rights to partitions.
    #[cfg(any(test, feature = "host"))]
    pub const fn for_user(self) -> Access {
        Access { user: true, ..self }
    }
}

/// How the hardware treats memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// RAM: write-back cached.
    Normal,
    /// Device registers: no caching, no gathering, no reordering; never executable.
    Device,
}

/// A range of virtual addresses and what lies behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First virtual (for stage 2: intermediate physical) address; a multiple of 4 KiB.
    pub va: u64,
    /// First physical address; a multiple of 4 KiB.
    pub pa: Pa,
    /// Length in bytes; a multiple of 4 KiB, not zero.
    pub len: u64,
    /// What may be done with it.
    pub access: Access,
    /// How it is cached.
    pub memory: Memory,
}

impl Mapping {
    /// Returns what lies `offset` bytes into the range.
    pub(crate) const fn leaf(&self, offset: u64) -> Leaf {
        Leaf { pa: Pa(self.pa.0 + offset), access: self.access, memory: self.memory }
    }
}

/// What the hardware finds at the end of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Where it lies.
    pub pa: Pa,
    /// What may be done with it.
    pub access: Access,
    /// How it is cached.
    pub memory: Memory,
}
