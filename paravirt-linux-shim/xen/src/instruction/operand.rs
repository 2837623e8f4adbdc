// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Memory operands, and the registers that they and stores are made from.

use super::{Register, Width};

/// Bits of RFLAGS.
pub mod flag {
    /// Carry.
    pub const CARRY: u64 = 1 << 0;
    /// Parity of the low byte.
    pub const PARITY: u64 = 1 << 2;
    /// Carry out of bit 3.
    pub const ADJUST: u64 = 1 << 4;
    /// Zero.
    pub const ZERO: u64 = 1 << 6;
    /// Sign.
    pub const SIGN: u64 = 1 << 7;
    /// Signed overflow.
    pub const OVERFLOW: u64 = 1 << 11;
    /// What arithmetic sets.
    pub const ARITHMETIC: u64 = CARRY | PARITY | ADJUST | ZERO | SIGN | OVERFLOW;
}

/// Registers of the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// By number.
    pub general: [u64; 16],
    /// Where the instruction begins.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,
}

impl Registers {
    /// Reads a register; a byte register that is not a low one has number 16 and up (ah, ch, dh, bh).
    #[must_use]
    pub fn get(&self, register: Register, width: Width) -> u64 {
        let at = |number: Register| self.general.get(usize::from(number)).copied().unwrap_or(0);
        match register {
            HIGH_BYTE.. => width.cut(at(register - HIGH_BYTE) >> 8),
            _ => width.cut(at(register)),
        }
    }

    /// Writes a register as instructions do: 32 bits clear the rest, fewer keep it.
    pub fn set(&mut self, register: Register, width: Width, value: u64) {
        let (number, shift) = if register >= HIGH_BYTE { (register - HIGH_BYTE, 8) } else { (register, 0) };
        if let Some(slot) = self.general.get_mut(usize::from(number)) {
            *slot = match width {
                Width::Quad => value,
                Width::Long => width.cut(value),
                Width::Byte | Width::Word => *slot & !(width.cut(u64::MAX) << shift) | width.cut(value) << shift,
            };
        }
    }
}

/// The number of ah among registers.
pub(super) const HIGH_BYTE: Register = 16;

/// A segment whose base counts in 64-bit mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentOverride {
    /// FS.
    Fs,
    /// GS.
    Gs,
}

/// Bases of the segments that have one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bases {
    /// FS.
    pub fs: u64,
    /// GS.
    pub gs: u64,
}

/// A memory operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// A register that is added.
    pub base: Option<Register>,
    /// A register that is added, shifted left by so many bits.
    pub index: Option<(Register, u8)>,
    /// What is added.
    pub displacement: i64,
    /// The address behind the instruction is added.
    pub rip_relative: bool,
    /// A base that is added.
    pub segment: Option<SegmentOverride>,
    /// The sum is cut to 32 bits before that.
    pub short: bool,
}

impl Memory {
    /// The linear address, for an instruction of that length.
    #[must_use]
    pub fn address(&self, registers: &Registers, length: u8, bases: Bases) -> u64 {
        let register = |number: Register| registers.get(number, Width::Quad);
        let mut address = self.displacement.cast_unsigned();
        if let Some(base) = self.base {
            address = address.wrapping_add(register(base));
        }
        if let Some((index, shift)) = self.index {
            address = address.wrapping_add(register(index) << shift);
        }
        if self.rip_relative {
            address = address.wrapping_add(registers.rip).wrapping_add(length.into());
        }
        if self.short {
            address = Width::Long.cut(address);
        }
        address.wrapping_add(match self.segment {
            Some(SegmentOverride::Fs) => bases.fs,
            Some(SegmentOverride::Gs) => bases.gs,
            None => 0,
        })
    }
}
