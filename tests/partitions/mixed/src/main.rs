// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A mixed system, four cores: who exchanges what with whom, across cores.
//!
//! ```text
//!   ping  ◄══ queues ══►  pong        a number goes to and fro, one is added
//!   source ═══ queue ═══► sink        as many as fit, each in its turn
//!   alpha ◄── doorbells ──► beta      the same over shared memory
//!   storm ◄── the real-time clock     interrupts as fast as it can
//!   crasher ═══ queue ═══► judge      each start; then a fault, and the health monitor restarts it
//!   victim  ═══ queue ═══► judge      each start; then the judge restarts it
//!   judge ─── order (sampling) ──► all of them: stop, and say what you have found
//! ```
//! Each one hashes its constant memory at the start, now and then, and at the end.
#![no_std]
#![no_main]

mod judge;
mod queues;
mod restarted;
mod storm;
mod table;

use parzelle_rt::{Error, Partition, SamplingDestination};

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    match me.name() {
        "judge" => judge::run(&me),
        "ping" => queues::ping(&me),
        "pong" => queues::pong(&me),
        "source" => queues::source(&me),
        "sink" => queues::sink(&me),
        "alpha" => table::alpha(&me),
        "beta" => table::beta(&me),
        "storm" => storm::run(&me),
        "crasher" => restarted::crasher(&me),
        _ => restarted::victim(&me),
    }
}

/// Whether the judge has ordered to stop.
pub(crate) fn is_over(order: &SamplingDestination) -> bool {
    order.read(&mut [0; 8]).is_ok()
}

/// The last message of a queue, and the last number on the table, has this bit set.
pub(crate) const LAST: u64 = 1 << 63;
