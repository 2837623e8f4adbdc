// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Tests: the walker on memory that keeps its history, looked at by an independent reader.

mod arena;
mod formats;
mod history;
mod links;
mod mmu;
mod properties;
mod refusals;

use crate::mapping::{Access, Mapping, Memory, Pa};

const KIB4: u64 = 4 << 10;
const MIB2: u64 = 2 << 20;
const GIB1: u64 = 1 << 30;

/// Where the tests for long mode put their kernel.
const KERNEL: u64 = 0xffff_8000_0000_0000;

/// Read-write memory, as partitions have it.
fn data(va: u64, pa: u64, len: u64) -> Mapping {
    Mapping { va, pa: Pa(pa), len, access: Access::READ_WRITE.for_user(), memory: Memory::Normal }
}
