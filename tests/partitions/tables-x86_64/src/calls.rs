// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Random calls of guest partitions, and garbage in the queue.

use core::mem::offset_of;

use parzelle_rt::abi::PAGE;
use parzelle_rt::abi::x86_64::{Guest, GuestCall, LDT_ENTRIES, NO_ROOT};

use crate::ram::{BELOW, COUNT, GARBAGE, KERNEL_ROOT, USER_ROOT, level};
use crate::{Attack, SETTLED, UNSETTLED, raw};

/// Descriptors that guests have, and some that none may have: 32-bit code and data, 16-bit code and
/// stack, data that expands down, conforming code, code of ring 0, a call gate, a task segment.
const DESCRIPTORS: [u64; 10] = [
    0x00cf_fb00_0000_ffff,
    0x00cf_f300_0000_ffff,
    0x000f_fb00_0000_ffff,
    0x000f_f300_0000_ffff,
    0x00cf_f700_0000_0fff,
    0x00cf_ff00_0000_ffff,
    0x00cf_9b00_0000_ffff,
    0x0000_ec00_0033_0000,
    0x0000_8900_0000_0067,
    0x00af_fb00_0000_ffff,
];

impl Attack {
    /// A frame: of a table that makes sense, of garbage, any, none.
    fn frame(&mut self) -> u64 {
        match self.random.below(16) {
            0..10 => GARBAGE + self.random.below(COUNT),
            10..13 => USER_ROOT + self.random.below(5),
            13 => self.random.below(self.ram.frames),
            14 => self.ram.frames.wrapping_add(self.random.below(3)).wrapping_sub(1),
            _ => self.random.edge(),
        }
    }

    fn lines(&mut self) -> u64 {
        match self.random.below(4) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << self.random.below(64),
            _ => self.random.word(),
        }
    }

    /// One call.
    pub(crate) fn call(&mut self) {
        let number = match self.random.below(64) {
            0 => (self.random.edge() | 0x80) & i64::MAX as u64,
            _ => GuestCall::Create as u64 + self.random.below(8),
        };
        let frame = self.frame();
        let index = if self.random.below(16) == 0 { self.random.edge() } else { self.random.below(512) };
        let own = match frame {
            USER_ROOT | KERNEL_ROOT => 4,
            _ if BELOW.contains(&frame) => 4 - (frame - USER_ROOT),
            _ => level(frame),
        };
        let [b, c] = match number {
            64 => [if self.random.below(16) == 0 { self.random.edge() } else { own }, self.lines()],
            65 => [self.lines(), 0],
            66 => [index, self.ram.entry(&mut self.random, own)],
            69 => [self.root(USER_ROOT), 0],
            70 => [if self.random.below(2) == 0 { 0 } else { self.generation }, 0],
            71 => [self.descriptor(), 0],
            _ => [self.random.edge(), self.random.edge()],
        };
        let a = match number {
            69 => self.root(KERNEL_ROOT),
            71 => self.slot(),
            _ => frame,
        };
        let (status, value) = raw(number, [a, b, c]);
        self.count(number, status);
        if number == GuestCall::Flush as u64 && status == 0 && value != 0 {
            self.generation = value;
        }
    }

    fn root(&mut self, usual: u64) -> u64 {
        match self.random.below(32) {
            0 => NO_ROOT,
            1 => USER_ROOT + KERNEL_ROOT - usual,
            2..16 => usual,
            16..30 => GARBAGE + 3 + 4 * self.random.below(COUNT / 4),
            _ => self.frame(),
        }
    }

    fn slot(&mut self) -> u64 {
        match self.random.below(4) {
            0 => self.random.pick(&[4, 12, 13, 14, 15]),
            1 => self.random.below(18),
            2 => 1 << 16 | self.random.below(LDT_ENTRIES + 2),
            _ => 1 << 16 | self.random.below(8),
        }
    }

    fn descriptor(&mut self) -> u64 {
        let one = self.random.pick(&DESCRIPTORS);
        match self.random.below(4) {
            0 => self.random.word(),
            1 => one ^ 1 << self.random.below(64),
            _ => one,
        }
    }

    /// A selector: of a guest's segment, of any.
    pub(crate) fn selector(&mut self) -> u64 {
        match self.random.below(4) {
            0 => self.random.pick(&[0, 0x23, 0x2b, 0x33, 0x63, 0x6b, 0x73, 0x7b, 0x1b]),
            1 => self.random.below(8) << 3 | 7,
            2 => self.random.below(0x90),
            _ => self.random.word() & 0xffff,
        }
    }

    /// Makes a table that makes sense, with all below it, and both roots those of the vCPU; as a shim
    /// would, but for what is refused since garbage is in the way.
    pub(crate) fn settle(&mut self) {
        self.ram.repair();
        for (frame, level) in BELOW.into_iter().rev().zip(1..).chain([(USER_ROOT, 4), (KERNEL_ROOT, 4)]) {
            for _ in 0..4 {
                let _ = raw(GuestCall::Create as u64, [frame, level, 0]);
            }
            let mut lines = 1 | 1 << 34;
            for _ in 0..16 {
                if let (0, 0) = raw(GuestCall::Fill as u64, [frame, lines, 0]) {
                    break;
                }
                lines = 0;
            }
        }
        let (status, _) = raw(GuestCall::SetRoots as u64, [KERNEL_ROOT, USER_ROOT, 0]);
        self.settled = status == 0;
        self.count(if self.settled { SETTLED } else { UNSETTLED }, 0);
        if !self.settled && self.random.below(4) == 0 {
            self.clear();
        }
    }

    /// Destroys the tables that make sense, and those of garbage that can be: parents first.
    fn clear(&mut self) {
        let _ = raw(GuestCall::SetRoots as u64, [NO_ROOT, NO_ROOT, 0]);
        let roots = [USER_ROOT, KERNEL_ROOT].into_iter().chain(BELOW);
        let garbage = (0..4).rev().flat_map(|rest| (0..COUNT / 4).map(move |place| GARBAGE + 4 * place + rest));
        for frame in roots.chain(garbage) {
            while let (0, 1) = raw(GuestCall::Destroy as u64, [frame, 0, 0]) {}
        }
        let _ = raw(GuestCall::Flush as u64, [u64::MAX, 0, 0]);
    }

    /// Changes entries of tables, and queues that, or something else, or garbage.
    pub(crate) fn queue(&mut self) {
        let garbage = self.random.below(16) == 0;
        let count = self.random.below(65);
        for slot in 0..count {
            let (frame, index) = (self.frame(), self.random.below(512));
            if self.random.below(2) == 0 && (GARBAGE..GARBAGE + COUNT).contains(&frame) {
                let entry = self.ram.entry(&mut self.random, level(frame));
                self.ram.write(frame * PAGE + index * 8, entry);
            }
            let element = match self.random.below(8) {
                0 => self.random.edge(),
                1 => frame << 12 | index << 3 | self.random.below(512) << 52,
                _ => frame << 12 | index << 3,
            };
            self.set(offset_of!(Guest, queue) + 8 * slot as usize, element);
        }
        let count = if garbage { self.random.edge() } else { count };
        self.set(offset_of!(Guest, queued), count);
        for _ in 0..self.random.below(4) {
            let _ = raw(GuestCall::Drain as u64, [0; 3]);
        }
    }
}
