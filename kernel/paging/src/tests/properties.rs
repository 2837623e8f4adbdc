// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Random mappings: they translate exactly, everything else doesn't.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::history::History;
use super::mmu::Mmu;
use super::{GIB1, KERNEL, KIB4, MIB2};
use crate::format::{El2, GuestStage2, LongMode, SecondLevel, Stage2};
use crate::level::Level;
use crate::mapping::{Access, Mapping, Memory, Pa};
use crate::{MapError, audit, leaves, map, tables_needed, translate};

/// A mapping yet to be placed behind the one before.
#[derive(Clone, Debug)]
struct Draft {
    gap: u64,
    va_align: u64,
    pa: u64,
    len: u64,
    access: Access,
    memory: Memory,
}

/// Lengths and alignments around the sizes of leaves; pages in the thousands would only cost time.
fn draft<F: Mmu>(user: bool) -> impl Strategy<Value = Draft> {
    // Where there are only pages, thousands of them.
    let large = |length: u64| if F::LEAVES.contains(&Level::Mib2) { length } else { KIB4 * 40 };
    let size = || prop_oneof![6 => Just(KIB4), 3 => Just(MIB2), 1 => Just(GIB1)];
    let len = prop_oneof![
        6 => (1..20u64).prop_map(|pages| pages * KIB4),
        2 => (1..4u64).prop_map(move |blocks| large(blocks * MIB2)),
        2 => (1..3u64, 1..5u64).prop_map(move |(blocks, pages)| large(blocks * MIB2) + pages * KIB4),
        1 => Just(large(GIB1)),
    ];
    let (code, devices) = (Access::READ_EXECUTE.for_user(), F::supports(0, Access::READ.for_user(), Memory::Device));
    let accesses: &[Access] = if user && !F::supports(0, code, Memory::Normal) {
        &[Access::READ, Access::READ_WRITE]
    } else if F::WRITABLE_CODE {
        &[Access::READ, Access { read: true, write: true, execute: true, user: true }]
    } else {
        &[Access::READ, Access::READ_WRITE, Access::READ_EXECUTE]
    };
    let access = prop::sample::select(accesses);
    (0..3u64, size(), size(), 0..0x8_0000u64, len, access, any::<bool>()).prop_map(
        move |(gap, va_align, pa_align, page, len, access, device)| Draft {
            gap: gap * KIB4,
            // A gigabyte in pages or of x86 leaves is slow to build: keep both addresses at its alignment.
            va_align: if len == GIB1 { GIB1 } else { va_align },
            pa: (page * KIB4).next_multiple_of(if len == GIB1 { GIB1 } else { pa_align }),
            len,
            access: Access { user, ..access },
            memory: if device && (devices || !user) && !access.execute { Memory::Device } else { Memory::Normal },
        },
    )
}

/// Mappings that don't overlap, from `base` on, in random order.
fn mappings<F: Mmu>(base: u64, user: bool) -> impl Strategy<Value = Vec<Mapping>> {
    let place = move |drafts: Vec<Draft>| {
        let mut va = base;
        let mut placed = Vec::new();
        for Draft { gap, va_align, pa, len, access, memory } in drafts {
            va = (va + gap).next_multiple_of(va_align);
            placed.push(Mapping { va, pa: Pa(pa), len, access, memory });
            va += len;
        }
        placed
    };
    prop::collection::vec(draft::<F>(user), 1..8).prop_map(place).prop_shuffle()
}

fn first_clash(all: &[Mapping], new: &Mapping) -> Option<u64> {
    let clash = |m: &Mapping| (m.va < new.va + new.len && new.va < m.va + m.len).then_some(m.va.max(new.va));
    all.iter().filter_map(clash).min()
}

fn exact<F: Mmu>(all: &[Mapping]) -> Result<(), TestCaseError> {
    let needed = tables_needed::<F>(all)?;
    let mut tables = History::<F>::new(needed, all);
    let root = tables.root().ok_or_else(|| TestCaseError::fail("no root"))?;
    for mapping in all {
        map::<F>(&mut tables, root, mapping)?;
    }
    prop_assert_eq!(tables.used(), needed);

    for va in tables.probes() {
        prop_assert_eq!(translate::<F>(&tables, root, va), tables.asked(va));
        prop_assert_eq!(tables.look(root, va), tables.asked(va));
    }
    // Each leaf was checked against what was asked for when it was written; together they are all of it.
    let seen: u64 = leaves::<F, _>(&tables, root).flatten().map(|leaf| leaf.len).sum();
    prop_assert_eq!(seen, all.iter().map(|mapping| mapping.len).sum::<u64>());
    let asked = |leaf: &Mapping| tables.asked(leaf.va).is_some_and(|asked| asked.pa == leaf.pa);
    prop_assert_eq!(audit::<F>(&tables, root, asked), Ok(()));
    Ok(())
}

/// Maps all, then something that is moved against one of them.
fn overlap<F: Mmu>(all: &[Mapping], which: usize, pages: i64, len: u64) -> Result<(), TestCaseError> {
    let mut tables = History::<F>::new(usize::MAX, all);
    let root = tables.root().ok_or_else(|| TestCaseError::fail("no root"))?;
    for mapping in all {
        map::<F>(&mut tables, root, mapping)?;
    }
    let hit = all[which % all.len()];
    let new = Mapping { va: hit.va.wrapping_add_signed(pages * KIB4 as i64), len: len * KIB4, ..hit };
    if let Some(va) = first_clash(all, &new) {
        let steps = tables.steps.len();
        prop_assert_eq!(map::<F>(&mut tables, root, &new), Err(MapError::Overlap(va)));
        prop_assert_eq!(tables.steps.len(), steps);
    }
    Ok(())
}

/// Maps with too few tables; the history watches what becomes visible.
fn exhausted<F: Mmu>(all: &[Mapping], missing: usize) -> Result<(), TestCaseError> {
    let needed = tables_needed::<F>(all)?;
    let limit = needed.saturating_sub(missing).max(1);
    let mut tables = History::<F>::new(limit, all);
    let root = tables.root().ok_or_else(|| TestCaseError::fail("no root"))?;
    let outcome = all.iter().try_for_each(|mapping| map::<F>(&mut tables, root, mapping));
    prop_assert_eq!(outcome.is_ok(), limit >= needed);
    prop_assert!(outcome.is_ok() || outcome == Err(MapError::OutOfTables));
    Ok(())
}

macro_rules! properties {
    ($($name:ident: $format:ty, $base:expr, $user:expr;)*) => { $(mod $name {
        use super::*;

        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

            #[test]
            fn mappings_translate_exactly(all in mappings::<$format>($base, $user)) {
                exact::<$format>(&all)?;
            }

            #[test]
            fn overlaps_are_refused_without_a_trace(
                all in mappings::<$format>($base, $user),
                which in any::<usize>(), pages in -3..600i64, len in 1..1100u64,
            ) {
                overlap::<$format>(&all, which, pages, len)?;
            }

            #[test]
            fn an_arena_too_small_ends_in_out_of_tables(
                all in mappings::<$format>($base, $user), missing in 0..4usize,
            ) {
                exhausted::<$format>(&all, missing)?;
            }

            #[test]
            fn the_order_does_not_change_the_count(all in mappings::<$format>($base, $user)) {
                let mut sorted = all.clone();
                sorted.sort_by_key(|mapping| mapping.va);
                prop_assert_eq!(tables_needed::<$format>(&all), tables_needed::<$format>(&sorted));
            }
        }
    })* };
}

properties! {
    stage_2: Stage2, 0x4000_0000, true;
    guest_stage_2: GuestStage2, 511 * KIB4, true;
    second_level: SecondLevel, 0x4000_0000, true;
    el_2: El2, 0x10_0000, false;
    long_mode_partition: LongMode, 0x40_0000, true;
    long_mode_guest_kernel: LongMode, 0xffff_ff7f_ffe0_0000, true;
    long_mode_kernel: LongMode, KERNEL + 3 * MIB2, false;
}
