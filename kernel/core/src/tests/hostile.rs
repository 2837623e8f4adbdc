// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Random calls: none may break the core, none may change what is another partition's.

use super::{Cell, MEMORY, MS, System};
use crate::machine::Fault;
use parzelle_abi::health::{Action, ErrorId};
use parzelle_abi::{Call, NEVER};
use parzelle_plan::{QUEUING, SAMPLING};
use proptest::prelude::*;

fn argument() -> impl Strategy<Value = u64> {
    prop_oneof![
        0u64..8,
        Just(u64::MAX),
        Just(NEVER - 1),
        Just(1 << 63),
        Just(u64::from(u32::MAX)),
        (MEMORY - 70)..(MEMORY + 70),
        (MEMORY + 0xffc0)..(MEMORY + 0x10040),
        any::<u64>(),
        0..100 * MS,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_calls_break_nothing(
        calls in proptest::collection::vec((0u64..30, proptest::array::uniform5(argument()), 0u64..MS, any::<bool>()), 1..150),
        action in prop_oneof![Just(Action::WarmStart), Just(Action::Process), Just(Action::Stop), Just(Action::Ignore)],
    ) {
        // 0 attacks, 1 has a window, 2 is another bystander with a channel of its own with 1.
        let mut sim = System {
            cells: vec![
                Cell { priority: 100, ..Default::default() },
                Cell { queue: 1, priority: 90, ..Default::default() },
                Cell { queue: 1, priority: 90, ..Default::default() },
            ],
            windows: vec![(1, MS), (0, 4 * MS)],
            channels: vec![(1, vec![2], QUEUING, 3, 0), (0, vec![1], SAMPLING, 1, MS), (2, vec![0], QUEUING, 2, 0)],
            action: Some(action),
            restarts: 1000,
            ..Default::default()
        }.boot();
        let secret = b"what the attacker must not touch".to_vec();
        for partition in [1u64, 2] {
            sim.core.machine.poke(0x8000_0000 + partition * 0x1_0000, &secret);
        }
        sim.core.machine.poke(0x9000_0000, &secret);
        for (number, arguments, time, fault) in calls {
            let now = sim.core.machine.time;
            match sim.running() {
                Some(0) if fault && time % 5 == 0 => sim.core.on_fault(Fault { error: ErrorId::IllegalRequest, syndrome: 0, address: time }),
                Some(0) => sim.core.on_call(number, arguments),
                Some(_) => drop(sim.call(Call::Wait, &[NEVER, parzelle_abi::event::WINDOW])),
                None => {}
            }
            sim.run_to(now + time);
            prop_assert_eq!(sim.core.machine.halted, None);
        }
        for partition in [1u64, 2] {
            let state = &sim.core.shared.partitions[partition as usize];
            prop_assert_eq!(state.state.generation.load(core::sync::atomic::Ordering::Relaxed), 0);
            prop_assert_eq!(state.state.health_events.load(core::sync::atomic::Ordering::Relaxed), 0);
            prop_assert_eq!(sim.core.machine.peek(0x8000_0000 + partition * 0x1_0000, secret.len()), secret.clone());
        }
        prop_assert_eq!(sim.core.machine.peek(0x9000_0000, secret.len()), secret);
        let missed = sim.core.shared.windows[1].missed.get();
        prop_assert_eq!(missed, 0);
    }

    /// A plan in which something was changed is refused, or boots; it never breaks the check.
    #[test]
    fn a_wrong_plan_never_breaks_the_check(position in 0usize..4000, value in any::<u32>()) {
        let bytes = System {
            cells: vec![Cell { queue: 1, ..Default::default() }, Cell::default()],
            windows: vec![(1, MS), (0, MS)],
            channels: vec![(0, vec![1], QUEUING, 3, 0)],
            ..Default::default()
        }.plan();
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        let image = zerocopy::IntoBytes::as_mut_bytes(words.as_mut_slice());
        image[..bytes.len()].copy_from_slice(&bytes);
        let at = 24 + (position * 4) % (bytes.len() - 28);
        image[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let digest = parzelle_plan::digest(&image[16..bytes.len()]);
        image[8..16].copy_from_slice(&digest.to_le_bytes());
        if let Ok(plan) = parzelle_plan::Plan::read(zerocopy::IntoBytes::as_bytes(words.leak()))
            && plan.channels().iter().all(|channel| channel.depth < 1 << 16)
            && plan.cores().iter().all(|core| core.trace_bytes < 1 << 20)
            && let Ok(booted) = crate::boot(plan, &mut crate::machine::fake::Heap::default())
        {
            let mut core = crate::CoreState::new(booted.shared, &mut booted.cores[0], crate::machine::fake::Fake::new());
            core.start(MS);
            for _ in 0..20 {
                core.machine.time = core.machine.time.max(core.machine.armed.min(1 << 60));
                core.on_timer();
            }
        }
    }
}
