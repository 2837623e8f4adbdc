// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Windows, priorities, budgets, deadlines.

use super::{Cell, MS, System};
use parzelle_abi::aarch64::GuestExit;
use parzelle_abi::{Call, NEVER, event};
use proptest::prelude::*;

fn control_and_background() -> System {
    System {
        cells: vec![
            Cell { queue: 1, priority: 100, ..Default::default() },
            Cell { queue: 0, priority: 100, ..Default::default() },
        ],
        windows: vec![(1, MS), (0, 9 * MS)],
        ..Default::default()
    }
}

#[test]
fn windows_begin_and_end_by_plan() {
    let mut sim = control_and_background().boot();
    assert_eq!(sim.running(), None, "nothing runs before the first window");
    for frame in 0..50u64 {
        sim.run_to(MS + frame * 10 * MS);
        assert_eq!(sim.running(), Some(0), "frame {frame}");
        sim.run_to(MS + frame * 10 * MS + MS - 100);
        assert_eq!(sim.running(), Some(0));
        sim.run_to(MS + frame * 10 * MS + MS);
        assert_eq!(sim.running(), Some(1));
    }
    let count = &sim.core.shared.windows[1];
    assert_eq!(count.run.get(), 50);
    assert_eq!(count.missed.get(), 0);
}

#[test]
fn what_a_window_leaves_goes_to_time_partition_0() {
    let mut sim = control_and_background().boot();
    sim.run_to(MS);
    assert_eq!(sim.running(), Some(0));
    assert_eq!(sim.call(Call::Wait, &[NEVER, event::WINDOW]), Some((0, event::WINDOW)), "its window has begun");
    assert_eq!(sim.call(Call::Wait, &[NEVER, event::WINDOW]), None);
    assert_eq!(sim.running(), Some(1), "slack");
    sim.run_to(11 * MS);
    assert_eq!(sim.running(), Some(0), "woken by its window");
    let vcpu = sim.vcpu(0);
    assert_eq!(sim.core.machine.result(vcpu), Some((0, event::WINDOW)));
    assert_eq!(sim.context(vcpu).windows.last(), Some(&(11 * MS)));
}

#[test]
fn a_guest_exit_after_the_window_is_there_in_the_next() {
    let mut sim = System {
        cells: vec![Cell { queue: 1, ..Default::default() }],
        windows: vec![(1, MS), (0, 9 * MS)],
        ..Default::default()
    }
    .boot();
    sim.run_to(MS);
    let vcpu = sim.vcpu(0);
    sim.context(vcpu).guest = true;
    sim.run_to(5 * MS);
    assert_eq!(sim.running(), None);
    // Its virtual timer: the registers are still loaded.
    sim.core.on_guest_exit(GuestExit::Timer);
    assert_eq!(sim.context(vcpu).exits, [GuestExit::Timer]);
    assert_eq!(sim.running(), None, "but its time has not come");
    sim.run_to(11 * MS);
    assert_eq!(sim.running(), Some(0));
    assert!(!sim.context(vcpu).guest);
}

#[test]
fn a_deadline_outside_of_the_window_waits_for_it() {
    let mut sim = control_and_background().boot();
    sim.run_to(MS);
    assert_eq!(sim.call(Call::Wait, &[5 * MS, 0]), None);
    sim.run_to(10 * MS);
    assert_eq!(sim.running(), Some(1));
    sim.run_to(11 * MS);
    assert_eq!(sim.running(), Some(0));
    let vcpu = sim.vcpu(0);
    assert_eq!(sim.core.machine.result(vcpu), Some((0, 0)), "timed out");
}

#[test]
fn a_higher_priority_of_time_partition_0_goes_first_within_its_budget() {
    let mut system = control_and_background();
    system.windows = vec![(1, 9 * MS), (0, MS)];
    system.cells[1] = Cell { queue: 0, priority: 150, budget: (MS / 5, 2 * MS), ..Default::default() };
    let mut sim = system.boot();
    sim.run_to(MS);
    assert_eq!(sim.running(), Some(1));
    sim.run_to(MS + MS / 5 + 10);
    assert_eq!(sim.running(), Some(0), "its budget is used up");
    sim.run_to(3 * MS + 100);
    assert_eq!(sim.running(), Some(1), "replenished");
    let before = sim.core.shared.mailboxes[sim.vcpu(1) as usize].accounts.used.get();
    assert!((MS / 5..MS / 5 + 100).contains(&before), "{before}");
}

#[test]
fn equals_take_turns() {
    let cell = Cell { priority: 100, ..Default::default() };
    let mut sim = System { cells: vec![cell; 3], windows: vec![(0, MS)], ..Default::default() }.boot();
    let mut seen = vec![];
    for frame in 1..=9 {
        sim.run_to(frame * MS);
        seen.push(sim.running().unwrap());
    }
    for partition in 0..3 {
        assert_eq!(seen.iter().filter(|&&running| running == partition).count(), 3, "{seen:?}");
    }
    let first = sim.running();
    sim.call(Call::Wait, &[0, 0]);
    assert_ne!(sim.running(), first, "a poll lets equals go first");
}

#[test]
fn a_timer_raises_its_event_as_an_upcall() {
    let mut sim = control_and_background().boot();
    sim.run_to(2 * MS);
    assert_eq!(sim.running(), Some(1));
    sim.call(Call::SetUpcall, &[0x40_0000, 0x7000, event::TIMER]);
    sim.call(Call::SetTimer, &[3 * MS]);
    sim.run_to(3 * MS + 10);
    let vcpu = sim.vcpu(1);
    assert_eq!(sim.context(vcpu).upcalls.len(), 1);
    assert_eq!(sim.context(vcpu).upcalls[0].events, event::TIMER);
    sim.call(Call::SetTimer, &[4 * MS]);
    sim.run_to(4 * MS + 10);
    assert_eq!(sim.context(vcpu).upcalls.len(), 1, "masked in the handler");
    sim.core.on_call(Call::Resume as u64, [0; 5]);
    assert_eq!(sim.context(vcpu).upcalls.len(), 1, "the second comes at once, the frame is kept");
    sim.core.on_call(Call::Resume as u64, [0; 5]);
    assert_eq!(sim.context(vcpu).upcalls.len(), 0);
}

#[test]
fn a_vcpu_without_budget_left_is_not_started_into_it() {
    let mut system = control_and_background();
    system.cells[1] = Cell { queue: 0, priority: 150, budget: (MS / 5, 2 * MS), ..Default::default() };
    let mut sim = system.boot();
    sim.run_to(MS);
    let vcpu = sim.core.local(sim.vcpu(1)).unwrap();
    vcpu.budget_left.set(0);
    sim.core.start_vcpu(vcpu, vcpu.start.get());
    sim.core.dispatch();
    assert_eq!(sim.running(), Some(0), "it waits for its next period");
    sim.run_to(3 * MS - 100);
    assert_eq!(sim.running(), None, "still");
    assert!(sim.core.machine.switches < 10);
}

/// What a partition does next.
#[derive(Clone, Debug)]
enum Step {
    Compute(u64),
    Wait(u64, u64),
    Yield,
    Ring,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..3 * MS).prop_map(Step::Compute),
        (1..20 * MS, prop_oneof![Just(0), Just(event::WINDOW), Just(event::ALL)])
            .prop_map(|(time, interest)| Step::Wait(time, interest)),
        Just(Step::Yield),
        Just(Step::Ring),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever partitions do: in a window nobody else runs but time partition 0, and that only
    /// with a higher priority or when nobody of the window is ready; budgets hold in each period;
    /// no window is entered late.
    #[test]
    fn the_schedule_holds(
        cells in proptest::collection::vec((0u32..3, 90u32..110, any::<bool>()), 1..8),
        lengths in proptest::collection::vec((0u32..3, 1u64..5), 1..6),
        steps in steps(),
    ) {
        let cells: Vec<Cell> = cells.into_iter().map(|(queue, priority, limited)| Cell {
            queue, priority, budget: if limited && queue == 0 { (MS / 4, 3 * MS) } else { (0, 0) }, ..Default::default()
        }).collect();
        let count = cells.len() as u32;
        let system = System {
            cells: cells.clone(),
            windows: lengths.into_iter().map(|(queue, length)| (queue, length * MS)).collect(),
            doorbells: (0..count).map(|cell| (cell, (cell + 1) % count)).collect(),
            ..Default::default()
        };
        let mut sim = system.boot();
        let mut used = vec![(0u64, 0u64); cells.len()];
        sim.run_to(MS);
        for step in steps {
            let now = sim.core.machine.time;
            let Some(running) = sim.running() else { sim.run_to(now + MS / 2); continue };
            let cell = cells[running as usize];
            let window = sim.core.data.window;
            prop_assert!(cell.queue == 0 || cell.queue == window.queue.number);
            prop_assert!(window.start <= now && now <= window.end + 2000, "{}..{} at {now}", window.start, window.end);
            if window.queue.number != 0 && cell.queue == 0 {
                let first = window.queue.ready.first();
                let other =
                    first.map(|slot| sim.core.data.vcpus[window.queue.vcpus.start as usize + slot].record.priority);
                prop_assert!(other.is_none_or(|priority| priority < cell.priority));
            }
            match step {
                Step::Compute(time) => {
                    sim.run_to(now + time);
                }
                Step::Wait(time, interest) => { sim.call(Call::Wait, &[now + time, interest]); }
                Step::Yield => { sim.call(Call::Wait, &[0, 0]); }
                Step::Ring => { sim.call(Call::Ring, &[0]); }
            }
            let now = sim.core.machine.time;
            for (partition, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.budget.0 != 0) {
                let total = sim.core.shared.mailboxes[sim.vcpu(partition as u32) as usize].accounts.used.get();
                let (since, base) = used[partition];
                if now - since >= cell.budget.1 {
                    // Over any stretch: at most a budget per period begun in it, and one before.
                    let periods = (now - since) / cell.budget.1 + 2;
                    prop_assert!(total - base <= periods * (cell.budget.0 + 100), "{} in {}", total - base, now - since);
                    used[partition] = (now, total);
                }
            }
        }
        let missed: u64 = sim.core.shared.windows.iter().map(|count| count.missed.get()).sum();
        prop_assert_eq!(missed, 0);
    }
}
