// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Random bytes, most of them near our instructions, through both decoders.

use iced_x86::{Code, Decoder, DecoderOptions, Mnemonic, OpKind};
use proptest::prelude::*;

use super::super::*;

const IP: u64 = 0x1234_5678_9abc;

/// What we call an instruction that the other decoder found, if it is one of ours.
fn name(mnemonic: Mnemonic) -> Option<&'static str> {
    Some(match mnemonic {
        Mnemonic::Cpuid => "Cpuid",
        Mnemonic::Rdmsr => "ReadMsr",
        Mnemonic::Wrmsr => "WriteMsr",
        Mnemonic::Clts => "ClearTaskSwitched",
        Mnemonic::Hlt => "Halt",
        Mnemonic::Cli => "Cli",
        Mnemonic::Sti => "Sti",
        Mnemonic::In => "In",
        Mnemonic::Out => "Out",
        Mnemonic::Wbinvd | Mnemonic::Invd => "FlushCaches",
        Mnemonic::Invlpg => "Invlpg",
        Mnemonic::Lgdt | Mnemonic::Lidt => "LoadTable",
        Mnemonic::Sgdt | Mnemonic::Sidt => "StoreTable",
        Mnemonic::Lldt | Mnemonic::Ltr | Mnemonic::Lmsw => "LoadSelector",
        Mnemonic::Sldt | Mnemonic::Str | Mnemonic::Smsw => "StoreSelector",
        Mnemonic::Xsetbv => "SetXcr",
        Mnemonic::Rdtsc | Mnemonic::Rdtscp => "ReadCounter",
        Mnemonic::Rdpmc => "ReadPerformanceCounter",
        Mnemonic::Swapgs => "SwapGs",
        Mnemonic::Int | Mnemonic::Int3 => "Interrupt",
        Mnemonic::Syscall => "Syscall",
        _ => return None,
    })
}

/// The same for stores.
fn kind(mnemonic: Mnemonic) -> Option<StoreKind> {
    Some(match mnemonic {
        Mnemonic::Mov | Mnemonic::Movnti => StoreKind::Move,
        Mnemonic::Xchg => StoreKind::Exchange,
        Mnemonic::Cmpxchg => StoreKind::CompareExchange,
        Mnemonic::Xadd => StoreKind::ExchangeAdd,
        Mnemonic::Add => StoreKind::Add,
        Mnemonic::Sub => StoreKind::Subtract,
        Mnemonic::And => StoreKind::And,
        Mnemonic::Or => StoreKind::Or,
        Mnemonic::Xor => StoreKind::Xor,
        Mnemonic::Bts => StoreKind::BitSet,
        Mnemonic::Btr => StoreKind::BitReset,
        Mnemonic::Btc => StoreKind::BitComplement,
        _ => return None,
    })
}

/// Compares both on these bytes.
fn compare(bytes: &[u8], registers: &Registers) {
    let mut decoder = Decoder::with_ip(64, bytes, IP, DecoderOptions::NONE);
    let other = decoder.decode();
    let ours = decode(bytes);
    let Some(Instruction { length, operation }) = ours else {
        assert!(!must_know(&other, bytes), "{bytes:x?} is {:?}, and is not known", other.code());
        return;
    };
    assert!((1..=15).contains(&length) && usize::from(length) <= bytes.len());
    assert_ne!(other.code(), Code::INVALID, "{bytes:x?} is {operation:?} for us alone");
    assert_eq!(usize::from(length), other.len(), "{bytes:x?} is {operation:?}");
    let Operation::Store(store) = operation else {
        let name = name(other.mnemonic()).or_else(|| {
            // Control and debug registers are kinds of mov.
            let register = |index| format!("{:?}", other.op_register(index)).to_lowercase();
            let special = if operation_writes(&operation) { register(0) } else { register(1) };
            special.starts_with("cr").then_some("Control").or(special.starts_with("dr").then_some("Debug"))
        });
        let ours = format!("{operation:?}");
        let name = name.unwrap_or_else(|| panic!("{bytes:x?} is {ours} for us, {:?}", other.code()));
        assert!(ours.contains(name), "{bytes:x?} is {ours} for us, {:?}", other.code());
        if let Operation::In { width, .. } | Operation::Out { width, .. } = operation {
            let accumulator = if other.mnemonic() == Mnemonic::In { 0 } else { 1 };
            assert_eq!(other.op_register(accumulator).size(), width as usize, "{bytes:x?}");
        }
        return;
    };
    assert_eq!(kind(other.mnemonic()), Some(store.kind), "{bytes:x?} is {:?}", other.code());
    assert_eq!(other.memory_size().size(), store.width as usize, "{bytes:x?}: {store:?}");
    let get = |register: iced_x86::Register, _, _| {
        use iced_x86::Register as R;
        Some(match register {
            R::FS => 0xf000,
            R::GS => 0x6000_0000_0000,
            R::ES | R::CS | R::SS | R::DS => 0,
            register if register.size() == 4 => Width::Long.cut(registers.general[register.number()]),
            register => registers.general[register.number()],
        })
    };
    let expected = other.virtual_address(0, 0, get).unwrap();
    let bases = Bases { fs: 0xf000, gs: 0x6000_0000_0000 };
    assert_eq!(store.memory.address(registers, length, bases), expected, "{bytes:x?}: {store:?}");
    match (store.source, other.op1_kind()) {
        (Source::Register(ours), OpKind::Register) => {
            let there = other.op1_register();
            let high = matches!(format!("{there:?}").as_str(), "AH" | "CH" | "DH" | "BH");
            let number = there.full_register().number() as u8 + if high { 16 } else { 0 };
            assert_eq!(ours, number, "{bytes:x?}: {there:?}");
        }
        (Source::Immediate(ours), _) => {
            let there = store.width.cut(other.immediate(1));
            assert_eq!(store.width.cut(ours.cast_unsigned()), there, "{bytes:x?}");
        }
        (ours, there) => panic!("{bytes:x?}: {ours:?} for us, {there:?}"),
    }
}

fn operation_writes(operation: &Operation) -> bool {
    matches!(operation, Operation::WriteControl { .. } | Operation::WriteDebug { .. })
}

/// Whether an instruction is one of ours: found by the other decoder, with prefixes that compilers
/// and people write.
fn must_know(other: &iced_x86::Instruction, bytes: &[u8]) -> bool {
    let prefixes = bytes
        .iter()
        .take_while(|byte| matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3));
    let odd = prefixes.clone().any(|byte| matches!(byte, 0xf2 | 0xf3));
    let short = prefixes.clone().any(|byte| *byte == 0x66);
    if odd || other.code() == Code::INVALID {
        return false;
    }
    let store = kind(other.mnemonic()).is_some()
        && other.op0_kind() == OpKind::Memory
        // Not from segment registers, and not the forms that other opcodes have.
        && (other.op1_kind() != OpKind::Register || !other.op1_register().is_segment_register());
    let control = other.mnemonic() == Mnemonic::Mov && {
        let is = |index: u32| {
            other.op_kind(index) == OpKind::Register && {
                let register = other.op_register(index);
                register.is_cr() || register.is_dr()
            }
        };
        is(0) || is(1)
    };
    // cr5 and the like fault in another way, and 66 before these is nobody's.
    store && other.mnemonic() != Mnemonic::Movnti
        || (name(other.mnemonic()).is_some() || control) && !short && !odd_control(other)
}

fn odd_control(other: &iced_x86::Instruction) -> bool {
    use iced_x86::Register as R;
    const REAL: [R; 5] = [R::CR0, R::CR2, R::CR3, R::CR4, R::CR8];
    (0..other.op_count()).filter(|index| other.op_kind(*index) == OpKind::Register).any(|index| {
        let register = other.op_register(index);
        register.is_cr() && !REAL.contains(&register) || register.is_dr() && register.number() > 7
    })
}

fn near_ours() -> impl Strategy<Value = Vec<u8>> {
    const PREFIXES: [u8; 12] = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x64, 0x65, 0x2e, 0x3e, 0x48, 0x41, 0x4f];
    const ONE: [u8; 40] = [
        0x00, 0x01, 0x08, 0x09, 0x20, 0x21, 0x28, 0x29, 0x30, 0x31, 0x80, 0x81, 0x83, 0x86, 0x87, 0x88, 0x89, 0x8a,
        0x8c, 0xa2, 0xa3, 0xc6, 0xc7, 0xcc, 0xcd, 0xce, 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef, 0xf4, 0xfa,
        0xfb, 0xcf, 0x90, 0x38,
    ];
    const TWO: [u8; 32] = [
        0x00, 0x01, 0x01, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0b, 0x20, 0x21, 0x22, 0x23, 0x30, 0x31, 0x32, 0x33, 0xa2,
        0xab, 0xb0, 0xb1, 0xb3, 0xba, 0xba, 0xbb, 0xc0, 0xc1, 0xc3, 0xc7, 0xae, 0x34, 0x35,
    ];
    let prefixes = prop::collection::vec(prop::sample::select(PREFIXES.to_vec()), 0..4);
    let opcode = prop_oneof![
        prop::sample::select(ONE.to_vec()).prop_map(|byte| vec![byte]),
        prop::sample::select(TWO.to_vec()).prop_map(|byte| vec![0x0f, byte]),
    ];
    (prefixes, opcode, prop::collection::vec(any::<u8>(), 0..14)).prop_map(|parts| [parts.0, parts.1, parts.2].concat())
}

fn registers() -> impl Strategy<Value = Registers> {
    any::<[u64; 16]>().prop_map(|general| Registers { general, rip: IP, rflags: 2 })
}

/// Whatever the bytes, addresses and results are made without a panic.
fn execute(bytes: &[u8], mut registers: Registers, old: u64) {
    if let Some(Instruction { length, operation: Operation::Store(store) }) = decode(bytes) {
        let _ = store.address(&registers, length, Bases::default());
        let _ = store.execute(old, &mut registers);
    }
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn near_our_instructions_both_agree(bytes in near_ours(), registers in registers()) {
        compare(&bytes, &registers);
    }

    #[test]
    fn on_random_bytes_both_agree(bytes in any_bytes(), registers in registers()) {
        compare(&bytes, &registers);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in near_ours(), registers in registers(), old: u64) {
        execute(&bytes, registers, old);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000_000))]

    #[test]
    #[ignore = "a million instructions"]
    fn near_our_instructions_both_agree_a_million_times(bytes in near_ours(), registers in registers(), old: u64) {
        compare(&bytes, &registers);
        execute(&bytes, registers, old);
    }

    #[test]
    #[ignore = "a million instructions"]
    fn on_random_bytes_both_agree_a_million_times(bytes in any_bytes(), registers in registers(), old: u64) {
        compare(&bytes, &registers);
        execute(&bytes, registers, old);
    }
}
