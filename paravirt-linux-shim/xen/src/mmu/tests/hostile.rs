// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest that keeps no rule, and a pool that is too small: nothing panics, everything ends, and the
//! service's invariants hold.

use proptest::prelude::*;

use super::super::Mode;
use super::sequences::{INDEX, Op, entry, ops};
use super::world::{FRAMES, VCPUS, World};
use crate::abi::Errno;
use crate::abi::mmu::{MmuUpdate, MmuextOp};
use crate::instruction::Width;

fn apply(world: &mut World, (kind, a, b): Op) {
    let vcpu = (b >> 31) as usize % VCPUS;
    let frame = u64::from(a) % (FRAMES + 2);
    let index = INDEX[(b >> 8) as usize % INDEX.len()];
    let val = if b & 15 == 0 { u64::from(a) << 32 | u64::from(b) } else { entry(frame % 4 + 1, b) };
    let at = frame * 4096 + index * 8;
    match kind {
        0..=8 => world.set_entry(frame % FRAMES, index, val),
        9..=13 => _ = world.turn(vcpu).update(&MmuUpdate { ptr: at | u64::from(b & 7), val }),
        14 | 15 => {
            let width = [Width::Byte, Width::Word, Width::Long, Width::Quad][b as usize % 4];
            _ = world.turn(vcpu).store(at + u64::from(a >> 29), width, |old| Some(old ^ val));
        }
        16..=26 => {
            let World { mmu, vcpus, calls, memory, arguments, .. } = world;
            let mut turn = mmu.turn(&mut vcpus[vcpu], &mut calls[vcpu], memory);
            let cmd = match b % 4 {
                0 => (frame % 4) as u32,
                1 => [4, 5, 15][(b >> 4) as usize % 3],
                _ => b >> 4 & 31,
            };
            let op = MmuextOp { cmd, arg1: frame, arg2: u64::from(b) % FRAMES, ..MmuextOp::default() };
            _ = turn.extended(&op, arguments);
        }
        27 | 28 => {
            let address = u64::from(a) << 39 | u64::from(b) << 12;
            let mode = if b & 1 == 0 { Mode::Kernel } else { Mode::User };
            _ = world.turn(vcpu).fault(mode, address, u64::from(a) % 32);
            _ = world.turn(vcpu).update_address(address, val);
        }
        _ => {}
    }
    if a & 0x4000_0000 == 0 {
        let result = world.turn(vcpu).commit();
        assert!(matches!(result, Ok(()) | Err(Errno::Invalid)));
    }
}

/// Plays all; the audit, which looks at every entry there is, after each `audit` of them.
fn play(ops: &[Op], pool: usize, audit: usize) {
    let mut world = World::new(pool);
    for (at, &op) in ops.iter().enumerate() {
        apply(&mut world, op);
        if at % audit == 0 {
            world.audit();
        }
    }
    world.audit();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_guest_does_harms_nobody(ops in ops(), pool in 2..=FRAMES as usize + 1) {
        play(&ops, pool, 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 7_000, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "a million operations on tables"]
    fn whatever_a_guest_does_harms_nobody_a_million_times(ops in ops(), pool in 2..=FRAMES as usize + 1) {
        play(&ops, pool, 64);
    }
}
