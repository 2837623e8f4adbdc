// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Single rules, one test each.

use super::super::{Extended, Fault, Mode, Service, WRITE_FAULT};
use super::world::{FRAMES, World};
use crate::abi::Errno;
use crate::abi::mmu::{MmuUpdate, MmuextOp};
use crate::decode::{Flush, Where};
use crate::instruction::Width;

/// Tables 0–3, of level 4, 3, 2, 1, that map address 0 to frame 8; table 3 read-only at 0x1000.
fn started(pool: usize) -> World {
    let mut world = World::new(pool);
    for table in 0..3 {
        world.set_entry(table, 0, (table + 1) << 12 | 0x67);
    }
    world.set_entry(3, 0, 8 << 12 | 0x67);
    world.set_entry(3, 1, 3 << 12 | 0x65);
    world.turn(0).start(0).unwrap();
    world
}

fn at(frame: u64, index: u64) -> u64 {
    frame * 4096 + index * 8
}

fn ext(world: &mut World, cmd: u32, arg1: u64, arg2: u64) -> Result<Extended, Errno> {
    let World { mmu, vcpus, calls, memory, arguments, .. } = world;
    let mut turn = mmu.turn(&mut vcpus[0], &mut calls[0], memory);
    turn.extended(&MmuextOp { cmd, arg1, arg2, ..MmuextOp::default() }, arguments)
}

#[test]
fn a_guest_starts_on_its_tables() {
    let world = started(6);
    assert_eq!(world.hardware(0, Mode::Kernel, 0x123), Some((8, true)));
    assert_eq!(world.mmu.table(0), (4, true));
    assert_eq!(world.mmu.table(3), (1, false));
    world.audit();
}

#[test]
fn leaves_of_user_programs_wait_and_those_of_the_kernel_do_not() {
    let mut world = started(6);
    let before = world.calls[0].calls;
    world.turn(0).update_address(0x2000, 9 << 12 | 0x67).unwrap();
    world.turn(0).update_address(0x3000, 10 << 12 | 0x67).unwrap();
    assert!(!world.vcpus[0].is_due());
    world.turn(0).commit().unwrap();
    assert_eq!((world.calls[0].calls, world.hardware(0, Mode::Kernel, 0x2000)), (before, None));
    world.turn(0).update_address(0x8000, 11 << 12 | 0x63).unwrap();
    world.turn(0).commit().unwrap();
    assert_eq!(world.hardware(0, Mode::Kernel, 0x8000), Some((11, true)));
    assert_eq!(world.hardware(0, Mode::Kernel, 0x3000), Some((10, true)));
}

#[test]
fn neighbours_share_an_element() {
    let mut world = started(6);
    for index in (16..48).chain([20, 30]) {
        world.turn(0).update(&MmuUpdate { ptr: at(3, index), val: 9 << 12 | 0x67 }).unwrap();
    }
    assert_eq!(world.calls[0].queued(), 1);
    world.turn(0).drain();
    assert_eq!(world.hardware(0, Mode::Kernel, 47 << 12), Some((9, true)));
}

#[test]
fn a_full_queue_is_drained() {
    let mut world = started(6);
    for index in 0..256 {
        world.turn(0).update(&MmuUpdate { ptr: at(3, index * 2 % 511), val: 9 << 12 | 0x67 }).unwrap();
    }
    world.turn(0).drain();
    assert_eq!(world.hardware(0, Mode::Kernel, 2 << 12), Some((9, true)));
}

#[test]
fn accessed_and_dirty_come_by_faults() {
    let mut world = started(6);
    world.turn(0).update_address(0x2000, 9 << 12 | 0x07).unwrap();
    assert_eq!(world.turn(0).fault(Mode::Kernel, 0x2010, 0), Fault::Mended);
    assert_eq!(world.entry(3, 2), 9 << 12 | 0x27);
    assert_eq!(world.hardware(0, Mode::Kernel, 0x2000), Some((9, false)));
    assert_eq!(world.turn(0).fault(Mode::Kernel, 0x2010, WRITE_FAULT), Fault::Mended);
    assert_eq!(world.entry(3, 2), 9 << 12 | 0x67);
    assert_eq!(world.hardware(0, Mode::Kernel, 0x2000), Some((9, true)));
}

#[test]
fn the_guests_own_faults_stay_its_own() {
    let mut world = started(6);
    let mut fault = |mode, address, error| world.turn(0).fault(mode, address, error);
    assert_eq!(fault(Mode::Kernel, 0x5000, 0), Fault::Guest, "absent");
    assert_eq!(fault(Mode::User, 0, 0), Fault::Guest, "no root");
    assert_eq!(fault(Mode::Kernel, 0xffff_8000_0000_0000, 0), Fault::Guest, "not the guest's");
    assert_eq!(fault(Mode::Kernel, 1 << 39, 0), Fault::Guest);
    assert_eq!(fault(Mode::Kernel, 0x1008, WRITE_FAULT), Fault::Store(0x3008));
    world.set_entry(3, 4, 9 << 12 | 0x63 | 1 << 63);
    assert_eq!(world.turn(0).fault(Mode::Kernel, 0x4000, 16), Fault::Guest, "not executable");
    world.set_entry(3, 5, 9 << 12 | 0x65);
    assert_eq!(world.turn(0).fault(Mode::Kernel, 0x5000, WRITE_FAULT), Fault::Guest, "no table");
}

#[test]
fn stores_change_as_much_as_they_are_wide() {
    let mut world = started(6);
    world.turn(0).store(at(3, 2), Width::Quad, |old| Some(old | 9 << 12 | 0x67)).unwrap();
    world.turn(0).store(at(3, 2), Width::Byte, |old| Some(old & !2)).unwrap();
    world.turn(0).store(at(3, 2) + 6, Width::Word, |old| Some(old | 0x8000)).unwrap();
    assert_eq!(world.entry(3, 2), 1 << 63 | 9 << 12 | 0x65);
    world.turn(0).store(at(3, 2), Width::Quad, |_| None).unwrap();
    assert_eq!(world.turn(0).store(at(3, 2) + 4, Width::Quad, |_| Some(0)), Err(Errno::Invalid));
    world.turn(0).drain();
    assert_eq!(world.hardware(0, Mode::Kernel, 0x2000), Some((9, false)));
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut world = started(6);
    let outside = FRAMES << 12 | 0x67;
    for (frame, val) in [(3, outside), (2, outside), (2, 8 << 12 | 0xe7), (2, 1 << 12 | 0x67)] {
        let old = world.entry(frame, 0);
        assert_eq!(world.turn(0).update(&MmuUpdate { ptr: at(frame, 0), val }), Err(Errno::Invalid), "{val:#x}");
        assert_eq!(world.entry(frame, 0), old);
    }
    assert_eq!(world.turn(0).update(&MmuUpdate { ptr: at(0, 256), val: 0x1067 }), Err(Errno::Invalid));
    assert_eq!(world.turn(0).update(&MmuUpdate { ptr: FRAMES << 12, val: 0 }), Err(Errno::Invalid));
    assert_eq!(world.turn(0).update(&MmuUpdate { ptr: 3, val: 0 }), Ok(()), "same as normal");
    assert_eq!(world.turn(0).update_address(1 << 30, 0), Err(Errno::Invalid));
}

#[test]
fn tables_go_with_their_last_link() {
    let mut world = started(9);
    world.set_entry(4, 0, 8 << 12 | 0x67);
    world.turn(0).update(&MmuUpdate { ptr: at(2, 1), val: 4 << 12 | 0x67 }).unwrap();
    world.turn(0).update(&MmuUpdate { ptr: at(2, 2), val: 4 << 12 | 0x67 }).unwrap();
    assert_eq!(world.mmu.table(4), (1, false));
    world.turn(0).update(&MmuUpdate { ptr: at(2, 1), val: 0 }).unwrap();
    assert_eq!(world.mmu.table(4), (1, false));
    world.turn(0).update(&MmuUpdate { ptr: at(2, 2), val: 0 }).unwrap();
    assert_eq!(world.mmu.table(4), (0, false));
    // A new root takes over what the old one had; that goes when it is no root any more.
    world.set_entry(5, 511, 1 << 12 | 0x67);
    ext(&mut world, 3, 5, 0).unwrap();
    ext(&mut world, 4, 0, 0).unwrap();
    assert_eq!(world.mmu.table(0), (4, false), "still the root");
    ext(&mut world, 5, 5, 0).unwrap();
    ext(&mut world, 15, 0, 0).unwrap();
    world.turn(0).commit().unwrap();
    assert_eq!(world.mmu.table(0), (0, false));
    assert_eq!(world.hardware(0, Mode::Kernel, 511 << 39), Some((8, true)));
    world.audit();
}

#[test]
fn a_frame_can_be_a_table_of_another_level_later() {
    let mut world = started(9);
    world.set_entry(4, 0, 8 << 12 | 0x67);
    ext(&mut world, 0, 4, 0).unwrap();
    assert_eq!(ext(&mut world, 1, 4, 0), Err(Errno::Invalid), "pinned");
    ext(&mut world, 4, 4, 0).unwrap();
    world.set_entry(4, 0, 3 << 12 | 0x67);
    ext(&mut world, 1, 4, 0).unwrap();
    assert_eq!(world.mmu.table(4), (2, true));
    assert_eq!(ext(&mut world, 4, 5, 0), Err(Errno::Invalid), "not pinned");
    world.audit();
}

#[test]
fn an_empty_pool_is_told() {
    let mut world = started(5);
    assert!(!world.mmu.take_exhausted());
    assert_eq!(ext(&mut world, 0, 5, 0), Err(Errno::NoMemory));
    assert!(world.mmu.take_exhausted() && !world.mmu.take_exhausted());
    assert_eq!(world.mmu.tables(), (4, 4));
}

#[test]
fn flushes_are_gathered() {
    let mut world = started(6);
    // What became a table at the start.
    world.turn(0).commit().unwrap();
    world.calls[0].flushes.clear();
    let before = world.calls[0].calls;
    for cmd in [6, 7, 7] {
        ext(&mut world, cmd, 0, 0).unwrap();
    }
    world.arguments.map(0x100, 1);
    world.arguments.place(0x100, &[0xfe]);
    ext(&mut world, 8, 0, 0x100).unwrap();
    assert_eq!(ext(&mut world, 9, 0, 0x200), Err(Errno::Fault));
    world.turn(0).commit().unwrap();
    assert_eq!(world.calls[0].flushes, [3]);
    assert!(world.calls[0].calls > before);
    let World { mmu, vcpus, calls, memory, arguments, .. } = &mut world;
    let mut turn = mmu.turn(&mut vcpus[0], &mut calls[0], memory);
    turn.flush(Flush::Nothing, arguments).unwrap();
    turn.flush(Flush::All(Where::Everywhere), arguments).unwrap();
    turn.commit().unwrap();
    assert_eq!(world.calls[0].flushes, [3, 3]);
}

#[test]
fn other_operations_are_served_or_refused() {
    let mut world = started(6);
    assert_eq!(ext(&mut world, 13, 0x1000, 3), Ok(Extended::Ldt { address: 0x1000, entries: 3 }));
    assert_eq!(ext(&mut world, 13, 0, 0xff3_0000_0000), Ok(Extended::Ldt { address: 0, entries: 0 }), "padding");
    assert_eq!(ext(&mut world, 19, 0, 0), Err(Errno::NoSystem), "large pages");
    world.set_entry(9, 5, 77);
    ext(&mut world, 17, 10, 9).unwrap();
    assert_eq!(world.entry(10, 5), 77);
    ext(&mut world, 16, 10, 0).unwrap();
    assert_eq!(world.entry(10, 5), 0);
    assert_eq!(ext(&mut world, 16, 3, 0), Err(Errno::Invalid), "a table");
    assert_eq!(world.turn(0).update(&MmuUpdate { ptr: 5 << 12 | 1, val: 5 }), Ok(()));
    assert_eq!(world.turn(0).update(&MmuUpdate { ptr: 99 << 12 | 1, val: 5 }), Err(Errno::Invalid));
}

#[test]
fn what_sleeps_is_changed_without_a_flush() {
    let mut world = started(6);
    ext(&mut world, 4, 0, 0).unwrap();
    ext(&mut world, 3, 0, 0).unwrap();
    // vCPU 0 unmaps a page and goes on in its kernel, without a call.
    world.turn(0).update_address(0, 0).unwrap();
    world.turn(0).commit().unwrap();
    assert_eq!(world.hardware(0, Mode::Kernel, 0), Some((8, true)), "not yet");
    let World { mmu, vcpus, calls, memory, arguments, .. } = &mut world;
    let mut turn = mmu.turn(&mut vcpus[1], &mut calls[1], memory);
    turn.extended(&MmuextOp { cmd: 5, ..MmuextOp::default() }, arguments).unwrap();
    turn.commit().unwrap();
    assert_eq!(world.hardware(1, Mode::Kernel, 0), None);
}

#[test]
fn what_came_by_other_ways_is_installed_by_faults() {
    let mut world = started(6);
    world.set_entry(4, 0, 9 << 12 | 0x67);
    world.set_entry(2, 1, 4 << 12 | 0x67);
    for _ in 0..2 {
        assert_eq!(world.turn(0).fault(Mode::Kernel, 1 << 21, 0), Fault::Mended);
    }
    assert_eq!(world.hardware(0, Mode::Kernel, 1 << 21), Some((9, true)));
    world.audit();
}
