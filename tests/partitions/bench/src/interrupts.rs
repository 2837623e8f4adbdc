// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From a device's interrupt to the handler in the partition that owns it.

use core::sync::atomic::Ordering::Relaxed;

use parzelle_rt::{Error, Partition, time, upcall};
use test_support::rtc::Rtc;

use crate::entry::{STAMP, enable};
use crate::{figure, least};

pub(crate) fn measure(me: &Partition) -> Result<(), Error> {
    let (line, mut rtc) = (me.interrupt("rtc0")?, Rtc::open(me)?);
    enable(line.event())?;
    let path = least(4, || {
        rtc.quiet();
        // Twice: an edge from before would be heard at the first.
        line.acknowledge().ok()?;
        line.acknowledge().ok()?;
        rtc.prepare();
        let before = rtc.fire_timed();
        let deadline = time::now() + time::MILLISECOND;
        while STAMP.load(Relaxed) < before && time::now() < deadline {}
        let after = STAMP.load(Relaxed);
        rtc.quiet();
        (after > before).then(|| after - before)
    });
    figure("irq_to_partition", path);
    upcall::disable()
}
