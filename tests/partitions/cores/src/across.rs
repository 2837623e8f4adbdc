// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From one core to another, for the harness to count: the last calls of `lead`'s core are
//! [`ROUNDS`] doorbells, as many messages, and the end of the module. To each belongs the next
//! interrupt on the other core, which takes it from `spin` and gives it to `woken`.

use parzelle_rt::abi::NEVER;
use parzelle_rt::health::{End, end_module};
use parzelle_rt::{Error, Partition, time, wait};

use crate::spin;

/// Doorbells, and messages.
const ROUNDS: u32 = 16;
/// Instructions after each answer: the other has come back to its wait by then.
const PAUSE: u32 = 1_000;

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    let (bell, port) = (me.doorbell("woken")?, me.queuing_source("message")?);
    let board = me.shared("board")?.memory();
    // Everybody has to be where they wait.
    time::sleep(20 * time::MILLISECOND);
    for round in 1..=2 * ROUNDS {
        if round <= ROUNDS {
            bell.ring()?
        } else {
            port.send(&[7; 64])?
        }
        // The answer is no call: those are counted.
        while board.load_u64(0) < Some(u64::from(round)) {
            // Also an emulator that runs cores in turn takes this for a sign to run another.
            core::hint::spin_loop();
        }
        spin(PAUSE);
    }
    end_module(End::Stop)
}

pub(crate) fn woken(me: &Partition) -> Result<(), Error> {
    let (rung, port) = (me.doorbell_event("lead")?, me.queuing_destination("message")?);
    let board = me.shared("board")?.memory();
    let mut buffer = [0; 64];
    for round in 1.. {
        let events = wait(NEVER, rung | port.event());
        if events & port.event() != 0 {
            port.receive(&mut buffer)?;
        }
        board.store_u64(0, round);
    }
    Ok(())
}
