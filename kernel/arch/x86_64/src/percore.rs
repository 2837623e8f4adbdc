// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The block of a core: what the entry finds by GS, the core's descriptor tables and stacks.
//!
//! While a partition runs, its own base is in GS and the block's address waits in
//! IA32_KERNEL_GS_BASE; each entry from user mode swaps them first. NMI, #MC and #DB may come in
//! between, and #DF when the kernel's stack is used up; so they have stacks of their own, and find
//! out by the code segment where they came from. Below each stack lies a page that is never mapped:
//!
//! ```text
//!   the arena begins with   │ - │ kernel │ - │ NMI #MC #DB │ - │ #DF │   for each core
//! ```
//! NMI, #MC and #DB share one, because one that comes on top of another comes in the kernel, which is
//! the end anyway.

use crate::context::{Context, SAVED};
use crate::descriptors::{self, Gdt, Tss};
use crate::layout::PAGE;
use core::mem::offset_of;
use core::ops::Range;
use parzelle_plan::Plan;
use zerocopy::FromZeros;

/// Bytes of the stacks: the one that the kernel runs on, then those that gates name.
const STACKS: [u64; 3] = [4 * PAGE, PAGE, PAGE];
/// Bytes of all stacks of a core, with the pages below.
pub(crate) const STACKS_BYTES: u64 = STACKS[0] + STACKS[1] + STACKS[2] + STACKS.len() as u64 * PAGE;

/// The stacks of the core whose stacks begin at `base`.
pub(crate) fn stacks(base: u64) -> [Range<u64>; STACKS.len()] {
    let mut end = base;
    STACKS.map(|bytes| {
        let start = end + PAGE;
        end = start + bytes;
        start..end
    })
}

/// Where the stacks of all cores lie (physical), [`STACKS_BYTES`] for each.
pub(crate) fn all_stacks(plan: &Plan<'_>) -> Range<u64> {
    let start = plan.system.arena;
    start..start.saturating_add(plan.cores().len() as u64 * STACKS_BYTES)
}

/// The block.
#[derive(FromZeros)]
#[repr(C, align(64))]
pub(crate) struct PerCore {
    /// The user's stack pointer, for a few instructions at a call's entry.
    pub(crate) user_sp: u64,
    /// Top of the kernel's stack.
    pub(crate) stack_top: u64,
    /// The core's state (a `*mut Core`).
    pub(crate) core: u64,
    /// The core's descriptor table.
    pub(crate) gdt: Gdt,
    /// Its task segment: its stack for level 0 is where the current vCPU's registers are saved.
    pub(crate) tss: Tss,
}

/// Where the block says where the current vCPU's registers are saved.
#[cfg(target_os = "none")]
pub(crate) const SAVE: usize = offset_of!(PerCore, tss) + offset_of!(Tss, stack);

impl PerCore {
    /// Makes zeros the block of the core whose stacks begin at `base`: fills in addresses, also the
    /// block's own, so it must not move any more.
    pub(crate) fn settle(&mut self, base: u64) {
        let [kernel, any, double] = stacks(base).map(|stack| stack.end);
        self.stack_top = kernel;
        self.gdt = descriptors::gdt(core::ptr::from_mut(self) as u64 + offset_of!(PerCore, tss) as u64);
        self.tss.close();
        self.tss.stack = kernel;
        // What is handed on as a `Context` is longer than what is pushed here, by the bases.
        let bases = (size_of::<Context>() as u64) - SAVED;
        self.tss.ist = [any - bases, double - bases, 0, 0, 0, 0, 0];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_lie_apart_and_fill_their_room() {
        let [kernel, any, double] = stacks(0x1000);
        assert_eq!(kernel, 0x2000..0x6000);
        assert_eq!(any.start, kernel.end + PAGE);
        assert_eq!(double.start, any.end + PAGE);
        assert_eq!(double.end, 0x1000 + STACKS_BYTES);
    }
}
