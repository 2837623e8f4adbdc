// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A control loop: at the start of each of its windows it takes the newest set-point, makes one step
//! of the same length every time, and publishes its state.
//!
//! ```text
//!   set-points (queuing) ──► target ──► step ──► state (sampling): sequence, time, position, target
//! ```
#![no_std]
#![no_main]

use parzelle_rt::abi::{NEVER, event};
use parzelle_rt::{Error, Partition, VcpuPage, wait};

/// Sub-steps per window: the fixed amount of work.
const SUB_STEPS: u32 = 2_000;

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    let state = me.sampling_source("state")?;
    let set_points = me.queuing_destination("set-points")?;
    parzelle_rt::ready()?;
    log::info!("ready");

    let mut plant = Plant { position: 0, speed: 0 };
    let mut target = 0;
    for sequence in 1u64.. {
        wait(NEVER, event::WINDOW);
        let mut command = [0; 8];
        while set_points.receive(&mut command).is_ok() {
            target = i64::from_le_bytes(command);
        }
        (0..SUB_STEPS).for_each(|_| plant.step(target));
        let mut message = [0; 32];
        let words = [sequence, VcpuPage::first().window_start(), plant.position as u64, target as u64];
        for (place, word) in message.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        state.write(&message)?;
    }
    Ok(())
}

/// A damped mass on a spring, in micrometres.
struct Plant {
    position: i64,
    speed: i64,
}

impl Plant {
    /// One sub-step of five microseconds.
    fn step(&mut self, target: i64) {
        let force = target.wrapping_sub(self.position) * 4 - self.speed;
        self.speed += force / 64;
        self.position += self.speed / 64;
    }
}
