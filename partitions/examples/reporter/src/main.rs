// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Lets the system run for `config.seconds`, then says what every partition got, one report per
//! line, and ends the module. The counters are the kernel's; the median of the start jitter comes
//! from the trace, which it drains ten times per second.
#![no_std]
#![no_main]

mod jitter;

use heapless::Vec;
use jitter::Jitter;
use parzelle_rt::abi::info::SELF;
use parzelle_rt::abi::stats::Statistics;
use parzelle_rt::health::{End, finish, own_statistics, statistics};
use parzelle_rt::time::{Periodic, SECOND};
use parzelle_rt::trace::Trace;
use parzelle_rt::{Error, Once, Partition, now, println};

/// Cores whose traces are read.
const CORES: usize = 8;

static JITTER: Once<Jitter> = Once::new(Jitter::new());

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    let seconds = me.config().number("seconds").unwrap_or(10);
    let Some(jitter) = JITTER.take() else { return Ok(()) };
    let mut traces: Vec<Trace, CORES> = me.traces().take(CORES).collect();
    parzelle_rt::ready()?;
    log::info!("the system runs for {seconds} s");

    let end = seconds.saturating_mul(SECOND);
    let mut tick = Periodic::new(SECOND / 10);
    while now() < end {
        tick.wait(0);
        for trace in &mut traces {
            trace.drain(|record| jitter.count(&record));
        }
    }
    for other in me.others().filter(|other| other.number() != me.number()) {
        report(other.name(), &other.statistics()?, jitter);
        accounts(other.name(), |core| other.statistics_on(core));
    }
    report(me.name(), &own_statistics()?, jitter);
    accounts(me.name(), |core| statistics(SELF, Some(core)));
    finish(End::Stop)
}

/// Prints one partition's report.
fn report(name: &str, it: &Statistics, jitter: &Jitter) {
    let median = jitter.median(it).unwrap_or(it.late_min);
    println!(
        "##{{\"report\":\"partition\",\"name\":\"{name}\",\
         \"windows_planned\":{},\"windows_run\":{},\"windows_missed\":{},\
         \"jitter_min_ns\":{},\"jitter_median_ns\":{median},\"jitter_max_ns\":{},\
         \"cpu_ns\":{},\"elapsed_ns\":{},\"messages\":{},\"health_events\":{},\"restarts\":{},\
         \"realtime\":{}}}",
        it.windows_planned,
        it.windows_run,
        it.windows_missed,
        it.late_min,
        it.late_max,
        it.used,
        it.now,
        it.messages_sent + it.messages_received,
        it.health_events,
        it.restarts,
        it.windows_planned > 0,
    );
}

/// Prints what a partition got on each core that it was on.
fn accounts(name: &str, on: impl Fn(u32) -> Result<Statistics, Error>) {
    for core in 0.. {
        let Ok(it) = on(core) else { return };
        let [timer, line, kick, fault, guest @ ..] = it.exits;
        if it.used == 0 {
            continue;
        }
        println!(
            "##{{\"report\":\"account\",\"name\":\"{name}\",\"core\":{core},\
             \"cpu_ns\":{},\"elapsed_ns\":{},\"slack_ns\":{},\"woken\":{},\
             \"timer\":{timer},\"interrupt\":{line},\"kick\":{kick},\"fault\":{fault},\"guest\":{}}}",
            it.used,
            it.now,
            it.slack,
            it.wake_ups,
            guest.iter().sum::<u64>(),
        );
    }
}
