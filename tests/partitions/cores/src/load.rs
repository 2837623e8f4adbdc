// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Load for the other cores. Each sleeps between two goes: the emulator lets cores take turns, and a
//! core that computes at a window's start would make the window late, which is recorded, by the
//! emulator's doing alone.

use parzelle_rt::abi::NEVER;
use parzelle_rt::abi::health::Mode;
use parzelle_rt::health::{own_statistics, set_mode};
use parzelle_rt::time::sleep;
use parzelle_rt::{Error, Partition, Volatile, wait};

/// Nanoseconds between two goes.
const PAUSE: u64 = 2_000;
/// Words of the shared memory that a go writes.
const WORDS: u64 = 256;

/// Calls that need nobody.
pub(crate) fn call(me: &Partition) -> Result<(), Error> {
    let board = me.shared("board")?.memory();
    loop {
        parzelle_rt::call::revision()?;
        let accounts = own_statistics()?;
        write(&board, accounts.now);
        sleep(PAUSE);
    }
}

/// Writes to the memory that others write to as well.
fn write(board: &Volatile, number: u64) {
    for word in 0..WORDS {
        board.store_u64(word * 8, number);
    }
}

/// Rings `answer` on another core, writes to it, and waits for the bell back.
pub(crate) fn ring(me: &Partition) -> Result<(), Error> {
    let board = me.shared("board")?.memory();
    let (bell, rung) = (me.doorbell("answer")?, me.doorbell_event("answer")?);
    for round in 0.. {
        write(&board, round);
        bell.ring()?;
        wait(parzelle_rt::now() + parzelle_rt::time::MILLISECOND, rung);
        sleep(PAUSE);
    }
    Ok(())
}

/// Rings back.
pub(crate) fn answer(me: &Partition) -> Result<(), Error> {
    let (bell, rung) = (me.doorbell("ring")?, me.doorbell_event("ring")?);
    loop {
        wait(NEVER, rung);
        bell.ring()?;
        sleep(PAUSE / 4);
    }
}

/// Sleeps and begins anew.
pub(crate) fn restart() -> Result<(), Error> {
    sleep(400 * PAUSE);
    set_mode(Mode::WarmStart)
}
