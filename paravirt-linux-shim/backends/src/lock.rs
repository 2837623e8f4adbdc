// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A lock for vCPUs that may share a core, or have windows at different times.
//!
//! Its holder may be preempted. If that is by the very vCPU that wants the lock, or the holder's
//! window is over, spinning helps nobody: so after a few tries equals go first, and after some more
//! everybody else does.
//!
//! ```text
//!   try ─▶ spin ×50 ─▶ poll (the next one of this core) ─▶ spin … ─▶ after 8 polls: sleep 50 µs …
//! ```
//! Not fair: with a queue, each of several preempted waiters would hold up all those behind it. The
//! sections are short and vCPUs few.

use core::hint::spin_loop;

use parzelle_rt::time;
use spin::mutex::{SpinMutex, SpinMutexGuard};

/// Tries before the core is given away.
const SPINS: u32 = 50;
/// How often it is given to equals, before it is given to anybody.
const POLLS: u32 = 8;
/// For how long, in nanoseconds.
const PAUSE: u64 = 50 * time::MICROSECOND;

/// A value that one vCPU at a time has.
#[derive(Debug)]
pub struct Lock<T>(SpinMutex<T>);

impl<T> Lock<T> {
    /// Takes the value in.
    pub const fn new(value: T) -> Self {
        Self(SpinMutex::new(value))
    }

    /// Waits for the value.
    #[inline]
    pub fn lock(&self) -> SpinMutexGuard<'_, T> {
        match self.0.try_lock() {
            Some(guard) => guard,
            None => self.wait(),
        }
    }

    /// The value, if nobody else has it.
    #[inline]
    pub fn try_lock(&self) -> Option<SpinMutexGuard<'_, T>> {
        self.0.try_lock()
    }

    #[cold]
    fn wait(&self) -> SpinMutexGuard<'_, T> {
        let mut polls = 0;
        loop {
            for _ in 0..SPINS {
                if let Some(guard) = self.0.try_lock() {
                    return guard;
                }
                spin_loop();
            }
            if polls < POLLS {
                polls += 1;
                // No event is asked for, so none is taken: this only lets others go first.
                time::poll(0);
            } else {
                time::sleep(PAUSE);
            }
        }
    }
}
