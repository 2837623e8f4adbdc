// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Arm EL2 stage 1: the kernel's own map.
//!
//! Root at level 1 and 39 bits of address: TCR_EL2.T0SZ = 25, TG0 = 0; HCR_EL2.E2H = 0, so there is
//! one range of addresses and one privilege level (Arm ARM, D8.3.1 for the attributes). No partition
//! ever runs under it, hence no user access; and what EL2 can see it can read, hence no access
//! without reading.

use super::vmsa::Vmsa;
use super::when;
use crate::mapping::Memory;

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

impl Vmsa for El2 {
    const USER: bool = false;
    /// Bits 4:2, AttrIndx: an attribute of MAIR_EL2.
    const MEMORY: &'static [(Memory, u64)] = &[(Memory::Device, 0 << 2), (Memory::Normal, 1 << 2)];
    const ATTRIBUTES: u64 = 0b111 << 2 | AP1_RES1 | READ_ONLY;

    fn rights(read: bool, write: bool) -> Option<u64> {
        read.then_some(AP1_RES1 | when(!write, READ_ONLY))
    }
}
