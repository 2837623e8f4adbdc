// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The health monitor: every kind of fault is recognised, and the table's action follows.
//!
//! Needs: partitions `warm`, `stop`, `limit` that play `victim`, each with a table after its name;
//! shared `notes` (this one writes, which is all that a victim is told), rights over them.

use parzelle_rt::abi::PAGE;
use parzelle_rt::abi::health::{Condition, ErrorId, Mode};
use parzelle_rt::abi::info::layout;
use parzelle_rt::health::{Other, raise};
use parzelle_rt::time::{MILLISECOND, SECOND, sleep};
use parzelle_rt::{Error, Partition, now};
use test_support::{Test, probe};

/// Faults that a victim commits on demand, with the error that each is.
const FAULTS: [(&str, ErrorId); 10] = [
    ("reads where nothing is", ErrorId::MemoryViolation),
    ("writes to its own constants", ErrorId::MemoryViolation),
    ("executes its own data", ErrorId::MemoryViolation),
    ("reads the kernel", ErrorId::MemoryViolation),
    ("overflows its stack", ErrorId::StackOverflow),
    ("executes a privileged instruction", ErrorId::IllegalRequest),
    ("uses FP registers that it doesn't have", ErrorId::IllegalRequest),
    ("raises an application error", ErrorId::ApplicationError),
    ("reports a missed deadline", ErrorId::DeadlineMissed),
    ("panics", ErrorId::ApplicationError),
];

/// Address of the kernel's image or of memory of its own, on the boards that there are.
const KERNEL: u64 = 0x4020_0000;

pub(crate) fn victim(me: &Partition) -> Result<(), Error> {
    let notes = me.shared("notes")?.memory();
    parzelle_rt::ready()?;
    let mut done = notes.load_u64(0).unwrap_or(0) >> 32;
    loop {
        let order = notes.load_u64(0).unwrap_or(0);
        if order >> 32 != done {
            done = order >> 32;
            commit(order as u32);
        }
        sleep(MILLISECOND);
    }
}

/// Commits a fault. Without an upcall handler there is no way back.
#[allow(clippy::panic)] // One of the faults.
fn commit(number: u32) {
    static CONSTANT: [u8; 16] = [1; 16];
    let data = 0u64;
    let (instruction, argument) = match number {
        0 => (probe::READ, layout::END - 8),
        1 => (probe::WRITE, CONSTANT.as_ptr() as u64),
        2 => (probe::JUMP, &raw const data as u64),
        3 => (probe::READ, if cfg!(target_arch = "aarch64") { KERNEL } else { KERNEL | !0 << 47 }),
        4 => (probe::WRITE, stack_bottom() - 8),
        5 => (probe::PRIVILEGED[0].1, 0),
        6 => (probe::use_fp as probe::Probe, 0),
        // Whether these come back is the table's affair.
        7 | 8 => {
            let error = if number == 7 { ErrorId::ApplicationError } else { ErrorId::DeadlineMissed };
            let _ = raise(error, b"as ordered");
            return;
        }
        _ => panic!("as ordered"),
    };
    // SAFETY: each of these ends in a fault before it does anything; should one not, the test has
    // found what it looks for, and the memory is this partition's own.
    let _ = unsafe { probe::run(instruction, argument) };
}

/// The lowest address of vCPU 0's stack: below it is a hole.
fn stack_bottom() -> u64 {
    let me = Partition::get();
    let header = me.header();
    header.stack_top - header.stack_stride + PAGE
}

/// Gives an order and lets the victims follow it.
fn order(me: &Partition, sequence: &mut u64, number: u32) -> Result<(), Error> {
    *sequence += 1;
    me.shared("notes")?.memory().store_u64(0, *sequence << 32 | u64::from(number));
    sleep(20 * MILLISECOND);
    Ok(())
}

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    sleep(10 * MILLISECOND);
    let (warm, stop, limit) = (me.other("warm")?, me.other("stop")?, me.other("limit")?);
    let mut sequence = 0;

    let mut test = Test::new("the action log");
    order(me, &mut sequence, 7)?;
    test.equal("`limit` after an error that is logged", limit.status()?.mode, Mode::Normal);
    test.equal("health events", limit.statistics()?.health_events, 1);
    test.equal("restarts", limit.statistics()?.restarts, 0);
    test.verdict();

    let mut test = Test::new("the action stop");
    test.equal("`stop`", stop.status()?.mode, Mode::Idle);
    test.equal("restarts", stop.statistics()?.restarts, 0);
    test.verdict();

    let mut test = Test::new("faults");
    for (number, (what, error)) in FAULTS.into_iter().enumerate() {
        let before = warm.statistics()?;
        order(me, &mut sequence, number as u32)?;
        wait_normal(&warm)?;
        let after = warm.statistics()?;
        let found = after.last_error.checked_sub(1).and_then(ErrorId::from_number);
        test.check(found == Some(error), format_args!("it {what}: {found:?}, should be {error:?}"));
        test.check(after.health_events == before.health_events + 1, format_args!("it {what}: not counted"));
        test.check(after.restarts == before.restarts + 1, format_args!("it {what}: not restarted"));
        let status = warm.status()?;
        test.equal("condition", status.condition, Condition::HealthMonitorRestart);
    }
    test.verdict();

    // By now `limit`, whose table allows three restarts, has used them up.
    let mut test = Test::new("too many restarts");
    test.equal("`limit`", limit.status()?.mode, Mode::Idle);
    test.equal("restarts", limit.statistics()?.restarts, 3);
    test.verdict();
    Ok(())
}

/// Waits until a victim runs again.
fn wait_normal(victim: &Other) -> Result<(), Error> {
    let deadline = now() + SECOND;
    while now() < deadline && victim.status()?.mode != Mode::Normal {
        sleep(MILLISECOND);
    }
    Ok(())
}
