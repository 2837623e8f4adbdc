// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A caller that means no good: any argument, any queue, any memory, at any time.

use super::world::{CORES, NAMES, Page, World};
use proptest::prelude::*;

/// Numbers of which some are near something.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..16u64, 2 => 0..80u64, 1 => 250..280u64, 1 => 500..520u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn entry() -> impl Strategy<Value = u64> {
    let flags = prop_oneof![3 => Just(0x67u64), 1 => any::<u64>()];
    (number(), flags).prop_map(|(frame, flags)| frame.wrapping_shl(12) | flags & !0x000f_ffff_ffff_f000)
}

type Call = (u8, u64, u64, u64);

fn calls(count: usize) -> impl Strategy<Value = Vec<Call>> {
    prop::collection::vec((0..12u8, number(), prop_oneof![number(), any::<u64>()], entry()), 1..count)
}

fn attack(calls: &[Call]) {
    let mut world = World::new();
    let mut page = Page { elements: vec![0; 64], ..Page::default() };
    for (at, &(call, a, b, c)) in calls.iter().enumerate() {
        match call {
            0 => _ = world.create(a, b % 6, c),
            1 => _ = world.create(a % NAMES as u64, a % 4 + 1, b),
            2 => _ = world.fill(a, b),
            3 => _ = world.write(a, b % 520, c),
            4 => _ = world.destroy(a),
            5 => _ = world.set_roots(b as usize % 3, [(a & 1 == 0).then_some(a), (b & 1 == 0).then_some(c)]),
            6 | 7 => {
                page.elements[a as usize % 64] = if call == 6 { b } else { c };
                page.count = b;
                _ = world.drain(&mut page);
            }
            8 => world.memory.guest[a as usize % 72][b as usize % 512] = c,
            9 => world.tlb.pass(a as usize % CORES, || {}),
            10 if a & 1 == 0 => world.tlb.enter(b as usize % CORES, || {}),
            10 => world.tlb.leave(b as usize % CORES, || {}),
            _ if a == 1 => _ = world.reset(),
            _ => world.memory.guest[a as usize % 72].fill(c),
        }
        if at % 16 == 0 {
            world.audit();
        }
    }
    world.audit();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn nothing_gives_way(calls in calls(800)) {
        attack(&calls);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2600, ..ProptestConfig::default() })]
    #[test]
    #[ignore = "a million calls"]
    fn nothing_gives_way_a_million_times(calls in calls(800)) {
        attack(&calls);
    }
}
