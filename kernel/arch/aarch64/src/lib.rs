// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The aarch64 side of the kernel: EL2 with HCR_EL2.E2H = 0, the same on every ARMv8.0 core.
//!
//! ```text
//!   boot.S ─► boot ─► devicetree (checks), space (tables), cores (the others) ─► first window
//!   trap.S ─► core_block (handlers) ─► parzelle_core ─► machine: context, guest, timer, irqchip
//! ```
//! Native partitions run at EL0 with TGE = 1, VM = 1 and DC = 1: stage 1 is off, stage 2 alone is
//! the fence. Guests run at EL1 with TGE = 0 under a stage 2 of their own (`guest`).
//!
//! What only decides (syndromes, list registers, PSTATE, the device tree) runs in the tests on the
//! host; only assembly is left out there.
#![cfg_attr(not(test), no_std)]
#![cfg_attr(not(target_arch = "aarch64"), allow(dead_code, unused_mut, unused_unsafe, unused_variables))]

mod arena;
mod boot;
mod console;
mod context;
mod control;
mod core_block;
mod cores;
mod debug;
mod devicetree;
mod gicv3;
mod guest;
mod irqchip;
mod machine;
#[cfg(feature = "measure")]
mod measure;
mod memory;
mod mmio;
mod refusal;
mod registers;
mod space;
mod syndrome;
mod system;
mod timer;
mod virtual_interrupt;

pub use boot::{Board, EarlyTable, boot};
pub use console::panicked;

/// A block of normal memory in the early table: valid, write-back (MAIR 1), inner shareable,
/// accessed. In the format of `parzelle_paging::El2`.
const EARLY_NORMAL: u64 = 1 | 1 << 2 | 1 << 6 | 3 << 8 | 1 << 10;
/// A block of device memory: valid, MAIR 0, accessed, never executed.
const EARLY_DEVICE: u64 = 1 | 1 << 6 | 1 << 10 | 1 << 54;
/// TCR_EL2 but for the size of physical addresses: 39 bits, 4 KiB, walks inner shareable, write-back.
const TCR: u64 = 1 << 31 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8 | 25;
/// SCTLR_EL2: MMU, caches; reserved bits.
const SCTLR: u64 = 0x30c5_1835;

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    include_str!("boot.S"),
    // Of the image's header: little-endian, 4 KiB pages, near the start of RAM.
    flags = const 1 << 1,
    mair = const parzelle_paging::El2::MAIR,
    tcr = const TCR,
    sctlr = const SCTLR,
    stack_top = const core_block::STACK_TOP,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(include_str!("trap.S"), svc = const syndrome::class::SVC);
