// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Switches of schedules, and what becomes of time that windows leave.
//!
//! ```text
//!   schedule a   │ sleeper (waits) ┊ slack ┊  …  │ first │
//!   schedule b                                           │ second │ …
//!                                                        ▲ the switch, at the frame's end
//! ```
//! The switch is measured as that of windows is: `first` and `second` compute, and note when.

use parzelle_rt::abi::NEVER;
use parzelle_rt::health::{End, finish, own_statistics};
use parzelle_rt::time::{MILLISECOND, now, sleep};
use parzelle_rt::{Error, Partition, println, wait};

use crate::figure;
use crate::stamps::{SWITCH, memory};

/// Nanoseconds of a frame's window of `sleeper`, by system.toml.
const WINDOW: u64 = 4 * MILLISECOND;

/// Needs nothing of its windows.
pub(crate) fn sleeper() -> Result<(), Error> {
    parzelle_rt::ready()?;
    loop {
        wait(NEVER, 0);
    }
}

pub(crate) fn measure(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    let sleeper = me.other("sleeper")?;
    sleep(55 * MILLISECOND);
    // Whole frames, and this one computes all the time.
    let (own, its, begin) = (own_statistics()?, sleeper.statistics()?, now());
    while now() < begin + 500 * MILLISECOND {}
    let (own_after, its_after) = (own_statistics()?, sleeper.statistics()?);
    let windows = its_after.windows_run - its.windows_run;
    let idle = (windows * WINDOW).saturating_sub(its_after.used - its.used);
    let slack = own_after.slack - own.slack;
    println!("##{{\"bench\":\"slack_reclaimed\",\"percent\":{}}}", slack * 100 / idle.max(1));

    for _ in 0..8 {
        me.switch_schedule("b")?;
        sleep(20 * MILLISECOND);
        me.switch_schedule("a")?;
        sleep(20 * MILLISECOND);
    }
    figure("schedule_switch", memory(me)?.load_u64(SWITCH).unwrap_or(0));
    finish(End::Stop)
}
