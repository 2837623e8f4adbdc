// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! x86-64 long mode: four levels, partitions and kernel in one root.
//!
//! Intel SDM, Vol. 3A, §4.5.4 (entries), §4.6 (access rights), §4.9 (memory types, with the PAT as
//! it is after reset). EFER.NXE and CR0.WP have to be set.
//!
//! ```text
//!   slot 0 ............ 255 | 256 ...... 271 | 272 ............ 511
//!        partitions         | the kernel     |      partitions
//! ```
//!
//! The kernel lives in the hole that Xen's ABI keeps free; no entry there lets partitions pass, but for
//! one that is a guest partition's shim.
//! Elsewhere tables let everybody pass, and the leaf decides.
//!
//! Accessed and dirty are set from the start, so that the hardware never writes to a table: no
//! locked cycles within a window, and no bit that was not planned.

use super::{Entry, Format, Table, when};
use crate::level::Level;
use crate::mapping::{Access, Leaf, Memory, Pa};

/// Bit 0, P.
const PRESENT: u64 = 1 << 0;
/// Bit 1, R/W: writes are allowed.
const WRITE: u64 = 1 << 1;
/// Bit 2, U/S: user mode is allowed.
const USER: u64 = 1 << 2;
/// Bit 3, PWT.
const WRITE_THROUGH: u64 = 1 << 3;
/// Bit 4, PCD.
const CACHE_DISABLE: u64 = 1 << 4;
/// Bit 5, A.
const ACCESSED: u64 = 1 << 5;
/// Bit 6, D; ignored in an entry that refers to a table.
const DIRTY: u64 = 1 << 6;
/// Bit 7, PS: a leaf, where there could be a table. (In a page's entry it is the PAT bit, which stays clear.)
const LARGE: u64 = 1 << 7;
/// Bit 9: ignored by the hardware. Here: a table linked from another root.
const SHARED: u64 = 1 << 9;
/// Bits 51:12: the physical address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bit 63, XD.
const EXECUTE_DISABLE: u64 = 1 << 63;

/// PAT entry 3: UC, uncached whatever the MTRRs say.
const DEVICE: u64 = CACHE_DISABLE | WRITE_THROUGH;

/// Long mode's tables, as CR3 takes them.
#[derive(Debug)]
pub enum LongMode {}

impl LongMode {
    /// Root entries that only the kernel may use: 0xffff_8000_0000_0000 to 0xffff_87ff_ffff_ffff.
    pub const KERNEL_SLOTS: core::ops::Range<usize> = 256..272;
    /// The one of them through which a partition passes that is a guest's shim.
    pub const SHIM_SLOT: usize = 258;
}

impl Format for LongMode {
    const ROOT: Level = Level::Gib512;
    /// Not 1 GiB, which not every processor has.
    const LEAVES: &'static [Level] = &[Level::Mib2, Level::Kib4];
    const SIGN_EXTENDED: bool = true;
    const PHYSICAL_BITS: u32 = 52;

    fn supports(va: u64, access: Access, _memory: Memory) -> bool {
        access.read && (!access.user || Self::user_may_pass(va))
    }

    fn user_may_pass(va: u64) -> bool {
        let slot = Self::ROOT.index(va);
        !Self::KERNEL_SLOTS.contains(&slot) || slot == Self::SHIM_SLOT
    }

    fn table(table: Table) -> u64 {
        PRESENT | WRITE | ACCESSED | (table.pa.0 & ADDRESS) | when(table.user, USER) | when(table.shared, SHARED)
    }

    fn leaf(leaf: Leaf, level: Level) -> u64 {
        PRESENT
            | ACCESSED
            | when(leaf.memory == Memory::Device, DEVICE)
            | (leaf.pa.0 & ADDRESS)
            | when(level != Level::Kib4, LARGE)
            | when(leaf.access.write, WRITE | DIRTY)
            | when(leaf.access.user, USER)
            | when(!leaf.access.execute, EXECUTE_DISABLE)
    }

    fn decode(word: u64, level: Level) -> Entry {
        let pa = Pa(word & ADDRESS);
        let user = word & USER != 0;
        if level != Level::Kib4 && word & LARGE == 0 {
            return Entry::Table(Table { pa, user, shared: word & SHARED != 0 });
        }
        let memory = match word & DEVICE {
            0 => Memory::Normal,
            DEVICE => Memory::Device,
            _ => return Entry::Malformed,
        };
        let access = Access { read: true, write: word & WRITE != 0, execute: word & EXECUTE_DISABLE == 0, user };
        Entry::Leaf(Leaf { pa, access, memory })
    }
}
