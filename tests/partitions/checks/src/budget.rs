// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Budgets of time partition 0: whoever has a higher priority and a limit gets that, and no more.
//!
//! Needs: `hog` plays `spin` with a higher priority and `limit = "1ms/10ms"`; this one may read its
//! accounts.

use parzelle_rt::time::{MILLISECOND, SECOND, sleep};
use parzelle_rt::{Error, Partition, now};
use test_support::Test;

/// Uses all the time that it gets.
pub(crate) fn spin() -> ! {
    loop {
        // Not `spin_loop`: on x86-64 that is `pause`, at each of which QEMU leaves its inner loop.
        core::hint::black_box(());
    }
}

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    let mut test = Test::new("budgets");
    let hog = me.other("hog")?;
    sleep(20 * MILLISECOND);
    let before = hog.statistics()?;
    let (begin, mut last, mut longest) = (now(), now(), 0);
    while now() < begin + SECOND / 2 {
        let this = now();
        longest = longest.max(this - last);
        last = this;
    }
    let after = hog.statistics()?;
    let (used, passed) = (after.used - before.used, after.now - before.now);
    test.within("share of the hog, in per mille", used * 1000 / passed, 95, 105);
    test.within("longest time that it kept others waiting", longest, MILLISECOND * 9 / 10, MILLISECOND * 21 / 10);
    test.verdict();
    Ok(())
}
