// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Many partitions in one image: each logs once and becomes NORMAL, one sees that all have.

use parzelle_rt::abi::health::Mode;
use parzelle_rt::time::{MILLISECOND, SECOND, sleep};
use parzelle_rt::{Error, Partition, now};
use test_support::Test;

pub(crate) fn one(me: &Partition) -> Result<(), Error> {
    log::info!("here is number {}", me.number());
    parzelle_rt::ready()
}

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    let mut test = Test::new("many partitions");
    let wanted = me.config().number("partitions").unwrap_or(0) as usize;
    test.equal("rights over", me.others().count(), wanted);
    let is_normal = |other: &parzelle_rt::health::Other| {
        other.status().is_ok_and(|status| status.mode == Mode::Normal && status.generation == 0)
    };
    let deadline = now() + 5 * SECOND;
    while now() < deadline && !me.others().all(|other| is_normal(&other)) {
        sleep(10 * MILLISECOND);
    }
    test.equal("partitions that are NORMAL", me.others().filter(is_normal).count(), wanted);
    test.verdict();
    // The console has a lot to print.
    sleep(SECOND);
    Ok(())
}
