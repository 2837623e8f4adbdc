// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Loads and stores that the syndrome doesn't describe (`ISV = 0`), decoded from the instruction
//! itself.
//!
//! The processor describes single-register accesses without writeback. A compiler may use others on
//! a device all the same: pairs, and pre- or post-indexed forms. Encodings after the Arm ARM (DDI
//! 0487), C4.1.94 "Loads and Stores".
//!
//! ```text
//!   single, writeback   size 111 V 00 opc 0 imm9 x1 Rn Rt        x: 0 post-index, 1 pre-index
//!   pair                opc 101 V 0 mode L imm7 Rt2 Rn Rt        mode: 01 post-index, 10 offset, 11 pre-index
//! ```
//!
//! Vector registers (V = 1), exclusives, atomics and a stack pointer that points at a device are
//! left out: no sane driver uses them there.

use crate::registers::GuestRegisters;

/// What a load or store moves, without its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Bytes of one element: 1, 2, 4 or 8.
    pub width: u8,
    /// The general-purpose registers of the elements; 31 is the zero register.
    pub registers: [u8; 2],
    /// How many elements: one, two for a pair, none for cache maintenance.
    pub elements: u8,
    /// A store (true) or a load.
    pub write: bool,
    /// A load extends the sign.
    pub sign_extend: bool,
    /// A load fills all 64 bits of the register; otherwise the upper half becomes zero.
    pub sixty_four: bool,
    /// The base register that changes too.
    pub writeback: Option<Writeback>,
}

/// A base register that a pre- or post-indexed access moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writeback {
    /// Which general-purpose register.
    pub register: u8,
    /// By how many bytes.
    pub offset: i64,
}

impl Transfer {
    /// The transfer that moves nothing: the instruction is stepped over.
    pub const NONE: Self = Self {
        width: 1,
        registers: [31; 2],
        elements: 0,
        write: false,
        sign_extend: false,
        sixty_four: true,
        writeback: None,
    };

    /// Returns what a store writes, cut to its width.
    #[must_use]
    pub fn stored(&self, register: u8, registers: &impl GuestRegisters) -> u64 {
        registers.x(register) & width_mask(self.width)
    }

    /// Returns what a load that got `value` from the device leaves in its register.
    #[must_use]
    pub fn loaded(&self, value: u64) -> u64 {
        let mask = width_mask(self.width);
        let value = value & mask;
        let sign = (mask >> 1).wrapping_add(1);
        let extended = if self.sign_extend && value & sign != 0 { value | !mask } else { value };
        if self.sixty_four { extended } else { extended & 0xffff_ffff }
    }
}

const fn width_mask(width: u8) -> u64 {
    match width {
        1 => 0xff,
        2 => 0xffff,
        4 => 0xffff_ffff,
        _ => u64::MAX,
    }
}

/// Decodes the load or store `word`, or nothing if it isn't one that works on a device.
#[must_use]
pub fn decode(word: u32) -> Option<Transfer> {
    match word >> 24 & 0b11_1111 {
        0b11_1000 if word & 0x0020_0400 == 0x0400 => single(word),
        0b10_1000 | 0b10_1001 => pair(word),
        _ => None,
    }
}

/// Sign-extends the lowest `bits` bits.
const fn signed(value: u32, bits: u32) -> i64 {
    ((value << (32 - bits)) as i32 >> (32 - bits)) as i64
}

const fn register(word: u32, low: u32) -> u8 {
    (word >> low & 31) as u8
}

/// Decodes a pre- or post-indexed access of one register.
fn single(word: u32) -> Option<Transfer> {
    let size = word >> 30;
    let (write, sign_extend, sixty_four) = match (word >> 22 & 0b11, size) {
        (0b00, _) => (true, false, true),
        (0b01, _) => (false, false, size == 3),
        (0b10, 0..=2) => (false, true, true),
        (0b11, 0..=1) => (false, true, false),
        _ => return None,
    };
    Some(Transfer {
        width: 1 << size,
        registers: [register(word, 0), 31],
        elements: 1,
        write,
        sign_extend,
        sixty_four,
        writeback: Some(writeback(word, signed(word >> 12 & 0x1ff, 9))?),
    })
}

/// Decodes a pair: `stp`, `ldp` or `ldpsw`.
fn pair(word: u32) -> Option<Transfer> {
    let load = word >> 22 & 1 == 1;
    let (width, sign_extend) = match (word >> 30, load) {
        (0b00, _) => (4, false),
        (0b01, true) => (4, true),
        (0b10, _) => (8, false),
        _ => return None,
    };
    let writeback = match word >> 23 & 0b11 {
        0b01 | 0b11 => Some(writeback(word, signed(word >> 15 & 0x7f, 7) * i64::from(width))?),
        _ => None,
    };
    Some(Transfer {
        width,
        registers: [register(word, 0), register(word, 10)],
        elements: 2,
        write: !load,
        sign_extend,
        sixty_four: sign_extend || width == 8,
        writeback,
    })
}

/// Names the base register and its step; the stack pointer is refused.
fn writeback(word: u32, offset: i64) -> Option<Writeback> {
    let register = register(word, 5);
    (register != 31).then_some(Writeback { register, offset })
}
