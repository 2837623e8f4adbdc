// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What stores make of memory, registers and flags, in arithmetic that is wide enough not to wrap.

use proptest::prelude::*;

use super::super::*;

const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Long, Width::Quad];

fn store(kind: StoreKind, width: Width, source: Source) -> Store {
    let memory = Memory { base: None, index: None, displacement: 0, rip_relative: false, segment: None, short: false };
    Store { kind, width, source, memory, locked: false }
}

/// A value as a signed number of that width.
fn signed(width: Width, value: u64) -> i128 {
    let value = i128::from(width.cut(value));
    if value >> (width.bits() - 1) != 0 { value - (1 << width.bits()) } else { value }
}

fn flags_of(registers: &Registers) -> [bool; 5] {
    [flag::CARRY, flag::ZERO, flag::SIGN, flag::OVERFLOW, flag::PARITY].map(|flag| registers.rflags & flag != 0)
}

proptest! {
    #[test]
    fn sums_and_differences_are_right(width in prop::sample::select(WIDTHS.to_vec()), old: u64, with: u64, add: bool) {
        let mut registers = Registers { rflags: u64::MAX, ..Registers::default() };
        registers.general[3] = with;
        let kind = if add { StoreKind::Add } else { StoreKind::Subtract };
        let new = store(kind, width, Source::Register(3)).execute(old, &mut registers).unwrap();
        let sign: i128 = if add { 1 } else { -1 };
        let exact = i128::from(width.cut(old)) + sign * i128::from(width.cut(with));
        prop_assert_eq!(i128::from(new), exact.rem_euclid(1 << width.bits()));
        let wide = signed(width, old) + sign * signed(width, with);
        let expected = [
            !(0..1i128 << width.bits()).contains(&exact),
            new == 0,
            new >> (width.bits() - 1) != 0,
            wide != signed(width, new),
            (new as u8).count_ones().is_multiple_of(2),
        ];
        prop_assert_eq!(flags_of(&registers), expected);
        prop_assert_eq!(registers.rflags | flag::ARITHMETIC, u64::MAX, "the other flags stay");
    }

    #[test]
    fn logic_is_right(width in prop::sample::select(WIDTHS.to_vec()), old: u64, with: i32) {
        for (kind, expected) in [
            (StoreKind::And, old & i64::from(with).cast_unsigned()),
            (StoreKind::Or, old | i64::from(with).cast_unsigned()),
            (StoreKind::Xor, old ^ i64::from(with).cast_unsigned()),
            (StoreKind::Move, i64::from(with).cast_unsigned()),
        ] {
            let mut registers = Registers { rflags: u64::MAX, ..Registers::default() };
            let new = store(kind, width, Source::Immediate(with.into())).execute(old, &mut registers);
            prop_assert_eq!(new, Some(width.cut(expected)));
            if kind == StoreKind::Move {
                prop_assert_eq!(registers.rflags, u64::MAX);
            } else {
                let [carry, zero, .., overflow, _] = flags_of(&registers);
                prop_assert_eq!((carry, zero, overflow), (false, width.cut(expected) == 0, false));
            }
        }
    }

    #[test]
    fn exchanges_are_right(width in prop::sample::select(WIDTHS.to_vec()), old: u64, a: u64, b: u64) {
        let fresh = || {
            let mut registers = Registers::default();
            (registers.general[0], registers.general[3]) = (a, b);
            registers
        };
        let mut registers = fresh();
        let new = store(StoreKind::Exchange, width, Source::Register(3)).execute(old, &mut registers);
        prop_assert_eq!((new, registers.get(3, width)), (Some(width.cut(b)), width.cut(old)));
        // Equal: written. Not equal: loaded.
        for memory in [a, old] {
            let mut registers = fresh();
            let new = store(StoreKind::CompareExchange, width, Source::Register(3)).execute(memory, &mut registers);
            let equal = width.cut(memory) == width.cut(a);
            prop_assert_eq!(new, equal.then_some(width.cut(b)));
            prop_assert_eq!(registers.rflags & flag::ZERO != 0, equal);
            prop_assert_eq!(registers.get(0, width), width.cut(memory));
        }
        let mut registers = fresh();
        let new = store(StoreKind::ExchangeAdd, width, Source::Register(3)).execute(old, &mut registers);
        prop_assert_eq!((new, registers.get(3, width)), (Some(width.cut(old.wrapping_add(b))), width.cut(old)));
    }

    #[test]
    fn bits_are_right(old: u64, bit in 0i64..256) {
        for width in [Width::Word, Width::Long, Width::Quad] {
            let mask = 1u64 << (bit as u32 % width.bits());
            let was = old & mask != 0;
            for (kind, expected) in [
                (StoreKind::BitSet, old | mask),
                (StoreKind::BitReset, old & !mask),
                (StoreKind::BitComplement, old ^ mask),
            ] {
                let mut registers = Registers::default();
                let new = store(kind, width, Source::Immediate(bit)).execute(old, &mut registers);
                prop_assert_eq!((new, registers.rflags & flag::CARRY != 0), (Some(width.cut(expected)), was));
            }
        }
    }
}

#[test]
fn registers_keep_what_an_instruction_does_not_write() {
    let mut registers = Registers::default();
    registers.general[0] = u64::MAX;
    registers.set(0, Width::Byte, 0);
    assert_eq!(registers.general[0], u64::MAX << 8);
    registers.set(16, Width::Byte, 0x12);
    assert_eq!((registers.general[0], registers.get(16, Width::Byte)), (0xffff_ffff_ffff_1200, 0x12));
    registers.set(0, Width::Long, 5);
    assert_eq!(registers.general[0], 5, "32 bits clear the rest");
}
