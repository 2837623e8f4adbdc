// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A partition with a vCPU on each core, and another that restarts it while all of them work.
//!
//! ```text
//!   lead   core  0 ─► 1 ─► 2 ─► … ─► 7 ─► 0     a kick goes round, LAPS times; then each vCPU
//!                │    │    │          │         sends (generation, vCPU) and counts without end
//!                └────┴────┴── papers ┴──► boss on one core: has all come? do all count?
//!   boss ── warm start, from one core, of all vCPUs on the others ──► lead, once more
//! ```
//! Needs: windows of `lead` on all cores at the same time; `echo` and shared `board` as in `shared`;
//! queuing `papers` from `lead` to `boss`; shared `counts` (`lead` writes); `boss` may restart and see
//! `lead`, and see `clock`, which plays `heard` with the real-time clock on a core of its own.

use core::sync::atomic::{AtomicU64, Ordering};

use parzelle_rt::abi::event;
use parzelle_rt::abi::health::Mode;
use parzelle_rt::health::{Other, set_mode};
use parzelle_rt::time::{MILLISECOND, SECOND, sleep};
use parzelle_rt::{Error, Partition, QueuingSource, VcpuPage, Volatile, now, vcpu, wait};
use test_support::Test;

use crate::{interrupt, shared};

/// How often the kick goes round.
const LAPS: u64 = 100;
/// How often the partition is restarted.
const RESTARTS: u64 = 4;
/// The kick, and what starts the counting.
const KICK: u64 = 1 << event::SOFTWARE_FIRST;
const GO: u64 = 2 << event::SOFTWARE_FIRST;

/// Kicks that each vCPU has had, and windows that it has seen.
static KICKS: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
static WINDOWS: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

/// The partition with a vCPU on each core.
pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    let mut test = Test::new("vCPUs on all cores");
    let vcpus = me.vcpus();
    test.equal("vCPUs", vcpus, 8);
    let page = VcpuPage::first();
    test.equal("memory is as in the image", KICKS[0].load(Ordering::Relaxed), 0);
    for number in 1..vcpus {
        vcpu::start(number, member, u64::from(number) + 100)?;
    }
    let again = vcpu::start(vcpus - 1, member, 0);
    test.check(again.is_err(), "a vCPU is started twice");
    if page.generation() == 0 {
        let answered = shared::play(me, &mut test)?;
        test.equal("rounds with the echo", answered, 1_000);
    }
    // All have to listen before the first lap.
    let deadline = now() + SECOND;
    while now() < deadline && WINDOWS[1..].iter().any(|count| count.load(Ordering::Relaxed) < 2) {
        wait(now() + 20 * MILLISECOND, event::WINDOW);
    }
    for lap in 1..=LAPS {
        vcpu::kick(1, KICK)?;
        test.equal("the kick comes back", wait(now() + SECOND, KICK), KICK);
        let least = KICKS[1..].iter().map(|count| count.load(Ordering::Relaxed)).min();
        test.equal("everybody has had it", least, Some(lap));
    }
    test.verdict();
    for number in 1..vcpus {
        vcpu::kick(number, GO)?;
    }
    report_and_count(me, 0)
}

/// The other vCPUs.
extern "C" fn member(argument: u64) -> ! {
    let number = (argument % 100) as usize;
    let me = Partition::get();
    loop {
        let events = wait(now() + SECOND, event::WINDOW | KICK | GO);
        if events & event::WINDOW != 0 {
            WINDOWS[number].fetch_add(1, Ordering::Relaxed);
        }
        if events & KICK != 0 {
            KICKS[number].fetch_add(1, Ordering::Relaxed);
            let _ = vcpu::kick((number as u32 + 1) % me.vcpus(), KICK);
        }
        if events & GO != 0 {
            let _ = report_and_count(&me, number as u64);
            parzelle_rt::idle();
        }
    }
}

/// Tells `boss` that this vCPU is there, then computes until a restart.
fn report_and_count(me: &Partition, number: u64) -> Result<(), Error> {
    let papers: QueuingSource = me.queuing_source("papers")?;
    let counts = me.shared("counts")?.memory();
    let generation = VcpuPage::first().generation();
    papers.send(&[generation as u8, number as u8])?;
    for count in 1u64.. {
        counts.store_u64(number * 64, count);
        // Not without a pause: cores that take turns should not wait for this one alone.
        if count % 1000 == 0 {
            sleep(100_000);
        }
    }
    Ok(())
}

/// The driver: hears its interrupts on a core other than 0, then stops.
pub(crate) fn heard(me: &Partition) -> Result<(), Error> {
    interrupt::lead(me)?;
    set_mode(Mode::Idle)
}

/// Who restarts `lead`.
pub(crate) fn boss(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    let mut test = Test::new("restarts of a partition on all cores");
    let (lead, clock) = (me.other("lead")?, me.other("clock")?);
    let papers = me.queuing_destination("papers")?;
    let counts = me.shared("counts")?.memory();
    for generation in 0..=RESTARTS {
        let mut seen = 0u64;
        let deadline = now() + 10 * SECOND;
        while seen != 0xff && now() < deadline {
            let mut paper = [0; 2];
            while papers.receive(&mut paper).is_ok() {
                test.equal("the generation that reports", u64::from(paper[0]), generation);
                test.equal("reports of a vCPU", seen >> paper[1] & 1, 0);
                seen |= 1 << paper[1];
            }
            wait(now() + 10 * MILLISECOND, papers.event());
        }
        test.equal("vCPUs that have reported", seen, 0xff);
        let before = all(&counts);
        sleep(50 * MILLISECOND);
        let after = all(&counts);
        test.check(before.iter().zip(after).all(|(before, after)| *before < after), "a vCPU does not go on");
        if generation < RESTARTS {
            // Every other time by way of a stop, during which nobody may count.
            if generation % 2 == 1 {
                lead.control(Mode::Idle)?;
                let before = all(&counts);
                sleep(30 * MILLISECOND);
                test.equal("counts of a partition that is stopped", all(&counts), before);
            }
            lead.control(Mode::WarmStart)?;
        }
    }
    accounts(&lead, &mut test)?;
    let deadline = now() + 20 * SECOND;
    while clock.status()?.mode != Mode::Idle && now() < deadline {
        sleep(50 * MILLISECOND);
    }
    test.equal("mode of the driver when it is done", clock.status()?.mode, Mode::Idle);
    test.verdict();
    Ok(())
}

/// How far each vCPU has counted.
fn all(counts: &Volatile) -> [u64; 8] {
    core::array::from_fn(|number| counts.load_u64(number as u64 * 64).unwrap_or(0))
}

/// What the kernel has counted, on each core.
fn accounts(lead: &Other, test: &mut Test) -> Result<(), Error> {
    let total = lead.statistics()?;
    test.equal("restarts", (total.restarts, total.health_events), (RESTARTS, 0));
    for core in 0..8 {
        let on = lead.statistics_on(core)?;
        test.check(on.used > 0, format_args!("no time on core {core}"));
        test.check(on.windows_run > 50, format_args!("{} windows on core {core}", on.windows_run));
        test.equal("windows run, of those planned", on.windows_run, on.windows_planned);
    }
    test.check(lead.statistics_on(8).is_err(), "there is a ninth core");
    Ok(())
}
