// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Two schedules: who is in the one that runs, runs.
//!
//! Needs: partitions `day` and `night` that play `count` and write to sampling ports of those names,
//! each in one schedule only; this one is in both and may switch.

use parzelle_rt::abi::{NEVER, event};
use parzelle_rt::time::{MILLISECOND, sleep};
use parzelle_rt::{Error, Partition, wait};
use test_support::Test;

/// Publishes how many windows it has had.
pub(crate) fn count(me: &Partition) -> Result<(), Error> {
    let port = me.sampling_source(me.name())?;
    parzelle_rt::ready()?;
    for windows in 1u64.. {
        wait(NEVER, event::WINDOW);
        port.write(&windows.to_le_bytes())?;
    }
    Ok(())
}

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    let mut test = Test::new("schedules");
    let windows = |name: &str| -> Result<u64, Error> {
        let mut bytes = [0; 8];
        match me.sampling_destination(name)?.read(&mut bytes) {
            Ok(_) => Ok(u64::from_le_bytes(bytes)),
            Err(Error::Call(parzelle_rt::abi::Error::Empty)) => Ok(0),
            Err(error) => Err(error),
        }
    };
    for (runs, rests) in [("day", "night"), ("night", "day"), ("day", "night")] {
        me.switch_schedule(runs)?;
        // The switch is at the end of a frame of 10 ms.
        sleep(25 * MILLISECOND);
        let before = (windows(runs)?, windows(rests)?);
        sleep(100 * MILLISECOND);
        let after = (windows(runs)?, windows(rests)?);
        test.within("windows in its schedule", after.0 - before.0, 9, 11);
        test.equal("windows in the other's", after.1 - before.1, 0);
    }
    test.equal("an unknown schedule", me.switch_schedule("dusk").is_err(), true);
    test.verdict();
    Ok(())
}
