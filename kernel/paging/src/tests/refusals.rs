// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What `map` refuses, and what an audit finds. Each refusal leaves the tables as they were.

use super::history::History;
use super::mmu::Mmu;
use super::{GIB1, KERNEL, KIB4, MIB2, data};
use crate::format::{El2, GuestStage2, LongMode, Stage2};
use crate::mapping::{Access, Mapping, Memory, Pa};
use crate::{Finding, MapError, Tables, audit, leaves, map, tables_needed, translate};

/// Maps under an empty root that has one table to spare; nothing may happen on a refusal.
fn refusal<F: Mmu>(mapping: Mapping) -> Option<MapError> {
    let mut tables = History::<F>::new(100, &[mapping]);
    let root = tables.root()?;
    let before = tables.steps.len();
    let error = map::<F>(&mut tables, root, &mapping).err();
    assert!(error.is_none() || tables.steps.len() == before);
    error
}

const CODE_AND_DATA: Access = Access { read: true, write: true, execute: true, user: true };

#[test]
fn writable_and_executable_only_behind_a_guests_fence() {
    let mapping = Mapping { access: CODE_AND_DATA, ..data(0, 0, MIB2) };
    let kernel = Mapping { access: Access { user: false, ..CODE_AND_DATA }, ..mapping };
    let refused = Some(MapError::WritableAndExecutable);
    assert_eq!(refusal::<Stage2>(mapping), refused);
    assert_eq!(refusal::<LongMode>(mapping), refused);
    assert_eq!(refusal::<El2>(kernel), refused);
    assert_eq!(refusal::<GuestStage2>(mapping), None);
    let unreadable = Access { read: false, ..CODE_AND_DATA };
    assert_eq!(refusal::<Stage2>(Mapping { access: unreadable, ..mapping }), refused);
}

#[test]
fn unaligned() {
    let what = |mapping| match refusal::<Stage2>(mapping) {
        Some(MapError::Unaligned(what)) => what,
        _ => "nothing",
    };
    assert_eq!(what(data(1, 0, KIB4)), "va");
    assert_eq!(what(data(0, 0x800, KIB4)), "pa");
    assert_eq!(what(data(0, 0, KIB4 + 8)), "len");
    assert_eq!(what(data(0, 0, 0)), "len");
    assert_eq!(what(data(0, 0, KIB4)), "nothing");
}

#[test]
fn out_of_range() {
    let refused = Some(MapError::OutOfRange);
    let reach = 512 * GIB1;
    assert_eq!(refusal::<Stage2>(data(reach - KIB4, 0, KIB4)), None);
    assert_eq!(refusal::<Stage2>(data(reach, 0, KIB4)), refused);
    assert_eq!(refusal::<Stage2>(data(reach - KIB4, 0, 2 * KIB4)), refused);
    assert_eq!(refusal::<Stage2>(data(0, (1 << 48) - KIB4, KIB4)), None);
    assert_eq!(refusal::<Stage2>(data(0, (1 << 48) - KIB4, 2 * KIB4)), refused);
    assert_eq!(refusal::<Stage2>(data(0, !0xfff, 2 * KIB4)), refused);

    let top = 1 << 47;
    assert_eq!(refusal::<LongMode>(data(top - KIB4, 0, KIB4)), None);
    assert_eq!(refusal::<LongMode>(data(top, 0, KIB4)), refused);
    assert_eq!(refusal::<LongMode>(data(KERNEL - KIB4, 0, KIB4)), refused);
    assert_eq!(refusal::<LongMode>(Mapping { access: Access::READ, ..data(KERNEL - KIB4, 0, 2 * KIB4) }), refused);
    assert_eq!(refusal::<LongMode>(data(!0xfff, 0, KIB4)), None);
    assert_eq!(refusal::<LongMode>(data(!0xfff, 0, 2 * KIB4)), refused);
    // From the last page of the lower half to the first of the upper one: both ends are fine.
    let across = KERNEL - top + 2 * KIB4;
    assert_eq!(refusal::<LongMode>(data(top - KIB4, 0, across)), refused);
    assert_eq!(refusal::<LongMode>(data(0, 0, !0xfff)), refused);
}

/// Addresses beyond a root's reach aren't those that their lower bits name.
#[test]
fn beyond_the_reach_there_is_nothing() -> Result<(), MapError> {
    let mut tables = crate::Counting::default();
    let root = tables.alloc().ok_or(MapError::OutOfTables)?;
    map::<Stage2>(&mut tables, root, &data(0, 0, KIB4))?;
    assert!(translate::<Stage2>(&tables, root, 0).is_some());
    assert_eq!(translate::<Stage2>(&tables, root, 512 * GIB1), None);
    let root = tables.alloc().ok_or(MapError::OutOfTables)?;
    map::<LongMode>(&mut tables, root, &data(!0xfff, 0, KIB4))?;
    assert!(translate::<LongMode>(&tables, root, !0).is_some());
    assert_eq!(translate::<LongMode>(&tables, root, !0 >> 16), None);
    Ok(())
}

#[test]
fn what_a_format_cannot_express() {
    let refused = Some(MapError::Unsupported);
    let user = |access: Access| Mapping { access: access.for_user(), ..data(0, 0, KIB4) };
    let kernel = |access: Access| Mapping { access, ..data(0, 0, KIB4) };
    let nothing = Access { read: false, ..Access::READ };
    let only_write = Access { read: false, ..Access::READ_WRITE };

    assert_eq!(refusal::<Stage2>(kernel(Access::READ)), refused);
    assert_eq!(refusal::<Stage2>(user(nothing)), refused);
    assert_eq!(refusal::<Stage2>(user(only_write)), None);
    assert_eq!(refusal::<El2>(user(Access::READ)), refused);
    assert_eq!(refusal::<El2>(kernel(only_write)), refused);
    assert_eq!(refusal::<LongMode>(user(only_write)), refused);
    for code in [Access::READ_EXECUTE, CODE_AND_DATA] {
        let device = Mapping { memory: Memory::Device, ..user(code) };
        assert_eq!(refusal::<GuestStage2>(device), refused);
    }
}

#[test]
fn partitions_stay_out_of_the_kernels_hole() {
    let refused = Some(MapError::Unsupported);
    let end = KERNEL + (16 << 39);
    assert_eq!(refusal::<LongMode>(data(KERNEL, 0, KIB4)), refused);
    assert_eq!(refusal::<LongMode>(data(end - KIB4, 0, KIB4)), refused);
    assert_eq!(refusal::<LongMode>(data(end - KIB4, 0, 2 * KIB4)), refused);
    assert_eq!(refusal::<LongMode>(data(end, 0, KIB4)), None);
    assert_eq!(refusal::<LongMode>(Mapping { access: Access::READ, ..data(KERNEL, 0, KIB4) }), None);
}

/// Blocks where they fit: one entry for 1 GiB on Arm, 512 on x86-64, none of them a page.
#[test]
fn large_leaves() {
    assert_eq!(tables_needed::<Stage2>(&[data(GIB1, GIB1, GIB1)]), Ok(1));
    assert_eq!(tables_needed::<Stage2>(&[data(GIB1, MIB2, GIB1)]), Ok(2));
    assert_eq!(tables_needed::<Stage2>(&[data(MIB2, KIB4, MIB2)]), Ok(3));
    assert_eq!(tables_needed::<LongMode>(&[data(GIB1, GIB1, GIB1)]), Ok(3));
    assert_eq!(tables_needed::<LongMode>(&[data(GIB1, KIB4, MIB2 + KIB4)]), Ok(5));
    let twice = [data(GIB1, GIB1, GIB1), data(GIB1 + KIB4, 0, KIB4)];
    assert_eq!(tables_needed::<Stage2>(&twice), Err(MapError::Overlap(GIB1 + KIB4)));
}

#[test]
fn an_audit_finds_what_does_not_belong() -> Result<(), MapError> {
    let mine = data(0x40_0000, 0x80_0000, 3 * KIB4);
    let mut tables = crate::Counting::default();
    let root = tables.alloc().ok_or(MapError::OutOfTables)?;
    map::<GuestStage2>(&mut tables, root, &mine)?;
    let within = |leaf: &Mapping| leaf.pa >= Pa(0x80_0000) && leaf.pa.0 + leaf.len <= 0x80_3000;
    assert_eq!(audit::<Stage2>(&tables, root, within), Ok(()));

    let page = |va, pa| data(va, pa, KIB4);
    let finding = audit::<Stage2>(&tables, root, |leaf| leaf.pa != Pa(0x80_1000));
    assert_eq!(finding, Err(Finding::NotAllowed(page(0x40_1000, 0x80_1000))));

    let both = Mapping { access: CODE_AND_DATA, ..page(GIB1, 0x80_0000) };
    map::<GuestStage2>(&mut tables, root, &both)?;
    assert_eq!(audit::<GuestStage2>(&tables, root, within), Ok(()));
    assert_eq!(audit::<Stage2>(&tables, root, within), Err(Finding::WritableAndExecutable(both)));

    tables.write(root, 7, 0x4000_0001);
    let found: Vec<_> = leaves::<Stage2, _>(&tables, root).filter_map(Result::err).collect();
    assert_eq!(found, [crate::Malformed { va: 7 * GIB1 }]);
    assert_eq!(translate::<Stage2>(&tables, root, 7 * GIB1), None);
    let taken = map::<Stage2>(&mut tables, root, &data(7 * GIB1, 0, KIB4));
    assert_eq!(taken, Err(MapError::Overlap(7 * GIB1)));
    Ok(())
}
