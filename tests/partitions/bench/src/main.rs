// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Measures paths through the kernel, in ticks of the counter, which under icount are instructions.
//!
//! One program, several roles by the partition's name; `bench` leads, the others are what it needs
//! at the other end:
//!
//! | role | where | what it does |
//! |---|---|---|
//! | `bench` | time partition 0, priority 100 | measures and prints |
//! | `equal` | the same, priority 100 | yields to and fro |
//! | `urgent` | the same, priority 110 | wakes by doorbell or message and notes when |
//! | `fresh` | the same, priority 110 | has 64 KiB of data; is restarted and notes when it runs |
//! | `first`, `second` | windows, one behind the other | note when they run |
//! | `schedules`, `sleeper` | time partition 0, a window | measure in systems of their own, see |
//! | `windows` | time partition 0 | the file of that name, and `calls.rs` |
//! | `cores`, `load` | time partition 0 of core 0, of others | |
//!
//! Every figure is the least of several runs, without what reading the counter costs.
#![no_std]
#![no_main]

mod calls;
#[cfg_attr(target_arch = "aarch64", path = "entry/aarch64.rs")]
#[cfg_attr(target_arch = "x86_64", path = "entry/x86_64.rs")]
mod entry;
mod interrupts;
mod restart;
mod schedules;
mod stamps;
mod wake;
mod windows;

use parzelle_rt::health::{End, finish, own_statistics};
use parzelle_rt::time::MILLISECOND;
use parzelle_rt::{Error, Partition, println, time};

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    match me.name() {
        "equal" => wake::equal(&me),
        "urgent" => wake::urgent(&me),
        "fresh" => restart::fresh(&me),
        "first" | "second" => windows::play(&me),
        "schedules" => schedules::measure(&me),
        "windows" => windows::measure_among(&me),
        "cores" => calls::measure_on_cores(),
        "load" | "load-2" | "load-3" => calls::load(),
        "sleeper" => schedules::sleeper(),
        _ => lead(&me),
    }
}

/// Measures everything.
fn lead(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    // Everybody has to be where they wait.
    time::sleep(50 * MILLISECOND);
    calls::measure(me)?;
    wake::measure(me)?;
    interrupts::measure(me)?;
    restart::measure(me)?;
    windows::measure(me)?;
    figure("longest_masked_path", own_statistics()?.longest_masked);
    finish(End::Stop)
}

/// Prints a figure.
fn figure(name: &str, instructions: u64) {
    println!("##{{\"bench\":\"{name}\",\"instructions\":{instructions}}}");
}

/// Runs something and returns the least that it took, without the cost of the counter. `None` as a
/// result of `once` is a run that doesn't count.
fn least(runs: u32, mut once: impl FnMut() -> Option<u64>) -> u64 {
    let cost = (0..8).map(|_| cost_of_counter()).min().unwrap_or(0);
    let best = (0..runs).filter_map(|_| once()).min().unwrap_or(0);
    best.saturating_sub(cost)
}

/// What it costs to read the counter twice.
#[inline(always)]
fn cost_of_counter() -> u64 {
    let before = parzelle_sys::counter();
    parzelle_sys::counter() - before
}
