// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Two that are restarted all the time: one by the health monitor, since it crashes, one by the judge
//! while vCPUs of its work on two cores. At each start they tell the judge
//! (generation, hash of the program); memory that was zero has to be zero again.

use core::sync::atomic::{AtomicU64, Ordering};

use parzelle_rt::abi::info::layout;
use parzelle_rt::time::{MILLISECOND, sleep};
use parzelle_rt::{Error, Partition, QueuingSource, VcpuPage, vcpu};
use test_support::{Test, Witness, probe};

/// In `.bss`: zero after every start.
static ZERO: AtomicU64 = AtomicU64::new(0);

/// Tells the judge of this start; returns its generation.
fn tell(port: &QueuingSource) -> Result<u64, Error> {
    let generation = VcpuPage::first().generation();
    if ZERO.swap(generation + 1, Ordering::Relaxed) != 0 {
        Test::new("a restart").fail(format_args!("start {generation} finds memory that is not zero"));
    }
    let mut message = [0; 16];
    message[..8].copy_from_slice(&generation.to_le_bytes());
    message[8..].copy_from_slice(&Witness::begin().program().to_le_bytes());
    port.send(&message)?;
    parzelle_rt::ready()?;
    Ok(generation)
}

#[allow(clippy::panic)] // One of the crashes.
pub(crate) fn crasher(me: &Partition) -> Result<(), Error> {
    static CONSTANT: [u8; 16] = [1; 16];
    let generation = tell(&me.queuing_source("crashes")?)?;
    sleep((100 + generation % 5 * 17) * MILLISECOND);
    let (instruction, argument) = match generation % 4 {
        0 => (probe::READ, layout::END - 8),
        1 => (probe::WRITE, CONSTANT.as_ptr() as u64),
        2 => (probe::PRIVILEGED[0].1, 0),
        _ => panic!("as planned"),
    };
    // SAFETY: a fault before anything is done; there is no handler of upcalls.
    let _ = unsafe { probe::run(instruction, argument) };
    Test::new("a crash").fail("an instruction that should not be possible was executed");
    Ok(())
}

pub(crate) fn victim(me: &Partition) -> Result<(), Error> {
    let starts = me.queuing_source("starts")?;
    vcpu::start(1, count, 0)?;
    tell(&starts)?;
    count(0)
}

/// Works until the restart.
extern "C" fn count(_: u64) -> ! {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        for _ in 0..1000 {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
        sleep(MILLISECOND / 2);
    }
}
