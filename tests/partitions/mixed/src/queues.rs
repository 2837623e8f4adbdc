// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Queues between cores: nothing is lost, doubled or out of order.

use parzelle_rt::abi::{Error as Refusal, NEVER};
use parzelle_rt::time::{MILLISECOND, SECOND, sleep};
use parzelle_rt::{Error, Partition, QueuingDestination, QueuingSource, now, wait};
use test_support::{Test, Witness};

use crate::{LAST, is_over};

/// Messages between two looks at one's own memory.
const LOOK: u64 = 64;
/// Messages that `source` sends at a time, if there is room.
const BURST: u32 = 5;
/// How long nothing may come: some frames.
const PATIENCE: u64 = SECOND;

/// Sends a number, waiting for room as long as there is none.
fn send(port: &QueuingSource, number: u64) -> Result<(), Error> {
    loop {
        match port.send(&number.to_le_bytes()) {
            Err(Error::Call(Refusal::Full)) => wait(now() + PATIENCE, port.event()),
            result => return result,
        };
    }
}

/// Receives a number, waiting until `deadline` for it.
fn receive(port: &QueuingDestination, deadline: u64) -> Option<u64> {
    let mut message = [0; 8];
    loop {
        match port.receive(&mut message) {
            Ok(_) => return Some(u64::from_le_bytes(message)),
            Err(_) if now() >= deadline => return None,
            Err(_) => wait(deadline, port.event()),
        };
    }
}

/// Says what has come of it: (how often, at least how often).
fn end(mut test: Test, mut witness: Witness, count: u64, least: u64) -> Result<(), Error> {
    witness.look(&mut test);
    witness.look(&mut test);
    test.within("messages", count, least, u64::MAX);
    log::info!("{count} messages, {} looks at my memory", witness.count());
    test.verdict();
    Ok(())
}

/// Least numbers of messages, of which the description knows.
fn least(me: &Partition) -> u64 {
    me.config().number("least").unwrap_or(1)
}

pub(crate) fn ping(me: &Partition) -> Result<(), Error> {
    let (ping, pong) = (me.queuing_source("ping")?, me.queuing_destination("pong")?);
    let order = me.sampling_destination("order")?;
    let (mut test, mut witness) = (Test::new("to and fro over queues"), Witness::begin());
    parzelle_rt::ready()?;
    let mut number = 0;
    while !is_over(&order) {
        send(&ping, number)?;
        let answer = receive(&pong, now() + PATIENCE);
        test.equal("answer", answer, Some(number + 1));
        if answer.is_none() {
            break;
        }
        number += 2;
        if number % LOOK == 0 {
            witness.look(&mut test);
        }
    }
    send(&ping, LAST)?;
    test.equal("a message too many", pong.waiting(), Ok(0));
    end(test, witness, number, least(me))
}

pub(crate) fn pong(me: &Partition) -> Result<(), Error> {
    let (ping, pong) = (me.queuing_destination("ping")?, me.queuing_source("pong")?);
    let (mut test, mut witness) = (Test::new("the answers"), Witness::begin());
    parzelle_rt::ready()?;
    let mut expected = 0;
    while let Some(number) = receive(&ping, NEVER) {
        if number == LAST {
            break;
        }
        test.equal("number", number, expected);
        expected = number + 2;
        send(&pong, number + 1)?;
        if number % LOOK == 0 {
            witness.look(&mut test);
        }
    }
    end(test, witness, expected, least(me))
}

pub(crate) fn source(me: &Partition) -> Result<(), Error> {
    let (flow, order) = (me.queuing_source("flow")?, me.sampling_destination("order")?);
    let (mut test, mut witness) = (Test::new("many into a queue"), Witness::begin());
    parzelle_rt::ready()?;
    let mut number = 0;
    while !is_over(&order) {
        for _ in 0..BURST {
            send(&flow, number)?;
            number += 1;
            if number % LOOK == 0 {
                witness.look(&mut test);
            }
        }
        sleep(MILLISECOND);
    }
    send(&flow, number | LAST)?;
    end(test, witness, number, least(me))
}

pub(crate) fn sink(me: &Partition) -> Result<(), Error> {
    let flow = me.queuing_destination("flow")?;
    let (mut test, mut witness) = (Test::new("all out of a queue"), Witness::begin());
    parzelle_rt::ready()?;
    let mut expected = 0;
    while let Some(number) = receive(&flow, NEVER) {
        test.equal("number", number & !LAST, expected);
        if number & LAST != 0 {
            break;
        }
        // After a gap the next ones are right again: one failure for each.
        expected = number + 1;
        if number % LOOK == 0 {
            witness.look(&mut test);
        }
    }
    end(test, witness, expected, least(me))
}
