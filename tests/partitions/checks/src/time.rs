// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Waiting, deadlines, timers, windows, as a partition with a window of 2 ms every 10 ms sees them.

use parzelle_rt::abi::{NEVER, event};
use parzelle_rt::time::{MICROSECOND, MILLISECOND, SECOND, kernel_now, poll, set_timer};
use parzelle_rt::{Error, Partition, VcpuPage, now, wait};
use test_support::Test;

/// How late (ns) a wake-up may be: one instruction is one nanosecond, or less on a host's clock.
const LATE: u64 = 20 * MICROSECOND;
const PERIOD: u64 = 10 * MILLISECOND;
const WINDOW: u64 = 2 * MILLISECOND;

pub(crate) fn lead(_: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    windows();
    waits()?;
    timers()?;
    Ok(())
}

fn windows() {
    let mut test = Test::new("windows");
    let page = VcpuPage::first();
    wait(NEVER, event::WINDOW);
    let first = page.window_start();
    for n in 1..=50 {
        test.equal("event", wait(NEVER, event::WINDOW), event::WINDOW);
        let start = page.window_start();
        test.equal("planned start", start, first + n * PERIOD);
        test.within("lateness", now().saturating_sub(start), 0, LATE);
    }
    // Computing through a window's end: the rest of the time does not run.
    let begin = page.window_start();
    let mut last = now();
    let mut gap = 0;
    while now() < begin + 3 * PERIOD {
        let this = now();
        gap = gap.max(this - last);
        last = this;
    }
    test.within("longest gap", gap, PERIOD - WINDOW - LATE, PERIOD - WINDOW + LATE);
    test.verdict();
}

fn waits() -> Result<(), Error> {
    let mut test = Test::new("waiting");
    poll(event::ALL);
    wait(NEVER, event::WINDOW);
    // Deadlines within this window.
    for n in 1..=5 {
        let deadline = now() + n * 100 * MICROSECOND;
        test.equal("time-out", wait(deadline, event::TIMER), 0);
        test.within("wake-up", now(), deadline, deadline + LATE);
    }
    for past in [0, 1, now() - 1] {
        let before = now();
        test.equal("a deadline in the past", wait(past, event::TIMER), 0);
        test.within("a poll's length", now() - before, 0, LATE);
    }
    // A deadline outside of the windows: woken when the next one begins.
    wait(NEVER, event::WINDOW);
    let start = VcpuPage::first().window_start();
    test.equal("time-out", wait(start + 5 * MILLISECOND, 0), 0);
    test.within("wake-up in the next window", now(), start + PERIOD, start + PERIOD + LATE);
    // The window's event was not of interest: it stays.
    test.equal("pending", poll(event::WINDOW), event::WINDOW);
    test.equal("taken", poll(event::WINDOW), 0);
    let kernel = kernel_now()?;
    test.within("own clock", now(), kernel, kernel + LATE);
    test.verdict();
    Ok(())
}

fn timers() -> Result<(), Error> {
    let mut test = Test::new("timers");
    wait(NEVER, event::WINDOW);
    let at = now() + 300 * MICROSECOND;
    set_timer(at)?;
    test.equal("too early", poll(event::TIMER), 0);
    test.equal("timer", wait(at + SECOND, event::TIMER), event::TIMER);
    test.within("timer", now(), at, at + LATE);
    set_timer(now() + 100 * MICROSECOND)?;
    set_timer(NEVER)?;
    test.equal("disarmed", wait(now() + 200 * MICROSECOND, event::TIMER), 0);
    set_timer(0)?;
    test.equal("in the past", wait(now() + 200 * MICROSECOND, event::TIMER), event::TIMER);
    set_timer(now() + 100 * MICROSECOND)?;
    set_timer(now() + 400 * MICROSECOND)?;
    test.equal("replaced", wait(now() + 200 * MICROSECOND, event::TIMER), 0);
    test.equal("later", wait(now() + 300 * MICROSECOND, event::TIMER), event::TIMER);
    test.verdict();
    Ok(())
}
