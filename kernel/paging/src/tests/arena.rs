// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Tables in a slice of frames.

use super::{GIB1, KIB4, data};
use crate::format::Stage2;
use crate::mapping::Pa;
use crate::{Arena, Frame, MapError, NOT_A_TABLE, Tables, map, tables_needed, translate};

#[test]
fn an_arena_of_the_counted_size_suffices_and_one_less_does_not() -> Result<(), MapError> {
    let mapping = data(GIB1 - KIB4, KIB4, 2 * KIB4);
    let needed = tables_needed::<Stage2>(&[mapping])?;
    assert_eq!(needed, 5);
    for size in [needed, needed - 1] {
        let frames: Vec<Frame> = (0..size).map(|_| Frame::new()).collect();
        let mut arena = Arena::new(&frames, Pa(0x4_0000_0000));
        let root = arena.alloc().ok_or(MapError::OutOfTables)?;
        let outcome = map::<Stage2>(&mut arena, root, &mapping);
        if size == needed {
            assert_eq!(outcome, Ok(()));
            let seen = translate::<Stage2>(&arena, root, GIB1).map(|leaf| leaf.pa);
            assert_eq!(seen, Some(Pa(2 * KIB4)));
        } else {
            assert_eq!(outcome, Err(MapError::OutOfTables));
            assert_eq!(translate::<Stage2>(&arena, root, GIB1), None);
        }
        assert_eq!(arena.used(), size);
    }
    Ok(())
}

#[test]
fn a_frame_is_zeroed_when_it_is_given_out() {
    let frames = [Frame::new()];
    let base = Pa(0x1000);
    let mut first = Arena::new(&frames, base);
    assert_eq!(first.alloc(), Some(base));
    first.write(base, 511, 7);
    let mut second = Arena::new(&frames, base);
    assert_eq!(second.alloc(), Some(base));
    assert_eq!(second.read(base, 511), 0);
    assert_eq!(second.alloc(), None);
}

#[test]
fn other_addresses_are_no_tables() {
    let frames = [Frame::new(), Frame::new()];
    let mut arena = Arena::new(&frames, Pa(0x2000));
    assert_eq!(arena.read(Pa(0x2000), 0), NOT_A_TABLE);
    let table = arena.alloc();
    assert_eq!(table, Some(Pa(0x2000)));
    for (pa, index) in [(0x1000, 0), (0x2008, 0), (0x3000, 0), (0x4000, 0), (!0xfff, 0), (0x2000, 512)] {
        arena.write(Pa(pa), index, 1);
        assert_eq!(arena.read(Pa(pa), index), NOT_A_TABLE);
    }
    assert_eq!(arena.read(Pa(0x2000), 0), 0);
}
