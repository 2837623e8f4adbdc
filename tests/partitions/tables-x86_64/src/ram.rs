// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's memory, and what is in it: tables that make sense, which are made anew every now and then,
//! and tables of garbage around them.
//!
//! ```text
//!   frame 0x100–0x13f  garbage, by preference of level (frame & 3) + 1
//!         0x200  L4 user ─► 0x201 L3 ─► 0x202 L2 ─► 0x203 L1 ─► 0x205 pieces, 0x206 garbage code, 0x207 stack …
//!         0x204  L4 kernel: the same at 0 and at slot 272
//! ```

use parzelle_rt::abi::PAGE;
use test_support::Random;

use crate::ways::{pieces, pieces_end};

/// Frames of garbage tables.
pub(crate) const GARBAGE: u64 = 0x100;
/// How many.
pub(crate) const COUNT: u64 = 64;
/// The root of the guest context that makes sense.
pub(crate) const USER_ROOT: u64 = 0x200;
/// The tables below, by level 3, 2, 1.
pub(crate) const BELOW: [u64; 3] = [0x201, 0x202, 0x203];
/// The root of the host context that makes sense.
pub(crate) const KERNEL_ROOT: u64 = 0x204;
/// Frames with code and stack, mapped one behind the other from [`CODE`] on.
const FIRST: u64 = 0x205;
/// How many.
const MAPPED: u64 = 8;
/// Where the pieces of code are mapped.
pub(crate) const CODE: u64 = 0x40_0000;
/// The same in the kernel's half.
pub(crate) const HIGH: u64 = 0xffff_8800_0000_0000 + CODE;
/// `iret` of 32 bits. QEMU 7.2 lets ring 3 set VM and IOPL by it, in long mode too: in virtual-8086 mode, which
/// no processor has there (Intel SDM, Vol. 2A, IRET), CS says nothing about who was interrupted any more. No
/// kernel can help that; so foreign code has no such byte, and what it can write it can't execute.
const IRET: u8 = 0xcf;
/// From here on what is mapped is a stack, and no code.
const STACK: u64 = 5;
/// P, RW, US, A, D.
pub(crate) const FLAGS: u64 = 0x67;
/// RW.
const WRITE: u64 = 2;
/// NX.
const NO_EXECUTE: u64 = 1 << 63;

/// The guest's memory, in the shim.
#[derive(Clone, Copy)]
pub(crate) struct Ram {
    pub(crate) base: u64,
    pub(crate) frames: u64,
}

impl Ram {
    /// Writes a word; the address is made one in the memory. None of its bytes is [`IRET`].
    pub(crate) fn write(self, address: u64, word: u64) {
        let word = u64::from_le_bytes(word.to_le_bytes().map(|byte| if byte == IRET { IRET - 1 } else { byte }));
        let at = self.base + address % (self.frames * PAGE) / 8 * 8;
        // SAFETY: in the guest's memory, to which this program has no references.
        unsafe { (at as *mut u64).write_volatile(word) };
    }

    fn clear(self, frame: u64) {
        (0..512).for_each(|index| self.write(frame * PAGE + index * 8, 0));
    }

    /// Makes the tables that make sense what they should be.
    pub(crate) fn repair(self) {
        let entry = |frame: u64| (frame * PAGE) | FLAGS;
        for frame in [USER_ROOT, KERNEL_ROOT].into_iter().chain(BELOW) {
            self.clear(frame);
        }
        let [three, two, one] = BELOW;
        self.write(USER_ROOT * PAGE, entry(three));
        self.write(KERNEL_ROOT * PAGE, entry(three));
        self.write(KERNEL_ROOT * PAGE + 272 * 8, entry(three));
        self.write(three * PAGE, entry(two));
        self.write(two * PAGE + CODE / (2 << 20) * 8, entry(one));
        for page in 0..MAPPED {
            let leaf = if page < STACK { entry(FIRST + page) & !WRITE } else { entry(FIRST + page) | NO_EXECUTE };
            self.write(one * PAGE + page * 8, leaf);
        }
    }

    /// Copies the pieces, and fills the other pages with garbage.
    pub(crate) fn code(self, random: &mut Random) {
        let from = &raw const pieces as u64;
        let bytes = (&raw const pieces_end as u64) - from;
        for offset in (0..bytes).step_by(8) {
            // SAFETY: constants of this program.
            let word = unsafe { ((from + offset) as *const u64).read_unaligned() };
            self.write(FIRST * PAGE + offset, word);
        }
        for offset in (PAGE..MAPPED * PAGE).step_by(8) {
            self.write(FIRST * PAGE + offset, random.word());
        }
    }

    /// Makes all garbage tables: entries that lead to each other, to memory, to nowhere.
    pub(crate) fn garbage(self, random: &mut Random) {
        for frame in GARBAGE..GARBAGE + COUNT {
            self.clear(frame);
            for _ in 0..random.below(64) {
                let index = random.below(512);
                let entry = self.entry(random, level(frame));
                self.write(frame * PAGE + index * 8, entry);
            }
        }
    }

    /// An entry for a table of this level.
    pub(crate) fn entry(self, random: &mut Random, level: u64) -> u64 {
        let frame = match random.below(16) {
            // One of the level below, by preference.
            0..10 if level > 1 => GARBAGE + random.below(COUNT / 4) * 4 + (level - 2),
            0..10 => random.below(self.frames),
            10 => USER_ROOT + random.below(16),
            11 => random.below(1 << 20),
            12 => 0xfee00,
            13 => random.edge() & 0xff_ffff_ffff,
            _ => GARBAGE + random.below(COUNT),
        };
        let flags = match random.below(8) {
            0..4 => FLAGS,
            4 => FLAGS | NO_EXECUTE,
            5 => FLAGS & random.word(),
            6 => random.word() & (0xfff | NO_EXECUTE),
            _ => random.edge(),
        };
        let flags = if level == 1 && flags & WRITE != 0 { flags | NO_EXECUTE } else { flags };
        frame << 12 & 0x000f_ffff_ffff_f000 | flags
    }
}

/// The level that a garbage table has by preference.
pub(crate) const fn level(frame: u64) -> u64 {
    (frame & 3) + 1
}
