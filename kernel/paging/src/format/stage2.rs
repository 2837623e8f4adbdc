// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Arm stage 2: the fence around a partition.
//!
//! Root at level 1 and 39 bits of intermediate physical address: VTCR_EL2.T0SZ = 25, SL0 = 1,
//! TG0 = 0 (Arm ARM, D8.3.2 for the attributes). Native programs run behind it with stage 1 off;
//! for a guest it is what the guest believes to be physical memory. Stage 2 knows no kernel, so
//! whatever is mapped here is for partitions, and says so.

use super::{Entry, Format, Table, vmsa, when};
use crate::level::Level;
use crate::mapping::{Access, Leaf, Memory, Pa};

/// Bits 5:2, MemAttr: normal, inner and outer write-back cacheable.
const NORMAL_WRITE_BACK: u64 = 0b1111 << 2;
/// Bits 5:2, MemAttr: normal, inner and outer non-cacheable.
const NORMAL_NON_CACHEABLE: u64 = 0b0101 << 2;
/// Bits 5:2, MemAttr: Device-nGnRE.
const DEVICE_NGNRE: u64 = 0b0001 << 2;
/// Bits 5:2: all of MemAttr.
const MEM_ATTR: u64 = 0b1111 << 2;
/// Bit 6, S2AP[0]: reads are allowed.
const READ: u64 = 1 << 6;
/// Bit 7, S2AP[1]: writes are allowed.
const WRITE: u64 = 1 << 7;

/// Stage 2, of a native program or of a guest: use the two names below.
#[derive(Debug)]
pub enum AnyStage2<const GUEST: bool> {}

/// Stage 2 of a native program or a shim.
pub type Stage2 = AnyStage2<false>;

/// Stage 2 of a guest: the same bits, and memory may be writable and executable.
///
/// A guest loads and patches its own code, so its kernel needs both on all of its memory; whether a
/// page is the one or the other at a time it decides in its own stage 1. The fence stands between
/// partitions, not within one.
pub type GuestStage2 = AnyStage2<true>;

impl<const GUEST: bool> Format for AnyStage2<GUEST> {
    const ROOT: Level = Level::Gib1;
    const LEAVES: &'static [Level] = vmsa::LEAVES;
    const SIGN_EXTENDED: bool = false;
    const PHYSICAL_BITS: u32 = vmsa::PHYSICAL_BITS;
    const WRITABLE_CODE: bool = GUEST;

    fn supports(_va: u64, access: Access, _memory: Memory) -> bool {
        access.user
    }

    fn user_may_pass(_va: u64) -> bool {
        true
    }

    fn table(table: Table) -> u64 {
        vmsa::table(table)
    }

    fn leaf(leaf: Leaf, level: Level) -> u64 {
        let memory = match leaf.memory {
            Memory::Normal => NORMAL_WRITE_BACK,
            Memory::Uncached => NORMAL_NON_CACHEABLE,
            Memory::Device => DEVICE_NGNRE,
        };
        vmsa::leaf(leaf, level) | memory | when(leaf.access.read, READ) | when(leaf.access.write, WRITE)
    }

    fn decode(word: u64, level: Level) -> Entry {
        vmsa::decode(word, level, true, |pa| leaf(word, pa))
    }
}

/// Reads the attributes of a leaf.
fn leaf(word: u64, pa: Pa) -> Option<Leaf> {
    let memory = match word & MEM_ATTR {
        NORMAL_WRITE_BACK => Memory::Normal,
        NORMAL_NON_CACHEABLE => Memory::Uncached,
        DEVICE_NGNRE => Memory::Device,
        _ => return None,
    };
    let access = Access {
        read: word & READ != 0,
        write: word & WRITE != 0,
        execute: word & vmsa::EXECUTE_NEVER == 0,
        user: true,
    };
    Some(Leaf { pa, access, memory })
}
