// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The owner of a device that interrupts as fast as it can, for all the time that its limit gives.

use parzelle_rt::time::SECOND;
use parzelle_rt::{Error, Partition, now, wait};
use test_support::rtc::Rtc;
use test_support::{Test, Witness};

use crate::is_over;

/// Interrupts between two looks at the order and one's own memory.
const LOOK: u64 = 4096;

pub(crate) fn run(me: &Partition) -> Result<(), Error> {
    let (order, line) = (me.sampling_destination("order")?, me.interrupt("rtc0")?);
    let mut rtc = Rtc::open(me)?;
    let (mut test, mut witness) = (Test::new("a storm of interrupts"), Witness::begin());
    parzelle_rt::ready()?;
    let mut count = 0u64;
    loop {
        line.acknowledge()?;
        rtc.storm();
        let heard = wait(now() + SECOND, line.event());
        test.equal("an interrupt", heard, line.event());
        count += 1;
        if heard == 0 {
            break;
        }
        if count.is_multiple_of(LOOK) {
            witness.look(&mut test);
            if is_over(&order) {
                break;
            }
        }
    }
    rtc.quiet();
    witness.look(&mut test);
    witness.look(&mut test);
    test.within("interrupts", count, me.config().number("least").unwrap_or(1), u64::MAX);
    log::info!("{count} interrupts");
    test.verdict();
    Ok(())
}
