// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Clocks: they never go back, they agree with each other, whoever tells them.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use guest_support::arch::counter;
use guest_support::{processor, time};

use crate::verdict::{Fault, Verdict, equal, within};

/// No thread on any processor reads an earlier time than another has read before.
pub(crate) fn order() -> Verdict {
    let processors = processor::allowed();
    for (name, clock) in [("monotonic", libc::CLOCK_MONOTONIC), ("raw", libc::CLOCK_MONOTONIC_RAW)] {
        let latest = AtomicU64::new(0);
        let threads = processors.len().max(2) * 2;
        let worst: u64 = thread::scope(|scope| {
            let (latest, processors) = (&latest, &processors);
            let read = move |thread: usize| {
                // Where it runs matters only if it can be chosen.
                let _ = processor::pin(processors.get(thread % processors.len()).copied().unwrap_or(0));
                let mut worst = 0;
                for round in 0..5000 {
                    let before = latest.load(SeqCst);
                    let now = if round % 4 == 0 { time::asked(clock) } else { time::now(clock) };
                    worst = worst.max(before.saturating_sub(now));
                    latest.fetch_max(now, SeqCst);
                    if round % 50 == 0 {
                        processor::give_way();
                    }
                }
                worst
            };
            let all: Vec<_> = (0..threads).map(|thread| scope.spawn(move || read(thread))).collect();
            all.into_iter().map(|thread| thread.join().unwrap_or(u64::MAX)).max().unwrap_or(u64::MAX)
        });
        equal(format!("ns by which the {name} clock went back"), 0, worst)?;
    }
    Ok(())
}

/// Times of all clocks at once, and the counter: the quickest of some readings, as we may be interrupted
/// within one.
fn times() -> [u64; 4] {
    let reading = || {
        let times = [
            time::now(libc::CLOCK_MONOTONIC),
            time::asked(libc::CLOCK_MONOTONIC_RAW),
            time::asked(libc::CLOCK_BOOTTIME),
            counter(),
        ];
        (time::now(libc::CLOCK_MONOTONIC) - times[0], times)
    };
    (0..50).map(|_| reading()).min().map_or([0; 4], |(_, times)| times)
}

/// Clocks run equally fast, while the machine works and while it sleeps; so does the counter.
pub(crate) fn drift() -> Verdict {
    let mut speeds = Vec::new();
    for work in [true, false, true] {
        let begin = times();
        if work {
            time::burn(100_000_000);
        } else {
            time::sleep(2_000_000_000);
        }
        let end = times();
        let passed: Vec<u64> = end.iter().zip(begin).map(|(end, begin)| end - begin).collect();
        let [monotonic, raw, boot, ticks] = passed[..] else { return Err(Fault::Wrong("clocks".to_owned())) };
        for (name, other) in [("raw", raw), ("boot", boot)] {
            let parts = (other as i64 - monotonic as i64) * 1_000_000 / monotonic as i64;
            within(format!("drift of the {name} clock in ppm, working: {work}"), -1000, 1000, parts)?;
        }
        speeds.push(ticks as f64 / monotonic as f64);
    }
    let least = speeds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = speeds.iter().copied().fold(0.0, f64::max);
    within("the counter's slowest speed by its fastest", 0.999, 1.0, least / most)
}

/// What programs read without the kernel's help is what the kernel tells.
pub(crate) fn vdso() -> Verdict {
    let clocks = [
        libc::CLOCK_MONOTONIC,
        libc::CLOCK_REALTIME,
        libc::CLOCK_MONOTONIC_RAW,
        libc::CLOCK_BOOTTIME,
        libc::CLOCK_MONOTONIC_COARSE,
    ];
    for clock in clocks {
        for _ in 0..2000 {
            let (before, own, after) = (time::asked(clock), time::now(clock), time::asked(clock));
            within(format!("clock {clock} between two readings by the kernel"), before, after, own)?;
        }
    }
    Ok(())
}
