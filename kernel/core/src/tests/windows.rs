// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What begins a window, what it leaves, and how one schedule follows another.

use super::{Cell, MS, Sim, System};
use parzelle_abi::health::Action;
use parzelle_abi::{Call, NEVER, event};
use parzelle_plan::{RIGHT_SCHEDULE, WINDOW_FLUSH, WINDOW_NO_SLACK};
use proptest::prelude::*;

const PAD: u64 = 20_000;

/// 10 ms: two windows of partition 0, one of partition 2; partition 1 is in time partition 0.
fn three_windows(boundaries: &[(usize, u32, u64)]) -> Sim {
    let cell = |queue| Cell { queue, priority: 100, ..Default::default() };
    System {
        cells: vec![cell(1), cell(0), cell(2)],
        windows: vec![(1, 2 * MS), (2, 2 * MS), (1, 2 * MS), (0, 4 * MS)],
        boundaries: boundaries.to_vec(),
        ..Default::default()
    }
    .boot()
}

fn accounts(sim: &Sim, partition: u32) -> (u64, u64) {
    let accounts = &sim.core.shared.mailboxes[sim.vcpu(partition) as usize].accounts;
    (accounts.used.get(), accounts.slack.get())
}

#[test]
fn without_slack_nobody_gets_what_a_window_leaves() {
    let mut sim = three_windows(&[(2, WINDOW_NO_SLACK, 0)]);
    for frame in 0..20 {
        let start = MS + frame * 10 * MS;
        // The first leaves all of its time, to time partition 0.
        sim.run_to(start);
        assert_eq!(sim.running(), Some(0));
        sim.call(Call::Wait, &[0, event::WINDOW]);
        sim.call(Call::Wait, &[NEVER, event::WINDOW]);
        assert_eq!(sim.running(), Some(1), "slack");
        sim.run_to(start + 2 * MS);
        assert_eq!(sim.running(), Some(2));
        // The third leaves as much, to nobody.
        sim.run_to(start + 4 * MS);
        assert_eq!(sim.running(), Some(0));
        let before = accounts(&sim, 1);
        sim.call(Call::Wait, &[0, event::WINDOW]);
        sim.call(Call::Wait, &[NEVER, event::WINDOW]);
        assert_eq!(sim.running(), None, "no slack");
        sim.run_to(start + 6 * MS - 10);
        assert_eq!(sim.running(), None, "until the window ends");
        assert_eq!(accounts(&sim, 1), before);
        sim.run_to(start + 6 * MS);
        assert_eq!(sim.running(), Some(1), "the gap is time partition 0's");
    }
    sim.run_to(MS + 200 * MS);
    let (used, slack) = accounts(&sim, 1);
    assert!((20 * 2 * MS - 2000..=20 * 2 * MS).contains(&slack), "{slack}");
    assert!((20 * 6 * MS - 8000..=20 * 6 * MS).contains(&used), "{used}");
}

#[test]
fn a_higher_priority_goes_first_also_where_nothing_is_left() {
    let mut system = System {
        cells: vec![
            Cell { queue: 1, priority: 100, ..Default::default() },
            Cell { priority: 150, ..Default::default() },
        ],
        windows: vec![(1, 2 * MS), (0, 2 * MS)],
        boundaries: vec![(0, WINDOW_NO_SLACK, 0)],
        ..Default::default()
    };
    system.cells[1].budget = (MS / 10, 4 * MS);
    let mut sim = system.boot();
    sim.run_to(MS);
    assert_eq!(sim.running(), Some(1), "its budget is no slack");
    sim.run_to(MS + MS / 10 + 100);
    assert_eq!(sim.running(), Some(0));
}

#[test]
fn caches_are_emptied_once_per_window_that_says_so() {
    let mut sim = three_windows(&[(0, WINDOW_FLUSH, PAD), (2, WINDOW_FLUSH | WINDOW_NO_SLACK, PAD)]);
    sim.run_to(MS);
    for frame in 0..20 {
        let start = MS + frame * 10 * MS;
        let at = |sim: &mut Sim, time, flushes| {
            sim.run_to(start + time);
            assert_eq!(sim.core.machine.flushes, 2 * frame + flushes, "frame {frame}, {time}");
        };
        at(&mut sim, PAD, 1);
        // Switches within a window are none of its begin.
        sim.call(Call::Wait, &[0, event::WINDOW]);
        sim.call(Call::Wait, &[start + MS, 0]);
        assert_eq!(sim.running(), Some(1));
        at(&mut sim, MS + 100, 1);
        assert_eq!(sim.running(), Some(0));
        at(&mut sim, 3 * MS, 1);
        at(&mut sim, 5 * MS, 2);
        at(&mut sim, 10 * MS - 1, 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// However long a flush takes and whoever ran before: the program starts at its pad's end, the
    /// window ends where it would.
    #[test]
    fn a_pad_is_constant(
        takes in proptest::collection::vec((0..PAD - 100, any::<bool>()), 1..40),
        flags in prop_oneof![Just(0), Just(WINDOW_FLUSH), Just(WINDOW_FLUSH | WINDOW_NO_SLACK)],
    ) {
        let mut sim = three_windows(&[(2, flags, PAD)]);
        for (frame, (takes, works)) in (0..).zip(takes) {
            sim.core.machine.flush_takes = takes;
            let start = MS + frame * 10 * MS;
            sim.run_to(start + 2 * MS);
            prop_assert_eq!(sim.running(), Some(2));
            if !works {
                sim.call(Call::Wait, &[0, event::WINDOW]);
                sim.call(Call::Wait, &[NEVER, event::WINDOW]);
                prop_assert_eq!(sim.running(), Some(1));
            }
            let before = accounts(&sim, if works { 2 } else { 1 }).0;
            let since = sim.core.data.since;
            sim.run_to(start + 4 * MS);
            prop_assert_eq!(sim.running(), Some(0));
            // Who ran before does not pay for it.
            let paid = accounts(&sim, if works { 2 } else { 1 }).0 - before;
            prop_assert!(paid <= start + 4 * MS + 50 - since, "{paid}");
            let vcpu = sim.vcpu(0);
            let begin = start + 4 * MS + PAD;
            prop_assert_eq!(sim.context(vcpu).windows.last(), Some(&begin));
            let now = sim.core.machine.time;
            prop_assert!((begin..begin + 50).contains(&now), "{} after {begin}", now - begin);
            prop_assert_eq!(sim.core.data.window.end, start + 6 * MS);
            sim.run_to(start + 6 * MS);
            prop_assert_eq!(sim.running(), Some(1));
        }
        let count = &sim.core.shared.windows[1];
        prop_assert_eq!(count.missed.get() + count.skipped.get(), 0);
        prop_assert!(count.late_max.get() < 50, "{}", count.late_max.get());
    }
}

#[test]
fn a_flush_longer_than_its_pad_counts_as_missed() {
    let mut sim = three_windows(&[(2, WINDOW_FLUSH, PAD)]);
    sim.core.machine.flush_takes = PAD + 5000;
    sim.run_to(MS + 6 * MS);
    assert_eq!(sim.core.shared.windows[1].missed.get(), 1);
    assert_eq!(sim.core.shared.windows[1].run.get(), 2);
}

#[test]
fn a_schedule_follows_at_the_end_of_the_frame_with_its_changes() {
    let cell = |queue| Cell { queue, priority: 100, ..Default::default() };
    let mut sim = System {
        cells: vec![cell(1), cell(2), cell(3), cell(4), cell(0)],
        schedules: vec![
            vec![vec![(1, 2 * MS), (2, 2 * MS), (3, 2 * MS), (0, 4 * MS)]],
            vec![vec![(1, MS), (2, 3 * MS), (4, 2 * MS), (3, 2 * MS), (0, 2 * MS)]],
        ],
        changes: vec![(1, 1, Action::ColdStart), (1, 2, Action::Stop)],
        rights: vec![(0, RIGHT_SCHEDULE, 0), (0, RIGHT_SCHEDULE, 1)],
        ..Default::default()
    }
    .boot();
    let generation = |sim: &Sim, partition: usize| {
        sim.core.shared.partitions[partition].state.generation.load(core::sync::atomic::Ordering::Relaxed)
    };
    sim.run_to(MS);
    assert_eq!(sim.running(), Some(0));
    assert_eq!(sim.call(Call::SetSchedule, &[1]).map(|(status, _)| status), Some(0));
    // This frame goes on to its end.
    for (time, runs) in [(2, 1), (4, 2), (6, 4)] {
        sim.run_to(MS + time * MS);
        assert_eq!(sim.running(), Some(runs), "{time} ms");
    }
    assert_eq!((generation(&sim, 1), generation(&sim, 2)), (0, 0));
    // The next one is the other schedule's.
    for frame in 1..4 {
        let start = MS + frame * 10 * MS;
        // Partition 2 is stopped: all of its window, from 6 to 8 ms, is slack.
        for (time, runs) in [(0, 0), (1, 1), (4, 3), (6, 4), (8, 4)] {
            sim.run_to(start + time * MS + 1000);
            assert_eq!(sim.running(), Some(runs), "frame {frame}, {time} ms");
        }
        assert_eq!(generation(&sim, 1), 1, "started again, once");
        assert_eq!((generation(&sim, 0), generation(&sim, 3)), (0, 0), "the others go on");
    }
    // And back, where nothing changes.
    sim.run_to(MS + 40 * MS);
    assert_eq!(sim.running(), Some(0));
    assert_eq!(sim.call(Call::SetSchedule, &[0]).map(|(status, _)| status), Some(0));
    sim.run_to(MS + 48 * MS);
    assert_eq!(sim.running(), Some(4));
    sim.run_to(MS + 52 * MS);
    assert_eq!(sim.running(), Some(1));
    assert_eq!(generation(&sim, 1), 1);
    sim.run_to(MS + 54 * MS);
    assert_eq!(sim.running(), Some(4), "it stays stopped");
    let missed: u64 = sim.core.shared.windows.iter().map(|count| count.missed.get()).sum();
    assert_eq!(missed, 0);
}

#[test]
fn a_deadline_within_the_pad_is_due_when_the_window_begins() {
    let mut sim = three_windows(&[(2, 0, PAD)]);
    sim.run_to(MS);
    let start = MS + 4 * MS;
    assert_eq!(sim.call(Call::Wait, &[start + PAD / 2, 0]), None);
    sim.run_to(start);
    assert_eq!(sim.running(), Some(0), "at once, not one interrupt later");
    assert!(sim.core.machine.time >= start + PAD && sim.core.machine.armed > sim.core.machine.time);
}

#[test]
fn a_higher_priority_goes_before_another_where_nothing_is_left() {
    let urgent = |priority, budget| Cell { priority, budget: (budget, 100 * MS), ..Default::default() };
    let mut sim = System {
        cells: vec![Cell { queue: 1, priority: 100, ..Default::default() }, urgent(150, 20 * MS), urgent(200, MS)],
        windows: vec![(1, 50 * MS), (0, 50 * MS)],
        boundaries: vec![(0, WINDOW_NO_SLACK, 0)],
        ..Default::default()
    }
    .boot();
    sim.run_to(MS);
    assert_eq!(sim.running(), Some(2));
    sim.call(Call::Wait, &[6 * MS, 0]);
    assert_eq!(sim.running(), Some(1));
    sim.run_to(6 * MS + MS / 2);
    assert_eq!(sim.running(), Some(2), "its deadline is not left to the other's budget");
}

#[test]
fn a_pad_is_charged_to_nobody() {
    let mut sim = System {
        cells: vec![
            Cell { queue: 1, priority: 100, ..Default::default() },
            Cell { priority: 150, budget: (MS / 10, 100 * MS), ..Default::default() },
        ],
        windows: vec![(1, 50 * MS), (0, 50 * MS)],
        boundaries: vec![(0, 0, MS / 5)],
        ..Default::default()
    }
    .boot();
    sim.run_to(MS + MS / 5 + 1000);
    assert_eq!(sim.running(), Some(1), "its budget is shorter than the pad");
    assert!(accounts(&sim, 1).0 < 100);
}

#[test]
fn a_sealed_window_that_is_late_is_missed_once() {
    let mut sim = three_windows(&[(2, 0, PAD)]);
    sim.run_to(MS + 4 * MS - 100);
    sim.core.machine.time += PAD + 10_000;
    sim.run_to(MS + 4 * MS + PAD + 20_000);
    let count = &sim.core.shared.windows[1];
    assert_eq!((count.run.get(), count.skipped.get(), count.missed.get()), (2, 0, 1));
}
