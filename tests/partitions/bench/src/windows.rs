// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From one window to the next: both partitions compute all the time and note when, so the least
//! distance between the last sign of the one and the first of the other is the switch.

use parzelle_rt::health::{End, finish};
use parzelle_rt::time::{MILLISECOND, SECOND, sleep};
use parzelle_rt::{Error, Partition, println};

use crate::figure;
use crate::stamps::{SEEN, SWITCH, memory};

/// Ticks between two signs that say that somebody else has run meanwhile.
const GAP: u64 = 1_000;

/// Gives signs, for ever.
pub(crate) fn play(me: &Partition) -> Result<(), Error> {
    let stamps = memory(me)?;
    let is_second = me.name() == "second";
    let (own, other) = if is_second { (SEEN[1], SEEN[0]) } else { (SEEN[0], SEEN[1]) };
    parzelle_rt::ready()?;
    let mut last = parzelle_sys::counter();
    loop {
        let this = parzelle_sys::counter();
        if is_second && this - last > GAP {
            // This window has just begun, right behind the other's.
            let before = stamps.load_u64(other).unwrap_or(0);
            let least = stamps.load_u64(SWITCH).filter(|&least| least != 0).unwrap_or(u64::MAX);
            if before != 0 && before < this {
                stamps.store_u64(SWITCH, least.min(this - before));
            }
        }
        stamps.store_u64(own, this);
        last = this;
    }
}

/// The switch alone, in a system whose number of partitions is in its name.
pub(crate) fn measure_among(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    // A thousand partitions take a while to start, and each that does disturbs nobody's window.
    sleep(SECOND);
    let switch = memory(me)?.load_u64(SWITCH).unwrap_or(0);
    let partitions = me.config().number("partitions").unwrap_or(0);
    println!("##{{\"bench\":\"window_switch_{partitions}_partitions\",\"instructions\":{switch}}}");
    finish(End::Stop)
}

pub(crate) fn measure(me: &Partition) -> Result<(), Error> {
    sleep(500 * MILLISECOND);
    let switch = memory(me)?.load_u64(SWITCH).unwrap_or(0);
    figure("window_switch", switch);
    let mut jitter = 0;
    for name in ["first", "second"] {
        let it = me.other(name)?.statistics()?;
        jitter = jitter.max(it.late_max - it.late_min);
    }
    figure("window_start_jitter_max", jitter);
    Ok(())
}
