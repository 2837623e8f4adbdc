// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Tables come and go.

use super::rules::chain;
use super::world::{COUNT, World, place};
use crate::{Error, Progress};

#[test]
fn a_half_filled_table_cannot_be_linked() {
    let mut world = chain();
    for index in 0..512 {
        world.memory.guest[6][index] = 20 << 12 | 0x67;
    }
    assert_eq!(world.create(6, 1, !0), Ok(Progress::Again));
    assert_eq!(world.write(2, 7, 6 << 12 | 0x67), Err(Error::NotReady));
    assert_eq!(world.create(6, 1, !0), Err(Error::Exists));
    let mut steps = 1;
    loop {
        world.audit();
        steps += 1;
        if world.fill(6, 0).unwrap() == Progress::Done {
            break;
        }
    }
    assert_eq!(steps, 22, "three full lines at once");
    assert_eq!(world.write(2, 7, 6 << 12 | 0x67), Ok(()));
    let roots = world.set_roots(0, [Some(4), None]).unwrap();
    assert_eq!(world.walk(roots[0], 7 << 21 | 511 << 12), Some((place(20).unwrap(), true, true)));
}

#[test]
fn only_the_lines_named_are_read() {
    let mut world = World::new();
    world.memory.guest[6][0] = 20 << 12 | 0x67;
    world.memory.guest[6][511] = 20 << 12 | 0x67;
    assert_eq!(world.create(6, 1, 1 << 63), Ok(Progress::Done));
    let number = world.tables.named(6).unwrap() as usize;
    assert_eq!(world.memory.pool[number][0], 0);
    assert_ne!(world.memory.pool[number][511], 0);
}

#[test]
fn a_refused_entry_leaves_a_hole_and_the_rest_is_filled() {
    let mut world = World::new();
    world.memory.guest[6][1] = 60 << 12 | 0x67;
    world.memory.guest[6][2] = 20 << 12 | 0x67;
    world.memory.guest[6][40] = 20 << 12 | 0x67;
    assert_eq!(world.create(6, 1, 0b10_0011), Err(Error::NotYours));
    while world.fill(6, 0) != Ok(Progress::Done) {}
    let number = world.tables.named(6).unwrap() as usize;
    let present = (0..512).filter(|index| world.memory.pool[number][*index] != 0);
    assert_eq!(present.collect::<Vec<_>>(), [2, 40]);
}

#[test]
fn parents_go_before_children() {
    let mut world = chain();
    world.set_roots(0, [Some(4), None]).unwrap();
    for frame in 1..=4 {
        assert_eq!(world.destroy(frame), Err(Error::InUse));
    }
    world.set_roots(0, [None, None]).unwrap();
    for frame in (1..=4).rev() {
        assert_eq!(world.destroy(frame), Ok(Progress::Done));
        assert_eq!(world.destroy(frame), Err(Error::NoTable));
        world.audit();
    }
}

#[test]
fn a_dying_table_is_nobodys() {
    let mut world = World::new();
    for index in (0..512).step_by(8) {
        world.memory.guest[1][index] = 20 << 12 | 0x67;
    }
    assert_eq!(world.create(2, 2, 0), Ok(Progress::Done));
    let mut progress = world.create(1, 1, !0);
    while progress == Ok(Progress::Again) {
        progress = world.fill(1, 0);
    }
    assert_eq!(world.destroy(1), Ok(Progress::Again));
    assert_eq!(world.write(2, 0, 1 << 12 | 0x67), Err(Error::NoTable));
    assert_eq!(world.fill(1, 1), Err(Error::NoTable));
    assert_eq!(world.create(1, 1, 0), Err(Error::Exists));
    world.audit();
    let steps = (0..).take_while(|_| world.destroy(1) == Ok(Progress::Again)).count();
    assert_eq!(steps, 2);
    assert_eq!(world.create(1, 1, 0), Ok(Progress::Done));
    world.audit();
}

#[test]
fn a_pool_has_an_end() {
    let mut world = World::new();
    for frame in 1..COUNT as u64 {
        assert_eq!(world.create(frame, 1, 0), Ok(Progress::Done));
    }
    assert_eq!(world.create(30, 1, 0), Err(Error::PoolEmpty));
    assert_eq!(world.destroy(7), Ok(Progress::Done));
    assert_eq!(world.create(30, 1, 0), Ok(Progress::Done));
    for (frame, level, error) in
        [(60, 1, Error::NotYours), (45, 1, Error::NotYours), (31, 0, Error::OutOfRange), (31, 5, Error::OutOfRange)]
    {
        assert_eq!(world.create(frame, level, 0), Err(error));
    }
    world.audit();
}

#[test]
fn a_reset_frees_all_and_refuses_the_rest_meanwhile() {
    let mut world = chain();
    world.set_roots(0, [Some(4), None]).unwrap();
    assert_eq!(world.reset(), Progress::Again);
    assert_eq!(world.create(9, 1, 0), Err(Error::Resetting));
    assert_eq!(world.write(1, 0, 0), Err(Error::Resetting));
    assert_eq!(world.set_roots(0, [None, None]), Err(Error::Resetting));
    while world.reset() == Progress::Again {
        world.audit();
    }
    world.audit();
    assert_eq!(world.write(1, 0, 0), Err(Error::NoTable));
    assert!(world.memory.pool.iter().skip(1).flatten().all(|word| *word == 0));
    for frame in 1..COUNT as u64 {
        assert_eq!(world.create(frame, 1, 0), Ok(Progress::Done));
    }
}
