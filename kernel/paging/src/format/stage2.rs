// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Arm stage 2: the fence around a partition.
//!
//! Root at level 1 and 39 bits of intermediate physical address: VTCR_EL2.T0SZ = 25, SL0 = 1,
//! TG0 = 0 (Arm ARM, D8.3.2 for the attributes). Native programs run behind it with stage 1 off;
//! for a guest it is what the guest believes to be physical memory. Stage 2 knows no kernel, so
//! whatever is mapped here is for partitions, and says so.

use super::vmsa::Vmsa;
use super::when;
use crate::mapping::Memory;

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

impl<const GUEST: bool> Vmsa for AnyStage2<GUEST> {
    const USER: bool = true;
    const MAY_WRITE_CODE: bool = GUEST;
    /// Bits 5:2, MemAttr: write-back cacheable (both inner and outer), Device-nGnRE.
    const MEMORY: &'static [(Memory, u64)] = &[(Memory::Normal, 0b1111 << 2), (Memory::Device, 0b0001 << 2)];
    const ATTRIBUTES: u64 = 0b1111 << 2 | READ | WRITE;

    fn rights(read: bool, write: bool) -> Option<u64> {
        Some(when(read, READ) | when(write, WRITE))
    }
}
