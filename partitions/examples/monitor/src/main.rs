// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Watches the control loop: every state has to be fresh and newer than the one before. Sends a new
//! set-point every half second, and says once per second how it goes.
#![no_std]
#![no_main]

use parzelle_rt::abi::{NEVER, event};
use parzelle_rt::time::{Periodic, SECOND};
use parzelle_rt::{Error, Partition, wait};

/// Set-points, in micrometres.
const TARGETS: [i64; 5] = [0, 50_000, -20_000, 80_000, 35_000];

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    let state = me.sampling_destination("state")?;
    let set_points = me.queuing_source("set-points")?;
    parzelle_rt::ready()?;
    log::info!("ready");

    let mut targets = TARGETS.iter().cycle();
    let (mut command, mut second) = (Periodic::new(SECOND / 2), Periodic::new(SECOND));
    let (mut last, mut seen, mut wrong) = (State::default(), 0u64, 0u64);
    loop {
        wait(NEVER, event::WINDOW);
        if let Some((newest, valid)) = State::read(&state) {
            let good = valid && newest.sequence > last.sequence;
            (last, seen, wrong) = (newest, seen + 1, wrong + u64::from(!good));
        }
        if command.is_due() {
            let target = targets.next().copied().unwrap_or(0);
            set_points.send(&target.to_le_bytes())?;
        }
        if second.is_due() {
            let State { sequence, position, target } = last;
            log::info!("step {sequence}: at {position} um, target {target} um; {seen} states, {wrong} wrong");
        }
    }
}

/// What the control loop publishes.
#[derive(Clone, Copy, Default)]
struct State {
    sequence: u64,
    position: i64,
    target: i64,
}

impl State {
    /// The newest state, and whether it is within its refresh period. `None` before the first.
    fn read(port: &parzelle_rt::SamplingDestination) -> Option<(State, bool)> {
        let mut message = [0; 32];
        let sample = port.read(&mut message).ok()?;
        let mut words = message.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        let mut word = || words.next().unwrap_or(0);
        let (sequence, _time) = (word(), word());
        let (position, target) = (word() as i64, word() as i64);
        Some((State { sequence, position, target }, sample.valid))
    }
}
