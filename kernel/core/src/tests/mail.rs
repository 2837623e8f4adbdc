// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What another core leaves at every moment at which this one could overlook it.

use super::{Cell, MS, Sim, System};
use core::sync::atomic::Ordering::SeqCst;
use parzelle_abi::{Call, NEVER};

const BELL: u64 = 1 << 40;

/// A system on two cores, of which the second only leaves mail.
fn boot(cells: Vec<Cell>, windows: Vec<(u32, u64)>) -> Sim {
    let frame = windows.iter().map(|window| window.1).sum();
    System { cells, schedules: vec![vec![windows, vec![(0, frame)]]], ..Default::default() }.boot()
}

fn wait(sim: &mut Sim) {
    sim.call(Call::Wait, &[NEVER, BELL]);
}

/// What another core does to ring a partition here; tells whether it kicks.
fn mail(sim: &mut Sim, partition: u32) -> bool {
    let mailbox = &sim.core.shared.mailboxes[sim.vcpu(partition) as usize];
    if mailbox.pending.fetch_or(BELL, SeqCst) & BELL != 0 {
        return false;
    }
    mailbox.core.inbox[mailbox.local as usize / 64].fetch_or(1 << (mailbox.local % 64), SeqCst);
    match mailbox.queue {
        0 => mailbox.priority >= mailbox.core.floor.load(SeqCst),
        queue => queue == mailbox.core.queue.load(SeqCst),
    }
}

#[test]
fn mail_below_the_floor_is_seen_when_the_window_leaves_time() {
    let cell = |queue, priority| Cell { queue, priority, ..Default::default() };
    let mut sim = boot(vec![cell(1, 100), cell(0, 50)], vec![(1, 50 * MS), (0, 50 * MS)]);
    sim.run_to(61 * MS);
    wait(&mut sim);
    sim.run_to(102 * MS);
    assert_eq!(sim.running(), Some(0));
    assert!(!mail(&mut sim, 1), "it could not run now: no kick");
    wait(&mut sim);
    assert_eq!(sim.running(), Some(1), "at once, not at the next timer");
}

#[test]
fn mail_that_comes_before_its_kick_is_seen_and_lost_by_nobody() {
    let cell = |priority| Cell { queue: 1, priority, ..Default::default() };
    let mut sim = boot(vec![cell(100), cell(50)], vec![(1, 50 * MS), (0, 50 * MS)]);
    sim.run_to(MS);
    wait(&mut sim);
    wait(&mut sim);
    assert_eq!(sim.running(), None);
    assert!(mail(&mut sim, 0));
    sim.core.on_kick();
    assert_eq!(sim.running(), Some(0));
    assert!(mail(&mut sim, 1), "and its kick is still on its way when the other waits");
    wait(&mut sim);
    sim.core.on_kick();
    assert_eq!(sim.running(), Some(1));
}

#[test]
fn more_mail_than_is_read_at_once_is_read_all_the_same() {
    let mut sim = boot(vec![Cell { priority: 50, ..Default::default() }; 20], vec![(0, 100 * MS)]);
    sim.run_to(MS);
    while sim.running().is_some() {
        wait(&mut sim);
    }
    assert!((0..20).all(|partition| mail(&mut sim, partition)));
    // The kicks merge into one.
    sim.core.on_kick();
    let mut ran = 0;
    for moment in 0..50 {
        while sim.running().is_some() {
            ran += 1;
            wait(&mut sim);
        }
        sim.run_to(2 * MS + moment * 1000);
    }
    assert_eq!(ran, 20, "within the window");
}
