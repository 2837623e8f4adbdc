// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Each format once against the manual's numbers, written out.

use super::{GIB1, KIB4, MIB2};
use crate::format::{El2, Entry, Format, GuestStage2, LongMode, SecondLevel, Stage2, Table, entry};
use crate::level::Level;
use crate::mapping::{Access, Leaf, Memory, Pa};
use crate::tables::NOT_A_TABLE;

const READ: Access = Access::READ;
const READ_WRITE: Access = Access::READ_WRITE;
const READ_EXECUTE: Access = Access::READ_EXECUTE;

fn word<F: Format>(pa: u64, access: Access, memory: Memory, level: Level) -> u64 {
    F::leaf(Leaf { pa: Pa(pa), access, memory }, level)
}

fn reads_back<F: Format>(word: u64, level: Level, pa: u64, access: Access, memory: Memory) {
    assert_eq!(entry::<F>(word, level), Entry::Leaf(Leaf { pa: Pa(pa), access, memory }));
}

#[test]
fn levels_span_what_they_are_called() {
    let spans = [(Level::Kib4, KIB4), (Level::Mib2, MIB2), (Level::Gib1, GIB1), (Level::Gib512, 512 * GIB1)];
    for (level, span) in spans {
        assert_eq!(level.size(), span);
        assert_eq!(level.table_size(), 512 * span);
        assert_eq!(level.index(5 * span + span / 2), 5);
        assert_eq!(level.below().map(|below| below.size() * 512), (level != Level::Kib4).then_some(span));
    }
}

/// Arm ARM, D8.3: MemAttr in 5:2, S2AP in 7:6, SH in 9:8, AF 10, XN 54.
#[test]
fn stage_2() {
    let leaf = word::<Stage2>;
    let user = |access: Access| access.for_user();
    let rw = leaf(0x4000_0000, user(READ_WRITE), Memory::Normal, Level::Kib4);
    assert_eq!(rw, 0x0040_0000_4000_07ff);
    assert_eq!(leaf(0x4000_0000, user(READ_EXECUTE), Memory::Normal, Level::Kib4), 0x4000_077f);
    assert_eq!(leaf(0x4000_0000, user(READ_EXECUTE), Memory::Normal, Level::Mib2), 0x4000_077d);
    assert_eq!(leaf(0x4000_0000, user(READ), Memory::Normal, Level::Gib1), 0x0040_0000_4000_077d);
    assert_eq!(leaf(0x900_0000, user(READ_WRITE), Memory::Device, Level::Kib4), 0x0040_0000_0900_07c7);
    reads_back::<Stage2>(rw, Level::Kib4, 0x4000_0000, user(READ_WRITE), Memory::Normal);

    let everything = Access { execute: true, ..user(READ_WRITE) };
    assert_eq!(word::<GuestStage2>(0x4000_0000, everything, Memory::Normal, Level::Mib2), 0x4000_07fd);
    let only_execute = Access { read: false, ..user(READ_EXECUTE) };
    assert_eq!(leaf(0x4000_0000, only_execute, Memory::Normal, Level::Kib4), 0x4000_073f);

    let table = Table { pa: Pa(0x4000_1000), user: true, shared: false };
    assert_eq!(Stage2::table(table), 0x4000_1003);
    assert_eq!(entry::<Stage2>(0x4000_1003, Level::Gib1), Entry::Table(table));
}

/// Arm ARM, D8.3: AttrIndx in 4:2, AP[2:1] in 7:6, SH in 9:8, AF 10, XN 54.
#[test]
fn el2() {
    let leaf = word::<El2>;
    let rw = leaf(0x4000_0000, READ_WRITE, Memory::Normal, Level::Mib2);
    assert_eq!(rw, 0x0040_0000_4000_0745);
    assert_eq!(leaf(0x4000_0000, READ_EXECUTE, Memory::Normal, Level::Kib4), 0x4000_07c7);
    assert_eq!(leaf(0x4000_0000, READ, Memory::Normal, Level::Kib4), 0x0040_0000_4000_07c7);
    assert_eq!(leaf(0x900_0000, READ_WRITE, Memory::Device, Level::Kib4), 0x0040_0000_0900_0743);
    reads_back::<El2>(rw, Level::Mib2, 0x4000_0000, READ_WRITE, Memory::Normal);
    assert_eq!(El2::table(Table { pa: Pa(0x4000_1000), user: false, shared: true }), 0x0080_0000_4000_1003);
}

/// Intel SDM, Vol. 3A, §4.5.4: P 0, R/W 1, U/S 2, PWT 3, PCD 4, A 5, D 6, PS 7, XD 63.
#[test]
fn long_mode() {
    let leaf = word::<LongMode>;
    let rw = leaf(0x20_0000, READ_WRITE.for_user(), Memory::Normal, Level::Kib4);
    assert_eq!(rw, 0x8000_0000_0020_0067);
    assert_eq!(leaf(0x20_0000, READ_WRITE.for_user(), Memory::Normal, Level::Mib2), 0x8000_0000_0020_00e7);
    assert_eq!(leaf(0x20_0000, READ_EXECUTE.for_user(), Memory::Normal, Level::Kib4), 0x20_0025);
    assert_eq!(leaf(0x20_0000, READ_EXECUTE, Memory::Normal, Level::Kib4), 0x20_0021);
    assert_eq!(leaf(0xfee0_0000, READ_WRITE, Memory::Device, Level::Kib4), 0x8000_0000_fee0_007b);
    reads_back::<LongMode>(rw, Level::Kib4, 0x20_0000, READ_WRITE.for_user(), Memory::Normal);

    let table = |user, shared| LongMode::table(Table { pa: Pa(0x5000), user, shared });
    assert_eq!(table(true, false), 0x5027);
    assert_eq!(table(false, false), 0x5023);
    assert_eq!(table(false, true), 0x5223);
}

/// VT-d specification, §9.8: R 0, W 1, SP 7.
#[test]
fn second_level() {
    let leaf = |access: Access| word::<SecondLevel>(0x20_0000, access.for_user(), Memory::Normal, Level::Kib4);
    assert_eq!(leaf(READ_WRITE), 0x20_0003);
    assert_eq!(leaf(READ), 0x20_0001);
    reads_back::<SecondLevel>(0x20_0003, Level::Kib4, 0x20_0000, READ_WRITE.for_user(), Memory::Normal);
    assert_eq!(SecondLevel::table(Table { pa: Pa(0x5000), user: true, shared: false }), 0x5003);
    let supports = |access, memory| SecondLevel::supports(0, access, memory);
    assert!(supports(READ.for_user(), Memory::Normal));
    assert!(!supports(READ, Memory::Normal), "devices are no kernel");
    assert!(!supports(READ_EXECUTE.for_user(), Memory::Normal) && !supports(READ.for_user(), Memory::Device));
}

/// The kernel's slots begin and end with the hole in Xen's ABI.
#[test]
fn partitions_pass_everywhere_but_in_the_kernel() {
    let pass = LongMode::user_may_pass;
    assert!(pass(0) && pass(0x7fff_ffff_f000) && pass(0xffff_8800_0000_0000) && pass(!0xfff));
    assert!(!pass(0xffff_8000_0000_0000) && !pass(0xffff_87ff_ffff_f000));
}

fn refuses<F: Format>(words: &[(u64, Level)]) {
    for &(word, level) in words {
        assert_eq!(entry::<F>(word, level), Entry::Malformed, "{word:#x} at {level:?}");
    }
    for level in [Level::Kib4, Level::Mib2, Level::Gib1, Level::Gib512] {
        assert_eq!(entry::<F>(NOT_A_TABLE, level), Entry::Malformed);
        assert_eq!(entry::<F>(0, level), Entry::Empty);
    }
}

#[test]
fn words_that_nobody_wrote_are_malformed() {
    refuses::<Stage2>(&[
        (0x4000_07fd, Level::Kib4),           // a block where only pages can be
        (0x4000_07fe, Level::Kib4),           // not valid, not empty
        (0x4000_03ff, Level::Kib4),           // no access flag
        (0x4000_07fb, Level::Kib4),           // another memory type
        (0x0020_0000_4000_07ff, Level::Kib4), // execute-never for one level only
        (0x4000_17fd, Level::Mib2),           // a block that is not aligned
        (0x8000_0000_4000_1003, Level::Gib1), // a hierarchical attribute
    ]);
    refuses::<El2>(&[(0x4000_0705, Level::Mib2), (0x4000_0749, Level::Mib2)]);
    refuses::<SecondLevel>(&[
        (0x20_0083, Level::Mib2), // a leaf of 2 MiB
        (0x20_0000, Level::Kib4), // neither read nor written
        (0x20_0001, Level::Mib2), // a table that forbids writing
        (0x20_0803, Level::Kib4), // snooped
    ]);
    refuses::<LongMode>(&[
        (0x4000_00e7, Level::Gib1),           // a leaf of 1 GiB
        (0x80_0000_00e7, Level::Gib512),      // a leaf in the root
        (0x20_0047, Level::Kib4),             // not accessed yet
        (0x20_0027, Level::Kib4),             // writable, and not dirty yet
        (0x20_00e7, Level::Kib4),             // the PAT bit
        (0x20_10e7, Level::Mib2),             // the PAT bit of a large page
        (0x20_006f, Level::Kib4),             // write-through
        (0x20_0167, Level::Kib4),             // global
        (0x8000_0000_0000_5027, Level::Mib2), // a table that forbids execution
    ]);
}
