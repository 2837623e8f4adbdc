// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Calls that come straight back: nothing, ports, and an upcall to oneself.

use core::sync::atomic::Ordering::Relaxed;

use parzelle_rt::abi::Call;
use parzelle_rt::abi::event::SOFTWARE_FIRST;
use parzelle_rt::health::{End, finish, own_statistics};
use parzelle_rt::{Error, Partition, time};
use test_support::raw;

use crate::entry::{STAMP, enable};
use crate::{figure, least};

/// Runs of each.
const RUNS: u32 = 64;

pub(crate) fn measure(me: &Partition) -> Result<(), Error> {
    figure("null_call", least(RUNS, || timed(Call::Revision, [0; 5])));

    let (out, into) = (me.sampling_source("out")?, me.sampling_destination("in")?);
    let mut buffer = Message([0; 64]);
    let address = buffer.0.as_mut_ptr() as u64;
    let write = [u64::from(out.number()), address, 64, 0, 0];
    figure("port_sampling_write_64", least(RUNS, || timed(Call::SamplingWrite, write)));
    let read = [u64::from(into.number()), address, 64, 0, 0];
    figure("port_sampling_read_64", least(RUNS, || timed(Call::SamplingRead, read)));

    let event = 1 << SOFTWARE_FIRST;
    enable(event)?;
    let upcall = least(RUNS, || {
        let before = parzelle_sys::counter();
        // SAFETY: hands over no memory; the handler changes nothing but its own static.
        unsafe { raw(Call::Kick as u64, [0, event, 0, 0, 0]) }.ok()?;
        Some(STAMP.load(Relaxed).wrapping_sub(before))
    });
    figure("upcall", upcall);
    parzelle_rt::upcall::disable()
}

/// A call that needs nobody, while other cores make calls as well.
pub(crate) fn measure_on_cores() -> Result<(), Error> {
    parzelle_rt::ready()?;
    time::sleep(20 * time::MILLISECOND);
    figure("null_call_4_cores", least(RUNS, || timed(Call::Revision, [0; 5])));
    finish(End::Stop)
}

/// Makes calls, for ever.
pub(crate) fn load() -> Result<(), Error> {
    parzelle_rt::ready()?;
    loop {
        timed(Call::Revision, [0; 5]);
        let _ = own_statistics()?;
    }
}

/// A message in one piece.
#[repr(align(64))]
struct Message([u8; 64]);

/// The time that a call takes; `None` if it is refused.
#[inline(always)]
fn timed(call: Call, arguments: [u64; 5]) -> Option<u64> {
    let before = parzelle_sys::counter();
    // SAFETY: the only memory handed over is `Message` above, which is as long as the call says.
    let result = unsafe { parzelle_sys::call(call as u64, arguments) };
    let after = parzelle_sys::counter();
    (result.0 == 0).then(|| after - before)
}
