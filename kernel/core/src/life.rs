// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Which life a partition is in, in one word, so that cores which stop, restart and start it at the
//! same time agree on what has happened.
//!
//! ```text
//!   63        32 31     24 23           0
//!   │ life      │ mode    │ stopping    │
//! ```
//! A stop or restart begins the next life and counts itself into `stopping`, as well as each vCPU
//! that another core has to stop. Who counts down to the last one does the rest of the work *and stays
//! counted meanwhile*: at most one core works for a partition, and the partition starts when that is
//! done. What was asked by or for a former life is dropped.

use crate::sync::AtomicU64;
use core::sync::atomic::Ordering::SeqCst;
use parzelle_abi::health::Mode;

/// The word.
#[derive(Default)]
pub(crate) struct Life(AtomicU64);

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now {
    /// How often it was stopped or restarted.
    pub(crate) number: u32,
    /// A [`Mode`].
    pub(crate) mode: u32,
    /// What is yet to be done before it may start.
    pub(crate) stopping: u32,
}

impl Now {
    fn of(word: u64) -> Now {
        let stopping = word as u32 & 0xff_ffff;
        Now { number: (word >> 32) as u32, mode: word as u32 >> 24, stopping }
    }

    fn word(self) -> u64 {
        u64::from(self.number) << 32 | u64::from(self.mode & 0xff) << 24 | u64::from(self.stopping & 0xff_ffff)
    }

    /// Whether vCPUs of life `number` may run.
    pub(crate) fn is_up(self, number: u32) -> bool {
        self.number == number && self.stopping == 0 && self.mode != Mode::Idle as u32
    }
}

impl Life {
    /// What it says now.
    pub(crate) fn now(&self) -> Now {
        Now::of(self.0.load(SeqCst))
    }

    /// Changes it, unless `change` says `None`. Tells what it was.
    fn update(&self, change: impl Fn(Now) -> Option<Now>) -> Result<Now, Now> {
        let change = |word| change(Now::of(word)).map(Now::word);
        self.0.fetch_update(SeqCst, SeqCst, change).map(Now::of).map_err(Now::of)
    }

    /// Begins the next life, with one yet to stop: the caller's core. `by`: the life that asks, if it
    /// is the partition itself; `false` when that is over.
    pub(crate) fn next(&self, mode: Mode, by: Option<u32>) -> bool {
        let next = |now: Now| {
            let stopping = now.stopping + 1;
            let next = Now { number: now.number.wrapping_add(1), mode: mode as u32, stopping };
            by.is_none_or(|by| by == now.number).then_some(next)
        };
        self.update(next).is_ok()
    }

    /// Counts one more that has yet to stop.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, SeqCst);
    }

    /// Takes that back. It is not the last one: the caller is still counted.
    pub(crate) fn discount(&self) {
        self.0.fetch_sub(1, SeqCst);
    }

    /// Counts down; the last one stays counted and is told for which life it has to work.
    pub(crate) fn stopped(&self) -> Option<u32> {
        let less = |now: Now| (now.stopping != 1).then_some(Now { stopping: now.stopping.saturating_sub(1), ..now });
        self.update(less).err().map(|now| now.number)
    }

    /// The work for this life is done, by the one that is still counted: tells what it was before.
    ///
    /// # Errors
    /// There is another life meanwhile; the caller is still counted.
    pub(crate) fn done(&self, number: u32) -> Result<Now, Now> {
        let done = |now: Now| (now.number == number && now.stopping == 1).then_some(Now { stopping: 0, ..now });
        self.update(done)
    }

    /// Leaves IDLE for the first start, unless somebody is about to stop or restart it.
    pub(crate) fn begin(&self) -> Option<u32> {
        let idle = |now: &Now| now.mode == Mode::Idle as u32 && now.stopping == 0;
        let cold = |now: Now| idle(&now).then_some(Now { mode: Mode::ColdStart as u32, ..now });
        self.update(cold).ok().map(|now| now.number)
    }

    /// Becomes NORMAL, in the life that asks for it. `false` when that is over, or it is NORMAL.
    pub(crate) fn normal(&self, number: u32) -> bool {
        let normal = Now { mode: Mode::Normal as u32, number, stopping: 0 };
        self.update(|now| (now.is_up(number) && now != normal).then_some(normal)).is_ok()
    }
}
