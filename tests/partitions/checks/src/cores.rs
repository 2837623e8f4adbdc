// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Two cores, each with a schedule of its own: windows on both come at their period, and doorbells
//! cross.
//!
//! Needs: `lead` on core 0 and `echo` on core 1, both with windows; shared `board`; this partition
//! has a second vCPU on core 1.

use core::sync::atomic::{AtomicU64, Ordering};

use parzelle_rt::abi::event;
use parzelle_rt::time::{MILLISECOND, SECOND};
use parzelle_rt::{Error, Partition, VcpuPage, now, vcpu, wait};
use test_support::Test;

use crate::shared::play;

/// What vCPU 1 has seen: windows, and the events that vCPU 0 has raised in it.
static WINDOWS: AtomicU64 = AtomicU64::new(0);
static KICKS: AtomicU64 = AtomicU64::new(0);

/// An event among the partition's vCPUs.
const KICK: u64 = 1 << event::SOFTWARE_FIRST;

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    let mut test = Test::new("two cores");
    test.equal("vCPUs", me.vcpus(), 2);
    vcpu::start(1, second, 42)?;
    let answered = play(me, &mut test)?;
    log::info!("{answered} doorbells went over and back");
    let before = WINDOWS.load(Ordering::Relaxed);
    let (mut last, mut odd) = (0, 0);
    for _ in 0..20 {
        wait(now() + SECOND, event::WINDOW);
        let start = VcpuPage::first().window_start();
        odd += u32::from(last != 0 && start - last != 10 * MILLISECOND);
        last = start;
        vcpu::kick(1, KICK)?;
    }
    test.equal("windows of core 0 that came at odd times", odd, 0);
    let seen = WINDOWS.load(Ordering::Relaxed) - before;
    test.within("windows of core 1 meanwhile", seen, 18, 22);
    wait(now() + 30 * MILLISECOND, 0);
    test.within("kicks", KICKS.load(Ordering::Relaxed), 15, 20);
    test.verdict();
    Ok(())
}

/// vCPU 1.
extern "C" fn second(argument: u64) -> ! {
    assert_eq!(argument, 42, "a vCPU is started with its argument");
    loop {
        let events = wait(now() + SECOND, event::WINDOW | KICK);
        WINDOWS.fetch_add(u64::from(events & event::WINDOW != 0), Ordering::Relaxed);
        KICKS.fetch_add(u64::from(events & KICK != 0), Ordering::Relaxed);
    }
}
