// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Instructions that write memory, and what they make of it.

use super::operand::{Bases, Memory, Registers, flag};
use super::{Register, Width};

/// What is done to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Overwrites it.
    Move,
    /// Exchanges it with a register.
    Exchange,
    /// Writes a register if it equals the accumulator, else loads that.
    CompareExchange,
    /// Adds, and gives what was there to a register.
    ExchangeAdd,
    /// Adds.
    Add,
    /// Subtracts.
    Subtract,
    /// And.
    And,
    /// Or.
    Or,
    /// Exclusive or.
    Xor,
    /// Sets a bit.
    BitSet,
    /// Clears a bit.
    BitReset,
    /// Changes a bit.
    BitComplement,
}

/// With what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A register; ah, ch, dh, bh are 16 to 19.
    Register(Register),
    /// A number, sign-extended.
    Immediate(i64),
}

/// A store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Store {
    /// What.
    pub kind: StoreKind,
    /// How much.
    pub width: Width,
    /// With what.
    pub source: Source,
    /// Where; see [`Store::address`].
    pub memory: Memory,
    /// It has a LOCK prefix, or is an exchange: others see it in one step.
    pub locked: bool,
}

impl Store {
    /// The linear address of what is written, for an instruction of that length. Bits are counted
    /// from a register beyond the operand: the address moves along.
    #[must_use]
    pub fn address(&self, registers: &Registers, length: u8, bases: Bases) -> u64 {
        let address = self.memory.address(registers, length, bases);
        match (self.is_bit(), self.source) {
            (true, Source::Register(register)) => {
                let bit = registers.get(register, self.width);
                // The number is signed in its width.
                let unused = 64 - self.width.bits();
                let words = (bit << unused).cast_signed() >> unused >> self.width.bits().trailing_zeros();
                address.wrapping_add((words * i64::from(self.width as u8)).cast_unsigned())
            }
            _ => address,
        }
    }

    /// Does it: `old` is what is in memory. Changes registers and flags as the instruction would,
    /// but for rip, and returns what is to be written; none: memory stays.
    #[must_use]
    pub fn execute(&self, old: u64, registers: &mut Registers) -> Option<u64> {
        let width = self.width;
        let old = width.cut(old);
        let operand = width.cut(match self.source {
            Source::Register(register) => registers.get(register, width),
            Source::Immediate(value) => value.cast_unsigned(),
        });
        let new = match self.kind {
            StoreKind::Move => operand,
            StoreKind::Exchange => {
                self.give(registers, old);
                operand
            }
            StoreKind::CompareExchange => {
                let accumulator = registers.get(0, width);
                subtract_flags(registers, width, accumulator, old);
                if accumulator != old {
                    registers.set(0, width, old);
                    return None;
                }
                operand
            }
            StoreKind::ExchangeAdd => {
                let sum = add(registers, width, old, operand);
                self.give(registers, old);
                sum
            }
            StoreKind::Add => add(registers, width, old, operand),
            StoreKind::Subtract => {
                subtract_flags(registers, width, old, operand);
                old.wrapping_sub(operand)
            }
            StoreKind::And => logic(registers, width, old & operand),
            StoreKind::Or => logic(registers, width, old | operand),
            StoreKind::Xor => logic(registers, width, old ^ operand),
            StoreKind::BitSet | StoreKind::BitReset | StoreKind::BitComplement => {
                let bit = 1u64 << (operand & u64::from(width.bits() - 1));
                set(registers, flag::CARRY, old & bit != 0);
                match self.kind {
                    StoreKind::BitSet => old | bit,
                    StoreKind::BitReset => old & !bit,
                    _ => old ^ bit,
                }
            }
        };
        Some(width.cut(new))
    }

    const fn is_bit(&self) -> bool {
        matches!(self.kind, StoreKind::BitSet | StoreKind::BitReset | StoreKind::BitComplement)
    }

    /// Gives what was in memory to the source.
    fn give(&self, registers: &mut Registers, old: u64) {
        if let Source::Register(register) = self.source {
            registers.set(register, self.width, old);
        }
    }
}

fn set(registers: &mut Registers, flag: u64, on: bool) {
    registers.rflags = registers.rflags & !flag | if on { flag } else { 0 };
}

/// Zero, sign and parity of a result.
fn result_flags(registers: &mut Registers, width: Width, result: u64) {
    set(registers, flag::ZERO, width.cut(result) == 0);
    set(registers, flag::SIGN, result >> (width.bits() - 1) & 1 != 0);
    set(registers, flag::PARITY, (result as u8).count_ones().is_multiple_of(2));
}

fn logic(registers: &mut Registers, width: Width, result: u64) -> u64 {
    registers.rflags &= !flag::ARITHMETIC;
    result_flags(registers, width, result);
    result
}

fn add(registers: &mut Registers, width: Width, a: u64, b: u64) -> u64 {
    let sum = a.wrapping_add(b);
    set(registers, flag::CARRY, width.cut(sum) < a);
    set(registers, flag::OVERFLOW, (a ^ sum) & (b ^ sum) & 1 << (width.bits() - 1) != 0);
    set(registers, flag::ADJUST, (a ^ b ^ sum) & 16 != 0);
    result_flags(registers, width, sum);
    sum
}

/// The flags of `a - b`.
fn subtract_flags(registers: &mut Registers, width: Width, a: u64, b: u64) {
    let difference = a.wrapping_sub(b);
    set(registers, flag::CARRY, a < b);
    set(registers, flag::OVERFLOW, (a ^ b) & (a ^ difference) & 1 << (width.bits() - 1) != 0);
    set(registers, flag::ADJUST, (a ^ b ^ difference) & 16 != 0);
    result_flags(registers, width, difference);
}
