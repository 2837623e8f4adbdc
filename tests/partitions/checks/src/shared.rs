// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Shared memory with doorbells: a number goes to and fro, each side adds one.
//!
//! Needs: shared `board` between partitions `lead` and `echo`, both writers.

use parzelle_rt::abi::{NEVER, PAGE, event};
use parzelle_rt::time::SECOND;
use parzelle_rt::{Error, Partition, now, wait};
use test_support::Test;

/// Rounds of the game.
const ROUNDS: u64 = 1_000;

pub(crate) fn echo(me: &Partition) -> Result<(), Error> {
    let board = me.shared("board")?.memory();
    let (bell, rung) = (me.doorbell("lead")?, me.doorbell_event("lead")?);
    parzelle_rt::ready()?;
    loop {
        wait(NEVER, rung);
        let number = board.load_u64(0).unwrap_or(0);
        board.store_u64(8, number + 1);
        bell.ring()?;
    }
}

/// Plays with `echo`; returns how many rounds were answered.
pub(crate) fn play(me: &Partition, test: &mut Test) -> Result<u64, Error> {
    let shared = me.shared("board")?;
    let board = shared.memory();
    let (bell, rung) = (me.doorbell("echo")?, me.doorbell_event("echo")?);
    test.check(shared.is_writable(), "a writer may not write");
    test.check(board.len() >= PAGE, "the memory is smaller than described");
    let bytes = (0..board.len() / 8).all(|word| board.load_u64(word * 8) == Some(0));
    test.check(bytes, "shared memory is not zero at first");
    let mut answered = 0;
    for round in 1..=ROUNDS {
        board.store_u64(0, round * 2);
        bell.ring()?;
        if wait(now() + SECOND, rung) & rung == 0 {
            test.fail(format_args!("no answer to round {round}"));
            break;
        }
        let number = board.load_u64(8).unwrap_or(0);
        test.equal("the answer", number, round * 2 + 1);
        answered += 1;
    }
    Ok(answered)
}

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    let mut test = Test::new("shared memory and doorbells");
    // The echo has to have begun to wait; a bell that nobody waits for stays pending anyway.
    let answered = play(me, &mut test)?;
    test.equal("rounds", answered, ROUNDS);
    test.equal("stray events", parzelle_rt::time::poll(event::ASSIGNED), 0);
    test.verdict();
    Ok(())
}
