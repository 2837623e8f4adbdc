// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! How a guest finds its world: what lies where in its memory when its first instruction runs.
//!
//! Xen's `xen.h` ("Start-of-day memory layout") promises the guest this; x is pseudo-physical, and
//! the address of x in the first mapping is `VIRT_BASE + x`:
//!
//! ```text
//!   0 … kernel segments … │ p2m* │ start_info │ xenstore │ console │ tables │ stack │ ≥ 512 KiB … 4 MiB boundary
//!   └────────────────────────── mapped, tables read-only ─────────────────────────────────────────────────┘
//!   … │ initrd │ p2m │ its tables │ …                      not mapped there
//!   └─────── * if the kernel says INIT_P2M: mapped at that address, by tables of its own
//! ```
//!
//! Tables lie root first, then L3, L2, L1, as guests expect: Linux takes the first three for its
//! own. Machine frame = pseudo-physical frame, so the p2m (list of machine frames) counts up, and
//! so does the machine-to-physical table, which is not part of the guest's memory.

mod layout;
mod tables;
mod write;

#[cfg(test)]
mod tests;

use core::fmt;

pub use layout::Layout;
pub use tables::{Table, Tables};
pub use write::{Ram, identity};

use crate::notes::{Kernel, Unfit};

/// What a guest is to be started with.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// Frames of its memory.
    pub frames: u64,
    /// Its kernel.
    pub kernel: &'a Kernel<'a>,
    /// Bytes of its initrd; 0: none.
    pub initrd: u64,
    /// Its command line, without a final zero.
    pub command_line: &'a [u8],
    /// Machine address of the shared page; it may lie beyond its memory.
    pub shared_info: u64,
    /// Port of its console.
    pub console: Option<u32>,
    /// Port of xenstore. (Without one Linux doesn't wait for a store.)
    pub store: Option<u32>,
}

/// What the boot vCPU begins with; events are masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub rip: u64,
    /// The top of its stack.
    pub rsp: u64,
    /// The address of `start_info`.
    pub rsi: u64,
    /// Physical address of the root.
    pub root: u64,
}

/// A guest that can't be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impossible {
    /// It has too little memory.
    TooSmall {
        /// Frames that it needs, at least.
        needs: u64,
    },
    /// The command line is longer than 1023 bytes.
    CommandLine,
    /// The kernel wants to lie where that is impossible: not on a page boundary, across the end of
    /// the address space, in the hypervisor's part, or its p2m over its first mapping.
    Places,
    /// The kernel's file.
    Kernel(Unfit),
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall { needs } => {
                write!(f, "the guest needs at least {} MiB of memory", needs.div_ceil(256))
            }
            Self::CommandLine => f.write_str("the command line is longer than 1023 bytes"),
            Self::Places => f.write_str("the kernel wants to lie where that is impossible"),
            Self::Kernel(unfit) => write!(f, "the kernel: {unfit}"),
        }
    }
}

impl core::error::Error for Impossible {}

impl From<Unfit> for Impossible {
    fn from(unfit: Unfit) -> Self {
        Self::Kernel(unfit)
    }
}
