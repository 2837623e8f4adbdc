// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Load for the other cores. Each pauses between two goes: a trace has a line for every instruction
//! of the kernel.

use parzelle_rt::abi::NEVER;
use parzelle_rt::abi::health::Mode;
use parzelle_rt::health::{own_statistics, set_mode};
use parzelle_rt::{Error, Partition, Volatile, wait};

use crate::spin;

/// Instructions between two goes.
const PAUSE: u32 = 20_000;
/// Words of the shared memory that a go writes.
const WORDS: u64 = 256;

/// Calls that need nobody.
pub(crate) fn call(me: &Partition) -> Result<(), Error> {
    let board = me.shared("board")?.memory();
    loop {
        parzelle_rt::call::revision()?;
        let accounts = own_statistics()?;
        write(&board, accounts.now);
        spin(PAUSE);
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
        spin(PAUSE);
    }
    Ok(())
}

/// Rings back.
pub(crate) fn answer(me: &Partition) -> Result<(), Error> {
    let (bell, rung) = (me.doorbell("ring")?, me.doorbell_event("ring")?);
    loop {
        wait(NEVER, rung);
        bell.ring()?;
        spin(PAUSE / 4);
    }
}

/// Computes and begins anew.
pub(crate) fn restart() -> Result<(), Error> {
    spin(100 * PAUSE);
    set_mode(Mode::WarmStart)
}
