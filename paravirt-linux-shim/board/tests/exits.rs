// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Exits as a real processor reports them, with syndromes put together by the manual's bit numbers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a test's verdict")]

use parzelle_shim_board::exit::instruction::{self, Writeback};
use parzelle_shim_board::exit::{Exit, Fault, FaultKind, Mmio, Syndrome, SysReg, SysRegAccess, fault_ipa};
use parzelle_shim_board::registers::{Frame, GuestRegisters};

fn decode(esr: u64, instruction: Option<u32>) -> Exit {
    Exit::decode(&Syndrome { esr, ipa: 0x0900_0018, instruction })
}

fn kind(exit: Exit) -> FaultKind {
    match exit {
        Exit::Fault(Fault { kind, .. }) => kind,
        other => panic!("{other:?} is no fault"),
    }
}

/// A data abort at level 3 (translation) with the given rest of the ISS.
const fn abort(iss: u64) -> u64 {
    0x24 << 26 | 1 << 25 | iss | 0x07
}

#[test]
fn calls_and_waits() {
    assert_eq!(decode(0x16 << 26 | 1 << 25, None), Exit::Hvc { imm: 0 });
    assert_eq!(decode(0x16 << 26 | 1 << 25 | 0xea1, None), Exit::Hvc { imm: 0xea1 });
    assert_eq!(decode(0x17 << 26 | 1 << 25, None), Exit::Smc { imm: 0 });
    assert_eq!(decode(0x01 << 26 | 1 << 25 | 0x1e << 20, None), Exit::Wfi);
    assert_eq!(decode(0x01 << 26 | 1 << 25 | 1, None), Exit::Wfe);
    assert_eq!(kind(decode(0x20 << 26 | 0x07, None)), FaultKind::InstructionAbort);
    assert_eq!(kind(decode(0x3c << 26, None)), FaultKind::Class(0x3c));
}

#[test]
fn system_registers() {
    // ICC_SGI1R_EL1 as QEMU reports it: ISS 0x3a3016 with Rt in bits 9:5.
    let exit = decode(0x18 << 26 | 1 << 25 | 0x3a_3016 | 3 << 5, None);
    let register = SysReg(3, 0, 12, 11, 5);
    assert_eq!(exit, Exit::SysReg(SysRegAccess { register, rt: 3, write: true }));
    assert_eq!(register.to_string(), "S3_0_C12_C11_5");
}

#[test]
fn addresses() {
    assert_eq!(fault_ipa(0x0009_0000, 0xffff_8000_1234_5018), 0x0900_0018);
}

#[test]
fn described_accesses() {
    // ldrb w2: ISV, byte, Rt 2. ldrsw x5: word, SSE, SF. str x9: double word, SF, WnR.
    for (iss, width, register, write, sign_extend, sixty_four) in [
        (1 << 24 | 2 << 16, 1, 2, false, false, false),
        (1 << 24 | 2 << 22 | 1 << 21 | 5 << 16 | 1 << 15, 4, 5, false, true, true),
        (1 << 24 | 3 << 22 | 9 << 16 | 1 << 15 | 1 << 6, 8, 9, true, false, true),
    ] {
        let Exit::Mmio(Mmio { ipa, transfer }) = decode(abort(iss), None) else { panic!() };
        assert_eq!(ipa, 0x0900_0018);
        assert_eq!((transfer.width, transfer.registers[0], transfer.elements), (width, register, 1));
        assert_eq!((transfer.write, transfer.sign_extend, transfer.sixty_four), (write, sign_extend, sixty_four));
    }
}

#[test]
fn aborts_that_are_no_accesses() {
    assert_eq!(kind(decode(abort(1 << 7), None)), FaultKind::TableWalk);
    assert_eq!(kind(decode(0x24 << 26, None)), FaultKind::AddressSize, "the address is stale: not used");
    assert_eq!(kind(decode(0x24 << 26 | 0x10, None)), FaultKind::DataAbort(0x10));
    let Exit::Mmio(maintenance) = decode(abort(1 << 8 | 1 << 6), None) else { panic!() };
    assert_eq!(maintenance.transfer.elements, 0, "nothing to clean where nothing is");
}

#[test]
fn undescribed_accesses_need_the_instruction() {
    let missing = decode(abort(0), None);
    assert_eq!(kind(missing), FaultKind::UndescribedAccess);
    // ldr q0, [x1]: a vector register.
    let vector = decode(abort(0), Some(0x3dc0_0020));
    assert_eq!(kind(vector), FaultKind::UnsupportedInstruction(0x3dc0_0020));
    let Exit::Fault(fault) = vector else { panic!() };
    assert_eq!(
        fault.to_string(),
        "instruction 0x3dc00020 on a device: only ldr, str, ldp and stp of general registers work there, \
         guest physical address 0x9000018 (ESR 0x92000007)"
    );
}

#[test]
fn instructions_as_the_assembler_makes_them() {
    let cases = [
        // (word, width, registers, elements, write, sign-extend, 64 bits, writeback)
        (0xb840_4420, 4, [0, 31], 1, false, false, false, Some((1, 4))), // ldr w0, [x1], #4
        (0xb81f_cc20, 4, [0, 31], 1, true, false, true, Some((1, -4))),  // str w0, [x1, #-4]!
        (0x3840_1462, 1, [2, 31], 1, false, false, false, Some((3, 1))), // ldrb w2, [x3], #1
        (0xb880_4420, 4, [0, 31], 1, false, true, true, Some((1, 4))),   // ldrsw x0, [x1], #4
        (0x38c0_1420, 1, [0, 31], 1, false, true, false, Some((1, 1))),  // ldrsb w0, [x1], #1
        (0xa940_0c22, 8, [2, 3], 2, false, false, true, None),           // ldp x2, x3, [x1]
        (0x2900_0c22, 4, [2, 3], 2, true, false, false, None),           // stp w2, w3, [x1]
        (0xa8c1_0c22, 8, [2, 3], 2, false, false, true, Some((1, 16))),  // ldp x2, x3, [x1], #16
        (0x69c1_0c22, 4, [2, 3], 2, false, true, true, Some((1, 8))),    // ldpsw x2, x3, [x1, #8]!
    ];
    for (word, width, registers, elements, write, sign_extend, sixty_four, writeback) in cases {
        let transfer = instruction::decode(word).unwrap_or_else(|| panic!("{word:#x}"));
        assert_eq!((transfer.width, transfer.registers, transfer.elements), (width, registers, elements), "{word:#x}");
        assert_eq!(
            (transfer.write, transfer.sign_extend, transfer.sixty_four),
            (write, sign_extend, sixty_four),
            "{word:#x}"
        );
        let writeback = writeback.map(|(register, offset)| Writeback { register, offset });
        assert_eq!(transfer.writeback, writeback, "{word:#x}");
    }
    for other in [
        0xc85f_7c20,           // ldxr x0, [x1]
        0xf83f_0020,           // ldadd
        0xf840_8c3f | 31 << 5, // ldr xzr, [sp, #8]!
        0xd50b_7420,           // dc zva
        0x6d40_0c22,           // ldp d2, d3
        0xb840_0820,           // ldtr w0, [x1]
        0xf8a0_0c20,           // size 3, opc 10
    ] {
        assert_eq!(instruction::decode(other), None, "{other:#x}");
    }
}

#[test]
fn loads_extend_as_the_architecture_says() {
    let load = |word: u32, value| instruction::decode(word).unwrap().loaded(value);
    assert_eq!(load(0xb880_4420, 0x8000_0000), 0xffff_ffff_8000_0000, "ldrsw");
    assert_eq!(load(0x38c0_1420, 0x180), 0xffff_ff80, "ldrsb into a w register");
    assert_eq!(load(0xb840_4420, 0xffff_ffff_8000_0000), 0x8000_0000, "ldr w");
    assert_eq!(load(0xa940_0c22, u64::MAX), u64::MAX, "ldp x");
    let frame = Frame { x: [0x1234_5678_9abc_def0; 31], ..Frame::default() };
    assert_eq!(instruction::decode(0xb81f_cc20).unwrap().stored(0, &frame), 0x9abc_def0);
    assert_eq!(frame.x(31), 0, "the zero register");
}
