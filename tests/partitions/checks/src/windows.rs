// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What begins a window and what it leaves: `slack`, `flush`, `pad`.
//!
//! ```text
//!   frame │ lead │ before │··lead (sealed) │ hog …                    │ 10 ms
//!         0      1        2  50 µs         3
//! ```
//! Needs: these windows, the third with `slack = false`, `flush = true`, `pad = "50us"`; `before`
//! plays `every-other` and writes to the sampling port `noise`, and `hog` of time partition 0 `spin`. This one may read the hog's accounts.

use parzelle_rt::abi::{NEVER, event};
use parzelle_rt::health::{Other, own_statistics};
use parzelle_rt::time::{MICROSECOND, MILLISECOND, sleep};
use parzelle_rt::{Error, Partition, VcpuPage, now, wait};
use test_support::Test;

const FRAME: u64 = 10 * MILLISECOND;
const PAD: u64 = 50 * MICROSECOND;
/// Planned start of the sealed window, from the other's.
const SEALED: u64 = 2 * MILLISECOND;
/// From there until this program sees its window (ns), at most, and what of that may vary: one
/// instruction is one nanosecond, and the kernel looks at the clock once in a few instructions.
const SWITCH: u64 = MICROSECOND;
const VARIES: u64 = 20;
/// How long this one sleeps in each window.
const SLEEP: u64 = 300 * MICROSECOND;

/// Works through the end of every other window, mostly within the kernel, with interrupts masked;
/// leaves the others at once.
pub(crate) fn every_other(me: &Partition) -> Result<(), Error> {
    let noise = me.sampling_source("noise")?;
    parzelle_rt::ready()?;
    for window in 0u64.. {
        wait(NEVER, event::WINDOW);
        let start = VcpuPage::first().window_start();
        // The window's end is to find the calls at another place each time.
        while window % 2 == 1 && now() < start + 5 * MICROSECOND + window * 29 {}
        while window % 2 == 1 && now() < start + MILLISECOND + MICROSECOND {
            noise.write(&[0; 2048])?;
        }
    }
    Ok(())
}

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    let hog = me.other("hog")?;
    let (mut starts, mut slack) = (Test::new("starts"), Test::new("slack"));
    let mut plan = open_window();
    let (mut least, mut most) = (u64::MAX, 0);
    for _ in 0..50 {
        plan += FRAME;
        starts.equal("start without pad", begin().0, plan);
        let (used, left) = taken(&hog)?;
        slack.within("taken of what a window leaves", used, SLEEP * 9 / 10, SLEEP * 11 / 10);
        slack.equal("that is slack", left, used);
        let (start, seen) = begin();
        starts.equal("start with pad", start, plan + SEALED + PAD);
        let late = seen.saturating_sub(start);
        (least, most) = (late.min(least), late.max(most));
        slack.equal("taken of what a sealed window leaves", taken(&hog)?, (0, 0));
    }
    starts.within("from the pad's end to the program", most, 1, SWITCH);
    starts.within("what of that varies", most.saturating_sub(least), 0, VARIES);
    let own = own_statistics()?;
    starts.equal("missed windows", own.windows_missed, 0);
    starts.verdict();
    slack.verdict();
    log::info!("{least} to {most} ns from the pad's end to the program");
    Ok(())
}

/// Waits for the next window: its start, and when this was seen.
fn begin() -> (u64, u64) {
    wait(NEVER, event::WINDOW);
    let seen = now();
    (VcpuPage::first().window_start(), seen)
}

/// The start of a window without pad, from which the sealed one has been waited for.
fn open_window() -> u64 {
    let mut last = begin().0;
    loop {
        let start = begin().0;
        // From the open window to the sealed one it is less than half of the frame.
        if start - last < FRAME / 2 {
            return last;
        }
        last = start;
    }
}

/// What the hog gets, and gets as slack, while this one sleeps.
fn taken(hog: &Other) -> Result<(u64, u64), Error> {
    let before = hog.statistics()?;
    sleep(SLEEP);
    let after = hog.statistics()?;
    Ok((after.used - before.used, after.slack - before.slack))
}
