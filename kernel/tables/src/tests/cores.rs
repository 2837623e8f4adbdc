// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Generations.

use super::world::{COUNT, World};
use crate::Progress;

/// All tables of the pool were used, and given back; the next is one that was used before.
fn used(world: &mut World) {
    for frame in 1..COUNT as u64 {
        assert_eq!(world.create(frame, 1, 0), Ok(Progress::Done));
    }
    for frame in 1..COUNT as u64 {
        assert_eq!(world.destroy(frame), Ok(Progress::Done));
    }
}

#[test]
fn a_freed_table_waits_for_the_cores_that_may_know_it() {
    let mut world = World::new();
    world.tlb.enter(0, || {});
    world.tlb.enter(1, || {});
    used(&mut world);
    let round = world.tlb.generation() + 1;
    assert_eq!(world.create(1, 1, 0), Ok(Progress::Flush(round)));
    assert_eq!(world.create(1, 1, 0), Ok(Progress::Flush(round)), "no further round");
    assert!(world.tlb.is_behind(0) && world.tlb.is_behind(1));
    let mut flushed = false;
    world.tlb.pass(0, || flushed = true);
    assert_eq!([1, 2, 3].map(|mask| world.tlb.unpassed(round, mask)), [None, Some(1), Some(1)]);
    assert!(flushed && !world.tlb.is_behind(0) && !world.tlb.all_passed(round));
    assert_eq!(world.create(1, 1, 0), Ok(Progress::Flush(round)));
    world.tlb.leave(1, || {});
    assert!(world.tlb.all_passed(round) && !world.tlb.is_behind(1));
    for frame in 1..COUNT as u64 {
        assert_eq!(world.create(frame, 1, 0), Ok(Progress::Done), "one flush serves them all");
    }
    world.audit();
}

#[test]
fn who_comes_after_a_round_has_passed_it() {
    let mut world = World::new();
    used(&mut world);
    let round = world.tlb.round();
    world.tlb.enter(1, || {});
    assert!(world.tlb.all_passed(round) && !world.tlb.is_behind(1));
    assert_eq!(world.create(1, 1, 0), Ok(Progress::Done));
    // Not known on this board: nobody waits for it, and it breaks nothing.
    world.tlb.enter(17, || {});
    assert!(!world.tlb.is_behind(17));
}
