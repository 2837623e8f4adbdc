// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Who restarts, switches schedules, ends it all and looks at everybody's accounts.

use parzelle_rt::abi::event;
use parzelle_rt::abi::health::Mode;
use parzelle_rt::health::{End, Other, finish, own_statistics};
use parzelle_rt::time::{MILLISECOND, SECOND, sleep};
use parzelle_rt::{Error, Partition, QueuingDestination, VcpuPage, now, wait};
use test_support::progress::{BREACHES, CALLS, MEMORY, PRIVILEGED};
use test_support::{Test, Witness};

/// The frame of all schedules.
const FRAME: u64 = 40 * MILLISECOND;
/// Frames between two switches, and between two restarts of `victim`.
const SWITCH: u64 = 13;
const RESTART: u64 = 5;
/// Frames without anything done by the attacker after which it is restarted.
const PATIENCE: u64 = 5;

/// What comes from somebody who is restarted: each start, in order, with the same program.
struct Starts {
    port: QueuingDestination,
    next: u64,
    hash: u64,
}

impl Starts {
    fn look(&mut self, test: &mut Test) {
        let mut message = [0; 16];
        while self.port.receive(&mut message).is_ok() {
            let [generation, hash] = [0, 8].map(|at| {
                let word = message.get(at..).and_then(|rest| rest.first_chunk());
                word.map_or(0, |bytes| u64::from_le_bytes(*bytes))
            });
            test.equal("generation that starts", generation, self.next);
            test.check(self.next == 0 || hash == self.hash, "the program of a restarted partition has changed");
            (self.next, self.hash) = (generation + 1, hash);
        }
    }
}

pub(crate) fn run(me: &Partition) -> Result<(), Error> {
    let (mut test, mut witness) = (Test::new("the whole"), Witness::begin());
    let starts = |name: &str| me.queuing_destination(name).map(|port| Starts { port, next: 0, hash: 0 });
    let (mut crashes, mut victims) = (starts("crashes")?, starts("starts")?);
    let (victim, hostile) = (me.other("victim")?, me.other("hostile")?);
    let progress = me.shared("progress")?.memory();
    let done = || [CALLS, MEMORY, PRIVILEGED].map(|at| progress.load_u64(at).unwrap_or(0));
    let end = me.config().number("seconds").unwrap_or(15) * SECOND;
    parzelle_rt::ready()?;
    hostile.control(Mode::ColdStart)?;
    let (mut frames, mut restarts, mut switches) = (0u64, 0, 0);
    let (mut before, mut idle) = (done(), 0);
    let (page, mut last) = (VcpuPage::first(), None);
    // When the first frame began, of which this one's window was the first part.
    let zero = page.window_start() - (own_statistics()?.windows_run - 1) * FRAME;
    while now() < end {
        let events = wait(now() + SECOND, event::WINDOW);
        test.equal("the next window", events, event::WINDOW);
        // One per frame, of which half lies between its places in the two schedules.
        let start = page.window_start();
        let distance = last.replace(start).map_or(FRAME, |last| start - last);
        let beside = distance.abs_diff(FRAME);
        test.check(beside == 0 || beside == FRAME / 2, format_args!("{distance} ns from window to window"));
        frames += 1;
        crashes.look(&mut test);
        victims.look(&mut test);
        witness.look(&mut test);
        if frames % SWITCH == 0 {
            switches += 1;
            me.switch_schedule(if switches % 2 == 0 { "day" } else { "night" })?;
        }
        if frames % RESTART == 0 {
            test.equal("starts of victim", victims.next, restarts + 1);
            victim.control(if restarts % 2 == 0 { Mode::WarmStart } else { Mode::ColdStart })?;
            restarts += 1;
        }
        idle = if done() == before { idle + 1 } else { 0 };
        before = done();
        if hostile.status()?.mode == Mode::Idle || idle > PATIENCE {
            hostile.control(Mode::WarmStart)?;
            idle = 0;
        }
    }
    hostile.control(Mode::Idle)?;
    me.sampling_source("order")?.write(&1u64.to_le_bytes())?;
    for _ in 0..SECOND / FRAME {
        sleep(FRAME);
        crashes.look(&mut test);
        victims.look(&mut test);
    }
    test.equal("starts of victim", victims.next, restarts + 1);
    test.equal("breaches", progress.load_u64(BREACHES), Some(0));
    test.check(done().iter().all(|count| *count > 100), "the attack has not done much");
    for other in me.others() {
        let by_plan = match other.name() {
            "victim" => Some(restarts),
            "crasher" | "hostile" => None,
            _ => Some(0),
        };
        accounts(me, &other, by_plan, zero, &mut test)?;
    }
    witness.look(&mut test);
    witness.look(&mut test);
    let [calls, memory, privileged] = done();
    log::info!(
        "{} s: {switches} switches, {restarts} restarts of victim, {} starts of crasher; attacks: {calls} calls, {memory} accesses, {privileged} instructions",
        now() / SECOND,
        crashes.next,
    );
    test.verdict();
    finish(End::Stop)
}

/// Looks at what the kernel has counted for a partition. `restarts`: those that were ordered; `None` if
/// it is one that has faults. `zero`: when the first frame began.
fn accounts(me: &Partition, other: &Other, restarts: Option<u64>, zero: u64, test: &mut Test) -> Result<(), Error> {
    let it = other.statistics()?;
    let name = other.name();
    log::info!(
        "{name}: {} ms, {} of {} windows, {} late, {} events, {} restarts",
        it.used / MILLISECOND,
        it.windows_run,
        it.windows_planned,
        it.windows_missed,
        it.health_events,
        it.restarts,
    );
    let skipped = it.windows_planned - it.windows_run;
    // Emulated cores take turns on one clock: once in a thousand windows a core's turn comes after it.
    test.check(skipped <= it.windows_planned / 1000, format_args!("{name}: {skipped} windows were not run"));
    // Those that have windows have them in every frame; those of this one may be to come.
    let per_frame = me.config().number(name).unwrap_or(0);
    let wanted = ((it.now - zero) / FRAME + 1) * per_frame;
    let near = (0..=per_frame).contains(&wanted.wrapping_sub(it.windows_planned));
    test.check(near, format_args!("{name}: {} windows, should be {wanted}", it.windows_planned));
    match restarts {
        Some(restarts) => {
            let found = (it.health_events, it.restarts);
            test.check(found == (0, restarts), format_args!("{name}: (events, restarts) are {found:?}"));
        }
        None => test.check(it.health_events > 0, format_args!("{name}: no events")),
    }
    Ok(())
}
