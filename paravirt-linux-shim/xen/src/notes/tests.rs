// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Made-up kernels: what Linux's look like, and broken ones. The real one is tested by the tool
//! that unpacks it.

use proptest::prelude::*;

use super::*;

/// A note.
fn note(number: u32, value: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [4, value.len() as u32, number] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"Xen\0");
    note.extend(value);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// An ELF file of these segments (type, physical address, bytes, size in memory).
pub(crate) fn elf(segments: &[(u32, u64, &[u8], u64)]) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    file.extend([0u64, 64, 0].iter().flat_map(|word| word.to_le_bytes()));
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, segments.len() as u8, 0, 64, 0, 0, 0, 0, 0]);
    let mut at = 64 + 56 * segments.len() as u64;
    for (kind, address, bytes, size) in segments {
        file.extend([kind.to_le_bytes(), 7u32.to_le_bytes()].concat());
        let words = [at, address.wrapping_add(0xffff_ffff_8000_0000), *address, bytes.len() as u64, *size, 4];
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        at += bytes.len() as u64;
    }
    segments.iter().for_each(|(_, _, bytes, _)| file.extend(*bytes));
    file
}

/// The notes of Linux 6.1.
pub(crate) fn linux() -> Vec<u8> {
    let long = u64::to_le_bytes;
    [
        note(6, b"linux\0"),
        note(5, b"xen-3.0\0"),
        note(3, &long(0xffff_ffff_8000_0000)),
        note(15, &long(0x80_0000_0000)),
        note(1, &long(0xffff_ffff_8300_0180)),
        note(10, b"!writable_page_tables|pae_pgdir_above_4gb"),
        note(17, &0x8801u32.to_le_bytes()),
        note(9, b"yes\0"),
        note(8, b"generic\0"),
        note(16, &1u32.to_le_bytes()),
        note(12, &long(0xffff_8000_0000_0000)),
        note(4, &long(0)),
    ]
    .concat()
}

#[test]
fn the_notes_of_linux_are_understood() {
    let notes = linux();
    let file = elf(&[(1, 0x100_0000, b"code", 0x1800), (1, 0x200_0000, b"", 0), (4, 0, &notes, 0)]);
    let kernel = Kernel::parse(&file).unwrap();
    let expected = Notes {
        entry: 0xffff_ffff_8300_0180,
        hypercall_page: None,
        virt_base: 0xffff_ffff_8000_0000,
        paddr_offset: 0,
        hypervisor_start: Some(0xffff_8000_0000_0000),
        init_p2m: Some(0x80_0000_0000),
        initrd_by_frame: true,
        supported_features: 0x8801,
    };
    assert_eq!(kernel.notes, expected);
    assert_eq!(kernel.extent(), Ok((0x100_0000, 0x100_2000)));
    let segments: Vec<_> = kernel.segments().map(Result::unwrap).collect();
    assert_eq!(segments, [Segment { address: 0x100_0000, bytes: b"code", size: 0x1800 }]);
}

#[test]
fn what_cannot_be_started_says_why() {
    let parse = |segments: &[(u32, u64, &[u8], u64)]| Kernel::parse(&elf(segments)).map(|kernel| kernel.notes);
    let code: (u32, u64, &[u8], u64) = (1, 0x100_0000, b"code", 4);
    assert_eq!(Kernel::parse(b"MZ").err(), Some(Unfit::NotElf));
    assert_eq!(parse(&[code]), Err(Unfit::NoEntry));
    assert_eq!(parse(&[code, (4, 0, &note(5, b"xen-2.0\0"), 0)]), Err(Unfit::OtherVersion));
    assert_eq!(parse(&[code, (4, 0, &note(8, b"mine\0"), 0)]), Err(Unfit::OtherLoader));
    assert_eq!(parse(&[(4, 0, &linux(), 0)]), Err(Unfit::BadSegments));
    assert_eq!(parse(&[(1, u64::MAX - 1, b"code", 4), (4, 0, &linux(), 0)]), Err(Unfit::BadSegments));
    assert_eq!(parse(&[(1, 0, b"code", 3), (4, 0, &linux(), 0)]), Err(Unfit::BadSegments));
    assert_eq!(parse(&[code, (4, 0, &note(1, b"abc"), 0)]), Err(Unfit::NoEntry), "no number");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn no_file_makes_it_panic(at in 0usize..500, bytes in prop::collection::vec(any::<u8>(), 1..12)) {
        let notes = linux();
        let mut file = elf(&[(1, 0x100_0000, b"code", 0x1800), (4, 0, &notes, 0)]);
        file.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = from);
        if let Ok(kernel) = Kernel::parse(&file) {
            prop_assert!(kernel.segments().all(|segment| segment.is_ok()));
        }
    }
}
