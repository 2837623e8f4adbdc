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
/// Instructions after each: the other has come back to its wait by then.
const PAUSE: u32 = 100_000;

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    let (bell, port) = (me.doorbell("woken")?, me.queuing_source("message")?);
    // Everybody has to be where they wait.
    time::sleep(20 * time::MILLISECOND);
    for _ in 0..ROUNDS {
        bell.ring()?;
        spin(PAUSE);
    }
    for _ in 0..ROUNDS {
        port.send(&[7; 64])?;
        spin(PAUSE);
    }
    end_module(End::Stop)
}

pub(crate) fn woken(me: &Partition) -> Result<(), Error> {
    let (rung, port) = (me.doorbell_event("lead")?, me.queuing_destination("message")?);
    let mut buffer = [0; 64];
    loop {
        let events = wait(NEVER, rung | port.event());
        if events & port.event() != 0 {
            port.receive(&mut buffer)?;
        }
    }
}
