// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Xen's interface beside the board, for guests whose disks and networks are reached by it.
//!
//! ```text
//!   RAM ┬ the guest's memory, as its device tree says
//!       ├ 256 KiB that it is not told of as memory: frames of the grant table │ console │ store
//!       ┴
//! ```
//! Stock kernels look for a node `hypervisor` below the root; what it names is where they put their
//! grant table, and the interrupt by which they are told of events. It has to lie where they have
//! memory and don't know of it. Everything else they ask by hypercall (`hvc #0xea1`), which the
//! shim answers: the board only lets it through ([`crate::machine::Next::Hypercall`]).
//!
//! A guest that has nothing to gain from it doesn't get it: its kernel would set up all of Xen's
//! drivers for nothing.

use crate::map::Range;

/// The number in the `hvc` instruction (`arch-arm.h`, `XEN_HYPERCALL_TAG`).
pub const CALL: u16 = 0xea1;
/// Bytes at the end of the guest's memory that it shares by Xen's interface.
pub const BYTES: u64 = 256 << 10;
/// Frames that the grant table can have there.
pub const GRANT_FRAMES: u32 = 32;
/// Bytes of a frame, whatever granule the guest's tables have.
pub const FRAME: u64 = 4096;

/// The pages that a guest with Xen's interface has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// Memory of which the guest is told as memory.
    pub ram: Range,
    /// Where it may put the grant table.
    pub grants: Range,
    /// Frame of the console's rings.
    pub console: u64,
    /// Frame of the store's rings.
    pub store: u64,
    /// All that it is not told of.
    pub all: Range,
}

impl Pages {
    /// Takes them from the end of `ram`; none if that is too small for anything.
    #[must_use]
    pub fn of(ram: Range) -> Option<Self> {
        let told = (ram.size & !(BYTES - 1)).checked_sub(BYTES)?;
        let start = ram.start.checked_add(told)?;
        let grants = Range { start, size: u64::from(GRANT_FRAMES) * FRAME };
        let console = grants.end() / FRAME;
        Some(Self {
            ram: Range { size: told, ..ram },
            grants,
            console,
            store: console + 1,
            all: Range { start, size: BYTES },
        })
    }
}

/// Whether a guest's command line asks for the console `hvc0`.
#[must_use]
pub fn wants_console(bootargs: &str) -> bool {
    bootargs.split_ascii_whitespace().any(|word| word == "console=hvc0" || word.starts_with("console=hvc0,"))
}

/// Whether a guest's command line asks for something that only Xen has.
#[must_use]
pub fn is_wanted(bootargs: &str) -> bool {
    wants_console(bootargs) || bootargs.split_ascii_whitespace().any(|word| word == "earlycon=xenboot")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_lie_behind_the_memory() {
        let ram = Range { start: 0x4000_0000, size: 128 << 20 };
        let pages = Pages::of(ram).unwrap();
        assert_eq!(pages.ram, Range { start: ram.start, size: ram.size - BYTES });
        assert_eq!((pages.grants.start, pages.all.end()), (pages.ram.end(), ram.end()));
        assert_eq!(pages.console * FRAME, pages.grants.end());
        assert!((pages.store + 1) * FRAME <= pages.all.end());
        assert_eq!(Pages::of(Range { start: 0, size: BYTES - 1 }), None);
    }

    #[test]
    fn the_command_line_says_what_is_wanted() {
        assert!(is_wanted("quiet console=hvc0 root=/dev/xvda1") && wants_console("console=hvc0,115200"));
        assert!(is_wanted("earlycon=xenboot") && !wants_console("earlycon=xenboot"));
        assert!(!is_wanted("console=ttyAMA0 console=hvc01 xhvc0"));
    }
}
