// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A number goes to and fro over shared memory, with doorbells between cores. A bell that is lost shows
//! as a round without an answer.

use parzelle_rt::abi::NEVER;
use parzelle_rt::time::SECOND;
use parzelle_rt::{Error, Partition, now, wait};
use test_support::{Test, Witness};

use crate::{LAST, is_over};

/// Rounds between two looks at one's own memory.
const LOOK: u64 = 16;

pub(crate) fn alpha(me: &Partition) -> Result<(), Error> {
    let (table, order) = (me.shared("table")?.memory(), me.sampling_destination("order")?);
    let (bell, rung) = (me.doorbell("beta")?, me.doorbell_event("beta")?);
    let (mut test, mut witness) = (Test::new("rounds of doorbells"), Witness::begin());
    parzelle_rt::ready()?;
    let mut round = 0;
    while !is_over(&order) {
        round += 1;
        table.store_u64(0, round);
        bell.ring()?;
        let heard = wait(now() + SECOND, rung);
        test.equal("the bell of beta", heard, rung);
        test.equal("its answer", table.load_u64(8), Some(round * 3));
        if heard == 0 {
            break;
        }
        if round % LOOK == 0 {
            witness.look(&mut test);
        }
    }
    table.store_u64(0, LAST);
    bell.ring()?;
    witness.look(&mut test);
    witness.look(&mut test);
    test.within("rounds", round, me.config().number("least").unwrap_or(1), u64::MAX);
    log::info!("{round} rounds, {} looks at my memory", witness.count());
    test.verdict();
    Ok(())
}

pub(crate) fn beta(me: &Partition) -> Result<(), Error> {
    let table = me.shared("table")?.memory();
    let (bell, rung) = (me.doorbell("alpha")?, me.doorbell_event("alpha")?);
    let (mut test, mut witness) = (Test::new("answers by doorbell"), Witness::begin());
    parzelle_rt::ready()?;
    let mut last = 0;
    loop {
        wait(NEVER, rung);
        let number = table.load_u64(0).unwrap_or(0);
        if number == LAST {
            break;
        }
        test.equal("the next round", number, last + 1);
        last = number;
        table.store_u64(8, number * 3);
        bell.ring()?;
        if number % LOOK == 0 {
            witness.look(&mut test);
        }
    }
    witness.look(&mut test);
    witness.look(&mut test);
    test.verdict();
    Ok(())
}
