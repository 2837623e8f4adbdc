// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The decoder against a complete one, and what stores do against plain arithmetic.

mod oracle;
mod stores;

use super::*;

/// Decodes all of these bytes.
fn whole(bytes: &[u8]) -> Option<Operation> {
    decode(bytes).map(|instruction| {
        assert_eq!(usize::from(instruction.length), bytes.len(), "{bytes:x?}");
        instruction.operation
    })
}

#[test]
fn the_instructions_of_linux_are_known() {
    use Operation as O;
    assert_eq!(whole(&[0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2]), Some(O::CpuidForced));
    assert_eq!(whole(&[0x0f, 0x32]), Some(O::ReadMsr));
    assert_eq!(whole(&[0x0f, 0x30]), Some(O::WriteMsr));
    assert_eq!(whole(&[0x0f, 0x20, 0xe0]), Some(O::ReadControl { control: 4, register: 0 }));
    assert_eq!(whole(&[0x41, 0x0f, 0x22, 0xdf]), Some(O::WriteControl { control: 3, register: 15 }));
    assert_eq!(whole(&[0x0f, 0x23, 0xf8]), Some(O::WriteDebug { debug: 7, register: 0 }));
    assert_eq!(whole(&[0xfa]), Some(O::Cli));
    assert_eq!(whole(&[0xec]), Some(O::In { port: Port::Dx, width: Width::Byte }));
    assert_eq!(whole(&[0x66, 0xe5, 0x42]), Some(O::In { port: Port::Number(0x42), width: Width::Word }));
    assert_eq!(whole(&[0xef]), Some(O::Out { port: Port::Dx, width: Width::Long }));
    assert_eq!(whole(&[0x0f, 0x01, 0xd1]), Some(O::SetXcr));
    assert_eq!(whole(&[0x0f, 0x01, 0xf8]), Some(O::SwapGs));
    assert_eq!(whole(&[0xcd, 0x80]), Some(O::Interrupt(0x80)));
    assert_eq!(whole(&[0x0f, 0x05]), Some(O::Syscall));
    // str %eax
    let task = O::StoreSelector(SystemSelector::Task, Place::Register(0, Width::Long));
    assert_eq!(whole(&[0x0f, 0x00, 0xc8]), Some(task));
}

#[test]
fn stores_to_page_tables_are_known() {
    let store = |bytes: &[u8]| match whole(bytes) {
        Some(Operation::Store(store)) => (store.kind, store.width, store.source, store.locked),
        other => panic!("{bytes:x?}: {other:?}"),
    };
    let registers = Registers { general: core::array::from_fn(|n| 0x1000 * n as u64), ..Registers::default() };
    // mov %rsi,(%rdi)
    assert_eq!(store(&[0x48, 0x89, 0x37]), (StoreKind::Move, Width::Quad, Source::Register(6), false));
    // xchg %rax,(%rbx,%rcx,8)
    assert_eq!(store(&[0x48, 0x87, 0x04, 0xcb]), (StoreKind::Exchange, Width::Quad, Source::Register(0), true));
    // movq $0,0x10(%rdi)
    assert_eq!(
        store(&[0x48, 0xc7, 0x47, 0x10, 0, 0, 0, 0]),
        (StoreKind::Move, Width::Quad, Source::Immediate(0), false)
    );
    // lock btrq $1,(%rdi)
    let (kind, ..) = store(&[0xf0, 0x48, 0x0f, 0xba, 0x37, 0x01]);
    assert_eq!(kind, StoreKind::BitReset);
    // lock andb $0xfd,(%rdi): how compilers write the same since
    assert_eq!(store(&[0xf0, 0x80, 0x27, 0xfd]), (StoreKind::And, Width::Byte, Source::Immediate(-3), true));
    // lock cmpxchg %rcx,(%rdx)
    assert_eq!(
        store(&[0xf0, 0x48, 0x0f, 0xb1, 0x0a]),
        (StoreKind::CompareExchange, Width::Quad, Source::Register(1), true)
    );
    // bts %rax,(%rdi) with rax = -1: the bit before.
    let Some(Operation::Store(bit)) = whole(&[0x48, 0x0f, 0xab, 0x07]) else { panic!() };
    let mut behind = registers;
    behind.general[0] = u64::MAX;
    assert_eq!(bit.address(&behind, 4, Bases::default()), 0x7000 - 8);
    assert_eq!(bit.execute(0, &mut behind), Some(1 << 63));
}

#[test]
fn locks_that_the_processor_refuses_are_refused() {
    for bytes in [&[0xf0, 0x48, 0x89, 0x37][..], &[0xf0, 0xfa], &[0xf0, 0x0f, 0x32], &[0xf0, 0x0f, 0xa2]] {
        assert_eq!(decode(bytes), None, "{bytes:x?}");
    }
}

#[test]
fn instructions_end_after_15_bytes() {
    let mut long = vec![0x3e; 14];
    long.push(0xfa);
    assert_eq!(whole(&long), Some(Operation::Cli));
    long.insert(0, 0x3e);
    assert_eq!(decode(&long), None);
    assert_eq!(decode(&[]), None);
    assert_eq!(decode(&[0x0f]), None);
}
