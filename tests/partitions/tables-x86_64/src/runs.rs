// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Going on in foreign code: any word of [`Guest`] may be anything.

use core::mem::offset_of;

use parzelle_rt::abi::x86_64::{Guest, GuestCall, SHIM, SHIM_END};
use parzelle_rt::abi::{Call, PAGE};

use crate::ram::{CODE, HIGH};
use crate::ways::{depart, exit_fast, exit_full, exit_iretq, exit_odd};
use crate::{Attack, raw};

/// Where the kernel's windows begin.
const KERNEL: u64 = 0xffff_8000_0000_0000;

/// Addresses that programs don't have: not canonical, the kernel's, the shim's, the last ones.
const PLACES: [u64; 12] = [
    0,
    0x7fff_ffff_f000,
    0x7fff_ffff_ffff,
    0x8000_0000_0000,
    0xdead_beef_0000_0000,
    KERNEL,
    0xffff_8080_0000_0000,
    SHIM,
    SHIM + 0x40_0000,
    SHIM_END - 16,
    SHIM_END,
    u64::MAX,
];

impl Attack {
    fn address(&mut self, code: u64) -> u64 {
        match self.random.below(16) {
            0..7 => code + 16 * self.random.below(48),
            7..11 => code + self.random.below(8 * PAGE),
            11 => self.random.edge(),
            12 => self.random.pick(&PLACES).wrapping_add(self.random.below(16)),
            13 => self.random.word() & 0x7fff_ffff_ffff,
            14 => self.random.word() >> 12 << 12,
            _ => self.random.pick(&PLACES),
        }
    }

    /// Flags: any; seldom those that end at once (TF), or that change how things are compared.
    fn flags(&mut self) -> u64 {
        match self.random.below(4) {
            0 => u64::MAX,
            1 => self.random.word(),
            _ => 0x202,
        }
    }

    /// Sets the words from which foreign code goes on.
    fn words(&mut self, code: u64) -> u64 {
        let (rip, stack) = (self.address(code), self.address(code + 4 * PAGE));
        let (cs, ss) = match self.random.below(4) {
            0..2 => (0x33, 0x2b),
            2 => (0x23, 0x2b),
            _ => (self.selector(), self.selector()),
        };
        let flags = self.flags();
        let words = [rip, cs, flags, stack, ss, self.random.edge(), self.random.edge(), self.random.edge()];
        for (place, word) in words.into_iter().enumerate() {
            self.set(8 * place, word);
        }
        rip
    }

    /// An event ends what runs for ever.
    fn soon(&mut self) {
        let (_, now) = raw(Call::Time as u64, [0; 3]);
        // To get there takes a thousand instructions, or a nanosecond each.
        let (least, span) = if self.random.below(4) == 0 { (0, 2_000) } else { (1_500, 10_000) };
        // Cores share a clock under icount, so that most of the time goes to the others.
        let [least, span] = [least, span].map(|time| time * if self.alone { 1 } else { 20 });
        let at = now + least + self.random.below(span);
        let _ = raw(Call::SetTimer as u64, [at, 0, 0]);
    }

    /// Goes on in the guest context.
    pub(crate) fn resume(&mut self) -> ! {
        // What is queued would be taken first, and the call answered.
        let drain = self.random.below(8) != 0;
        let more = || matches!(raw(GuestCall::Drain as u64, [0; 3]), (0, 1..) | (1.., _));
        let _ = (0..100).find(|_| !drain || !more());
        let _ = self.words(CODE);
        let exit = match self.random.below(16) {
            0..7 => exit_fast as *const () as u64,
            15 => exit_odd as *const () as u64,
            _ => exit_full as *const () as u64,
        };
        // Less than 0, and neither resume.
        let odd = (self.random.edge() | 1 << 63) & !2;
        self.set(offset_of!(Guest, own) + 16, odd);
        self.leave(exit)
    }

    /// Goes on in foreign code of the host context, which may do the shim no harm: it begins in a piece, or
    /// somewhere that the shim and its neighbours in the address space are not.
    pub(crate) fn enter(&mut self) -> ! {
        let rip = self.words(HIGH);
        let wild = self.random.below(64) == 0;
        let near = (HIGH..HIGH + PAGE).contains(&rip) && rip.is_multiple_of(16);
        let nowhere = rip >= SHIM_END && rip.wrapping_sub(HIGH) > 64 * PAGE;
        let kernel = (KERNEL..SHIM).contains(&rip);
        if !(near || nowhere || kernel && wild) || self.random.below(4) == 0 {
            let piece = HIGH + 16 * self.random.below(48);
            self.set(offset_of!(Guest, rip), piece);
        }
        // 32-bit and other code finds its own meaning in what it executes.
        if self.random.below(8) != 0 {
            self.set(offset_of!(Guest, cs), 0x33);
        }
        self.leave(exit_iretq as *const () as u64)
    }

    /// Leaves; what comes back comes to `turn`.
    fn leave(&mut self, exit: u64) -> ! {
        let mut registers = [0; 12];
        registers.iter_mut().for_each(|register| *register = self.random.edge());
        for place in [2, 10, 11] {
            registers[place] = match self.random.below(3) {
                0 => self.selector(),
                1 => CODE + self.random.below(8 * PAGE),
                _ => self.random.word() & 0x7fff_ffff_ffff,
            };
        }
        self.soon();
        self.keep();
        // SAFETY: an exit; nothing of the stack is needed any more.
        unsafe { depart(&registers, self.guest, exit) }
    }
}
