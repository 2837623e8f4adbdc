// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Arm EL2 stage 1: the kernel's own map.
//!
//! Root at level 1 and 39 bits of address: TCR_EL2.T0SZ = 25, TG0 = 0; HCR_EL2.E2H = 0, so there is
//! one range of addresses and one privilege level (Arm ARM, D8.3.1 for the attributes). No partition
//! ever runs under it, hence no user access; and what EL2 can see it can read, hence no access
//! without reading.

use super::{Entry, Format, Table, vmsa, when};
use crate::level::Level;
use crate::mapping::{Access, Leaf, Memory, Pa};

/// Bits 4:2, AttrIndx: MAIR_EL2's attribute 0, which boot sets to Device-nGnRE (0x04).
const DEVICE: u64 = 0 << 2;
/// Bits 4:2, AttrIndx: MAIR_EL2's attribute 1, which boot sets to normal write-back (0xff).
const NORMAL: u64 = 1 << 2;
/// Bits 4:2: all of AttrIndx.
const ATTR_INDX: u64 = 0b111 << 2;
/// Bit 6, AP[1]: reserved, one, where there is one privilege level.
const AP1_RES1: u64 = 1 << 6;
/// Bit 7, AP[2]: read-only.
const READ_ONLY: u64 = 1 << 7;

/// Stage 1 of EL2.
#[derive(Debug)]
pub enum El2 {}

impl El2 {
    /// What MAIR_EL2 has to hold for these tables: attribute 0 Device-nGnRE, 1 normal write-back.
    pub const MAIR: u64 = 0xff04;
}

impl Format for El2 {
    const ROOT: Level = Level::Gib1;
    const LEAVES: &'static [Level] = vmsa::LEAVES;
    const SIGN_EXTENDED: bool = false;
    const PHYSICAL_BITS: u32 = vmsa::PHYSICAL_BITS;

    fn supports(_va: u64, access: Access, memory: Memory) -> bool {
        access.read && !access.user && memory != Memory::Uncached
    }

    fn user_may_pass(_va: u64) -> bool {
        false
    }

    fn table(table: Table) -> u64 {
        vmsa::table(table)
    }

    fn leaf(leaf: Leaf, level: Level) -> u64 {
        let memory = if leaf.memory == Memory::Normal { NORMAL } else { DEVICE };
        vmsa::leaf(leaf, level) | memory | AP1_RES1 | when(!leaf.access.write, READ_ONLY)
    }

    fn decode(word: u64, level: Level) -> Entry {
        vmsa::decode(word, level, false, |pa| leaf(word, pa))
    }
}

/// Reads the attributes of a leaf.
fn leaf(word: u64, pa: Pa) -> Option<Leaf> {
    let memory = match word & ATTR_INDX {
        NORMAL => Memory::Normal,
        DEVICE => Memory::Device,
        _ => return None,
    };
    let access =
        Access { read: true, write: word & READ_ONLY == 0, execute: word & vmsa::EXECUTE_NEVER == 0, user: false };
    Some(Leaf { pa, access, memory })
}
