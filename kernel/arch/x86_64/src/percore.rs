// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The block of a core: what the entry finds by GS, the core's descriptor tables and stacks.
//!
//! While a partition runs, its own base is in GS and the block's address waits in
//! IA32_KERNEL_GS_BASE; each entry from user mode swaps them first. NMI, #MC, #DB and #DF may come
//! in between, so they have stacks of their own and find the block on top of these, not by GS.

use crate::descriptors::{self, Gdt, Tss};
use core::mem::offset_of;
use zerocopy::FromZeros;

/// Bytes of the stack that the kernel runs on.
pub(crate) const STACK: usize = 16 * 1024;
/// Bytes of a stack for one of the exceptions that may come at any time.
pub(crate) const IST: usize = 4096;
/// How many exceptions have such stacks: NMI, #MC, #DB, #DF.
pub(crate) const ISTS: usize = 4;

/// A stack.
#[derive(FromZeros)]
#[repr(C, align(16))]
pub(crate) struct Stack<const BYTES: usize>([u8; BYTES]);

/// The block.
#[derive(FromZeros)]
#[repr(C, align(64))]
pub(crate) struct PerCore {
    /// The current vCPU's context, in the private window of the loaded root; 0 = none.
    pub(crate) frame: u64,
    /// The user's stack pointer, for a few instructions at a call's entry.
    pub(crate) user_sp: u64,
    /// Top of the kernel's stack.
    pub(crate) stack_top: u64,
    /// The core's state (a `*mut Core`).
    pub(crate) core: u64,
    /// The core's number.
    pub(crate) number: u64,
    /// The core's descriptor table.
    pub(crate) gdt: Gdt,
    /// Its task segment.
    pub(crate) tss: Tss,
    /// The stacks of the exceptions that may come at any time.
    pub(crate) ist: [Stack<IST>; ISTS],
    /// The stack.
    pub(crate) stack: Stack<STACK>,
}

impl PerCore {
    /// Makes zeros the block of core `number`: fills in the addresses, which depend on where it
    /// lies, so it must not move any more.
    pub(crate) fn settle(&mut self, number: u64) {
        self.number = number;
        self.tss.close();
        let at = core::ptr::from_mut(self) as u64;
        self.stack_top = at + (offset_of!(PerCore, stack) + STACK) as u64;
        self.gdt = descriptors::gdt(at + offset_of!(PerCore, tss) as u64);
        let mut tops = [0; 7];
        for (index, (stack, top)) in self.ist.iter_mut().zip(&mut tops).enumerate() {
            // Two words on top: the block's address, and one that keeps the alignment.
            *top = at + (offset_of!(PerCore, ist) + (index + 1) * IST - 16) as u64;
            if let Some(word) = stack.0.get_mut(IST - 16..IST - 8) {
                word.copy_from_slice(&at.to_le_bytes());
            }
        }
        self.tss.ist = tops;
        self.tss.stacks = [self.stack_top; 3];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_find_the_block_on_top_of_their_stacks() {
        let mut block = PerCore::new_box_zeroed().unwrap();
        block.settle(3);
        let at = &raw const *block as u64;
        let tops = block.tss.ist;
        for top in tops.iter().take(ISTS) {
            assert_eq!(top % 16, 0);
            let offset = (top - at) as usize;
            assert!(offset + 16 <= size_of::<PerCore>());
            // SAFETY: the address lies in the block, which is alive.
            let word = unsafe { *(*top as *const u64) };
            assert_eq!(word, at);
        }
        assert_eq!(block.stack_top % 16, 0);
        assert_eq!(block.stack_top, at + (offset_of!(PerCore, stack) + STACK) as u64);
    }
}
