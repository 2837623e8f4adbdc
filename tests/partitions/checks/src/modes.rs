// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Operating modes and restarts: what a warm start keeps, what a cold start doesn't, who is told.
//!
//! ```text
//!   restarted: cold (boot) ─► warm (own wish) ─► cold (own wish) ─► idle ─► warm (by lead) ─► stays
//! ```
//! Needs: shared `notes` (restarted writes); this one may start, stop and see `restarted`.

use core::sync::atomic::{AtomicU64, Ordering};

use parzelle_rt::abi::event;
use parzelle_rt::abi::health::{Condition, Mode};
use parzelle_rt::health::set_mode;
use parzelle_rt::time::{MILLISECOND, SECOND, sleep};
use parzelle_rt::{Error, Partition, VcpuPage, now, wait};
use test_support::Test;

/// A number that no memory has by itself.
const MARK: u64 = 0x5eed_0fda_7a00_0001;

/// In `.data` and `.bss`: as in the image after every start.
static DATA: AtomicU64 = AtomicU64::new(MARK);
static ZERO: AtomicU64 = AtomicU64::new(0);

parzelle_rt::retained! {
    /// Counts starts; cold ones begin anew.
    static KEPT: AtomicU64;
}

/// One start: (generation, mode, condition, retained starts before).
type Start = (u64, Mode, Condition, u64);

const STARTS: [Start; 4] = [
    (0, Mode::ColdStart, Condition::NormalStart, 0),
    (1, Mode::WarmStart, Condition::PartitionRestart, 1),
    (2, Mode::ColdStart, Condition::PartitionRestart, 0),
    (3, Mode::WarmStart, Condition::ControlledRestart, 1),
];

pub(crate) fn restarted(me: &Partition) -> Result<(), Error> {
    let notes = me.shared("notes")?.memory();
    let page = VcpuPage::first();
    let kept = KEPT.fetch_add(1, Ordering::Relaxed);
    let found: Start = (page.generation(), page.mode(), page.condition(), kept);
    let mut test = Test::new("a start");
    let wanted = STARTS.get(found.0 as usize).copied();
    test.equal("the start", Some(found), wanted);
    test.equal("data", DATA.swap(0, Ordering::Relaxed), MARK);
    test.equal("zeroed data", ZERO.swap(MARK, Ordering::Relaxed), 0);
    // Shared memory isn't touched by restarts.
    test.equal("starts noted before", notes.load_u64(0), Some(found.0));
    notes.store_u64(0, found.0 + 1);
    test.verdict();
    parzelle_rt::ready()?;
    match found.0 {
        0 => set_mode(Mode::WarmStart),
        1 => set_mode(Mode::ColdStart),
        2 => set_mode(Mode::Idle),
        _ => Ok(()),
    }
}

pub(crate) fn lead(me: &Partition) -> Result<(), Error> {
    parzelle_rt::ready()?;
    let mut test = Test::new("modes");
    let other = me.other("restarted")?;
    let mut peers = 0;
    let mut until = |mode: Mode| -> Result<bool, Error> {
        let deadline = now() + SECOND;
        while now() < deadline && other.status()?.mode != mode {
            peers += u32::from(wait(now() + MILLISECOND, event::PEER) != 0);
        }
        Ok(other.status()?.mode == mode)
    };
    test.check(until(Mode::Idle)?, "it does not stop");
    let notes = me.shared("notes")?.memory();
    sleep(20 * MILLISECOND);
    test.equal("starts", notes.load_u64(0), Some(3));
    test.equal("status", other.status()?.generation, 2);
    other.control(Mode::WarmStart)?;
    test.check(until(Mode::Normal)?, "it does not start again");
    test.equal("starts", notes.load_u64(0), Some(4));
    test.equal("restarts", other.statistics()?.restarts, 3);
    test.equal("condition", other.status()?.condition, Condition::ControlledRestart);
    let refused = other.control(Mode::Normal);
    test.equal("control to NORMAL", refused, Err(Error::Call(parzelle_rt::abi::Error::InvalidArgument)));
    other.control(Mode::Idle)?;
    test.check(until(Mode::Idle)?, "it is not stopped");
    test.check(peers > 0, "nobody said that a peer was restarted");
    test.verdict();
    Ok(())
}
