// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From one partition to another on the same core: by yielding, by a doorbell, by a message.

use parzelle_rt::abi::{Call, NEVER, event};
use parzelle_rt::time::MILLISECOND;
use parzelle_rt::{Error, Partition, time, wait};
use test_support::raw;

use crate::stamps::{WOKEN, memory};
use crate::{figure, least};

/// How often `equal` yields before it waits again: enough for `bench` to find it at it.
const YIELDS: u32 = 200;

/// Yields when the bell rings.
pub(crate) fn equal(me: &Partition) -> Result<(), Error> {
    let rung = me.doorbell_event("bench")?;
    parzelle_rt::ready()?;
    loop {
        wait(NEVER, rung);
        (0..YIELDS).for_each(|_| yield_now());
    }
}

/// Polls, which lets a partition of the same priority go first.
#[inline(always)]
fn yield_now() {
    // SAFETY: hands over no memory.
    let _ = unsafe { raw(Call::Wait as u64, [0; 5]) };
}

/// Notes when it is woken, by the bell or by a message, which it takes.
pub(crate) fn urgent(me: &Partition) -> Result<(), Error> {
    let (rung, port) = (me.doorbell_event("bench")?, me.queuing_destination("message")?);
    // For the sampling figures: something to read must be there.
    me.sampling_source("value")?.write(&[1; 64])?;
    let stamps = memory(me)?;
    parzelle_rt::ready()?;
    let mut buffer = [0; 64];
    loop {
        let events = wait(NEVER, rung | port.event());
        if events & rung != 0 || port.receive(&mut buffer).is_ok() {
            stamps.store_u64(WOKEN, parzelle_sys::counter());
        }
    }
}

pub(crate) fn measure(me: &Partition) -> Result<(), Error> {
    me.doorbell("equal")?.ring()?;
    // A round is two switches.
    let round = least(YIELDS / 2, || {
        let before = parzelle_sys::counter();
        yield_now();
        Some(parzelle_sys::counter() - before)
    });
    figure("context_switch", round / 2);
    time::sleep(5 * MILLISECOND);

    let (stamps, bell) = (memory(me)?, me.doorbell("urgent")?);
    let woken = |before: u64| stamps.load_u64(WOKEN).filter(|&at| at > before).map(|at| at - before);
    let wake = least(32, || {
        let before = parzelle_sys::counter();
        bell.ring().ok()?;
        woken(before)
    });
    figure("doorbell_wake", wake);

    let (port, message) = (me.queuing_source("message")?, [7; 64]);
    let sent = least(32, || {
        let before = parzelle_sys::counter();
        port.send(&message).ok()?;
        woken(before)
    });
    figure("port_queuing_send_receive_64", sent);
    time::poll(event::ALL);
    Ok(())
}
