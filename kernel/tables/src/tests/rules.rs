// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! One rule a test: what is accepted, and what becomes of it.

use super::world::{HOST, POOL, Page, Physical, REGION, SLOTS, World, place, setup};
use crate::{Element, Error, Progress, Region, Setup, Tables};
use parzelle_paging::ENTRIES;

/// Present, writable, user, accessed, dirty.
const ALL: u64 = 0x67;
const NX: u64 = 1 << 63;

fn to(frame: u64, flags: u64) -> u64 {
    frame << 12 | flags
}

/// Frames 4, 3, 2, 1 are tables of these levels, linked by their first entries; frame 20 is mapped.
pub(super) fn chain() -> World {
    let mut world = World::new();
    for level in 1..=4 {
        world.memory.guest[level as usize][0] = to(if level == 1 { 20 } else { level - 1 }, ALL);
        assert_eq!(world.create(level, level, 1), Ok(Progress::Done));
    }
    world
}

#[test]
fn a_chain_translates_under_the_root_that_was_set() {
    let mut world = chain();
    let roots = world.set_roots(0, [Some(4), None]).unwrap();
    assert_eq!(world.walk(roots[0], 0), Some((place(20).unwrap(), true, true)));
    assert_eq!(world.walk(roots[0], 0x1000), None);
    assert_eq!(roots[1], POOL, "the empty root");
    assert_eq!(world.memory.pool[0][256..272], SLOTS[1]);
    assert_eq!(world.tables.roots(1), [HOST, POOL]);
    world.audit();
}

#[test]
fn a_leaf_is_cleaned() {
    let mut world = chain();
    let number = world.tables.named(1).unwrap() as usize;
    let mut becomes = |entry, word: u64| {
        assert_eq!(world.write(1, 5, entry), Ok(()), "{entry:#x}");
        let due = if word == 0 { 0 } else { word | place(entry >> 12 & 0xff).unwrap() };
        assert_eq!(world.memory.pool[number][5], due, "{entry:#x}");
    };
    becomes(to(9, 0x67), 0x67);
    becomes(to(9, 0x21), 0x25);
    becomes(to(9, 0x27), 0x25); // Not dirty: not writable yet.
    becomes(to(9, 0x47), 0); // Not accessed: not there yet.
    becomes(to(9, 0x66), 0);
    becomes(to(9, 0x1fff & !0x1000), 0x67); // Cache bits, PAT, global, software bits.
    becomes(to(9, 0x7ff << 52 | 0x67), 0x67); // Protection keys and more software bits.
    becomes(to(9, NX | 0x67), NX | 0x67);
    becomes(to(65, 0x67), NX | 0x25); // The region is read-only and not for code.
}

#[test]
fn a_leaf_leads_to_the_partitions_memory_only() {
    let mut world = chain();
    for frame in [48, 63, 72, 0x100, 0xff_ffff_ffff] {
        assert_eq!(world.write(1, 0, to(frame, ALL)), Err(Error::NotYours), "{frame}");
    }
    assert_eq!(world.write(1, 512, 0), Err(Error::OutOfRange));
    let roots = world.set_roots(0, [Some(4), None]).unwrap();
    assert!(world.walk(roots[0], 0).is_some(), "the old entry stays");
}

#[test]
fn a_reference_leads_one_level_down() {
    let mut world = chain();
    assert_eq!(world.write(4, 1, to(4, ALL)), Err(Error::WrongLevel), "no self-map");
    assert_eq!(world.write(4, 1, to(2, ALL)), Err(Error::WrongLevel));
    assert_eq!(world.write(2, 1, to(4, ALL)), Err(Error::WrongLevel), "no loop");
    assert_eq!(world.write(4, 1, to(9, ALL)), Err(Error::NoTable));
    assert_eq!(world.write(2, 1, to(1, ALL | 0x80)), Err(Error::Malformed));
    assert_eq!(world.write(4, 1, to(3, ALL | 0x80)), Err(Error::Malformed));
    // Rights pass through, the rest is dropped.
    let [above, below] = [2, 1].map(|frame| world.tables.named(frame).unwrap());
    assert_eq!(world.write(2, 1, to(1, NX | 0x7f00_0000_0000_0f19)), Ok(()));
    let word = world.memory.pool[above as usize][1];
    assert_eq!(word, (POOL + u64::from(below) * 4096) | NX | 0x25);
    world.audit();
}

#[test]
fn the_kernels_slots_are_not_the_guests() {
    let mut world = chain();
    for index in [256, 260, 271] {
        assert_eq!(world.write(4, index, to(3, ALL)), Err(Error::Reserved));
        assert_eq!(world.write(4, index, 0), Ok(()), "it was nothing, and stays what it is");
    }
    assert_eq!(world.write(4, 272, to(3, ALL)), Ok(()));
    world.set_roots(0, [Some(4), None]).unwrap();
    let number = world.tables.named(4).unwrap() as usize;
    world.memory.guest[4][257] = to(3, ALL);
    assert_eq!(world.fill(4, 1 << 32), Err(Error::Reserved));
    assert_eq!(world.write(4, 256, 0), Ok(()));
    assert_eq!(world.memory.pool[number][256..272], SLOTS[0]);
    // The same index further down is an index as any other.
    assert_eq!(world.write(3, 256, to(2, ALL)), Ok(()));
    world.audit();
}

#[test]
fn a_roots_kind_is_for_life() {
    let mut world = chain();
    assert_eq!(world.create(5, 4, 0), Ok(Progress::Done));
    assert_eq!(world.set_roots(0, [Some(4), Some(4)]), Err(Error::WrongKind));
    assert_eq!(world.set_roots(0, [Some(3), None]), Err(Error::WrongLevel));
    assert_eq!(world.set_roots(2, [None, None]), Err(Error::OutOfRange));
    world.set_roots(0, [Some(4), Some(5)]).unwrap();
    assert_eq!(world.set_roots(1, [Some(5), None]), Err(Error::WrongKind));
    world.set_roots(1, [Some(4), Some(5)]).unwrap();
    world.set_roots(0, [None, None]).unwrap();
    assert_eq!(world.destroy(4), Err(Error::InUse), "of the other vCPU");
    world.set_roots(1, [None, None]).unwrap();
    assert_eq!(world.set_roots(1, [Some(5), None]), Err(Error::WrongKind));
    world.audit();
}

#[test]
fn a_queued_address_reads_the_entry_again() {
    let mut world = chain();
    let roots = world.set_roots(0, [Some(4), None]).unwrap();
    world.memory.guest[1][3] = to(30, ALL);
    world.memory.guest[1][500] = to(31, ALL);
    assert_eq!(Element::new(1, 3, 1).0, 0x1018, "an entry's address");
    // A whole table, an entry, and a frame that is no table.
    let mut page = Page::of(&[Element::new(1, 0, ENTRIES).0, 9 << 12, Element::new(1, 3, 1).0]);
    assert_eq!(world.drain(&mut page), Ok(Progress::Again));
    assert_eq!(page.count, 1);
    assert_eq!(world.walk(roots[0], 3 << 12), Some((place(30).unwrap(), true, true)));
    let mut steps = 1;
    while world.drain(&mut page) == Ok(Progress::Again) {
        steps += 1;
    }
    assert_eq!(page.count, 0);
    assert!((8..64).contains(&steps), "{steps}");
    assert_eq!(world.walk(roots[0], 500 << 12), Some((place(31).unwrap(), true, true)));
    // What is refused becomes absent, and nothing blocks.
    world.memory.guest[1][3] = to(50, ALL);
    page = Page::of(&[Element::new(1, 500, 12).0, Element::new(1, 3, 1).0]);
    assert_eq!(world.drain(&mut page), Err(Error::NotYours));
    assert_eq!(world.drain(&mut page), Ok(Progress::Done));
    assert_eq!(world.walk(roots[0], 3 << 12), None);
    world.audit();
}

#[test]
fn a_setup_that_does_not_fit_is_refused() {
    let region = |address, bytes, physical| Region::new(address, bytes, physical, true, true);
    let wrong: [&'static [Region]; 5] = [
        vec![region(0, 48 << 12, POOL - (47 << 12))].leak(),
        vec![region(0, !0xfff, 0x1000)].leak(),
        vec![region(0, 0x1000, 0x800)].leak(),
        vec![region(0x800, 0x1000, 0x1000)].leak(),
        vec![region(0, 0x1000, 0x1000); 9].leak(),
    ];
    for regions in wrong {
        assert_eq!(Tables::new(setup(regions), Physical::new()).err(), Some(Error::Setup));
    }
    let wrong: [fn(&mut Setup<'static>); 3] =
        [|it| it.pool += 8, |it| it.descriptors = &mut [], |it| it.slots[0][3] = (POOL + 0x5000) | 0x63];
    for spoil in wrong {
        let mut setup = setup(&REGION);
        spoil(&mut setup);
        assert_eq!(Tables::new(setup, Physical::new()).err(), Some(Error::Setup));
    }
}
