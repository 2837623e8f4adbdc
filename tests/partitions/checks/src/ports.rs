// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Ports between two partitions: the newest message and its validity, order, limits, events.
//!
//! ```text
//!   lead ── steps (queuing) ──► source          step n: do n
//!        ◄── acks (queuing) ───                 its result
//!        ◄── value (sampling, refresh 5 ms) ───
//!        ◄── items (queuing, depth 4) ───
//! ```

use parzelle_rt::abi::call::Error as Refusal;
use parzelle_rt::abi::{NEVER, event};
use parzelle_rt::time::{MILLISECOND, poll, sleep};
use parzelle_rt::{Error, Partition, QueuingDestination, QueuingSource, wait};
use test_support::Test;

/// Write `VALUE` to the sampling port.
const WRITE: u8 = 1;
/// Send until the queue is full; the result is how many went in.
const FILL: u8 = 2;
/// Send one more; the result is 1 if it went in.
const SEND: u8 = 3;
/// The result is 1 if the event of the sending end is pending.
const ROOM: u8 = 4;

const VALUE: &[u8] = b"newest of all";

pub(crate) fn source(me: &Partition) -> Result<(), Error> {
    let (steps, acks) = (me.queuing_destination("steps")?, me.queuing_source("acks")?);
    let (value, items) = (me.sampling_source("value")?, me.queuing_source("items")?);
    parzelle_rt::ready()?;
    let mut next = 0u32;
    loop {
        wait(NEVER, steps.event());
        let mut step = [0];
        while steps.receive(&mut step).is_ok() {
            let mut send = || {
                let sent = items.send(&next.to_le_bytes()).is_ok();
                next += u32::from(sent);
                sent
            };
            let result = match step[0] {
                WRITE => u8::from(value.write(VALUE).is_ok()),
                FILL => (0..20).take_while(|_| send()).count() as u8,
                SEND => u8::from(send()),
                ROOM => u8::from(poll(items.event()) != 0),
                _ => 0xff,
            };
            acks.send(&[result])?;
        }
    }
}

/// Has the source do a step and returns its result.
fn step(number: u8, steps: &QueuingSource, acks: &QueuingDestination) -> Result<u8, Error> {
    steps.send(&[number])?;
    wait(NEVER, acks.event());
    let mut result = [0];
    acks.receive(&mut result)?;
    Ok(result[0])
}

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    let (steps, acks) = (me.queuing_source("steps")?, me.queuing_destination("acks")?);
    let (value, items) = (me.sampling_destination("value")?, me.queuing_destination("items")?);
    parzelle_rt::ready()?;
    sleep(5 * MILLISECOND);
    let mut test = Test::new("sampling ports");
    let mut buffer = [0; 64];
    test.equal("before the first message", value.read(&mut buffer).err(), Some(Error::Call(Refusal::Empty)));
    test.equal("refresh period", value.refresh_period(), 5 * MILLISECOND);
    for _ in 0..3 {
        poll(event::ALL);
        test.equal("write", step(WRITE, &steps, &acks)?, 1);
        test.check(poll(value.event()) != 0, "no event for a new message");
        for _ in 0..2 {
            let sample = value.read(&mut buffer)?;
            test.equal("length", sample.length, VALUE.len());
            test.check(sample.valid, "a new message is not valid");
            test.check(buffer.starts_with(VALUE), "the message has changed");
        }
        sleep(6 * MILLISECOND);
        let sample = value.read(&mut buffer)?;
        test.check(!sample.valid, "an old message is still valid");
        test.equal("length of an old one", sample.length, VALUE.len());
    }
    let short = value.read(&mut buffer[..VALUE.len() - 1]).err();
    test.equal("a short buffer", short, Some(Error::Call(Refusal::WrongSize)));
    test.verdict();

    let mut test = Test::new("queuing ports");
    let mut expected = 0u32;
    for round in 0..5 {
        test.equal("fill", step(FILL, &steps, &acks)?, 4);
        test.equal("send to a full queue", step(SEND, &steps, &acks)?, 0);
        test.equal("waiting", items.waiting()?, 4);
        step(ROOM, &steps, &acks)?;
        let short = items.receive(&mut buffer[..3]).err();
        test.equal("a short buffer", short, Some(Error::Call(Refusal::WrongSize)));
        for left in (0..4 - round % 2).rev() {
            test.equal("length", items.receive(&mut buffer)?, 4);
            let found = buffer.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            test.equal("order", found, expected);
            test.equal("waiting", items.waiting()?, left + round % 2);
            expected += 1;
        }
        test.equal("event of room", step(ROOM, &steps, &acks)?, 1);
        while items.receive(&mut buffer).is_ok() {
            expected += 1;
        }
        test.equal("empty", items.receive(&mut buffer).err(), Some(Error::Call(Refusal::Empty)));
    }
    test.verdict();
    Ok(())
}
