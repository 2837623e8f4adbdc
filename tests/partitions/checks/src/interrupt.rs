// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Interrupts reach the owner of their line, once per acknowledgement. The device is the board's
//! real-time clock.

use parzelle_rt::time::{MILLISECOND, SECOND, poll};
use parzelle_rt::{Error, Partition, now, wait};
use test_support::Test;
use test_support::rtc::Rtc;

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    let mut test = Test::new("interrupts");
    let line = me.interrupt("rtc0")?;
    let mut rtc = Rtc::open(me)?;
    // Not bound yet: whatever the device does, nothing comes.
    rtc.prepare();
    rtc.fire();
    test.equal("before the line is bound", wait(now() + 2 * MILLISECOND, line.event()), 0);
    // An edge that came meanwhile may be heard at once when the line is bound.
    rtc.quiet();
    for _ in 0..5 {
        line.acknowledge()?;
        while poll(line.event()) != 0 {
            line.acknowledge()?;
        }
        rtc.prepare();
        rtc.fire();
        let heard = wait(now() + 2 * SECOND, line.event());
        test.equal("an interrupt", heard, line.event());
        test.equal("masked until acknowledged", wait(now() + MILLISECOND, line.event()), 0);
        rtc.quiet();
    }
    test.verdict();
    Ok(())
}
