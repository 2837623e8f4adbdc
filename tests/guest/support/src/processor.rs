// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Processors: how many there are, and on which a thread runs.

use std::io;
use std::mem::size_of_val;

use crate::check;

/// The processors that this thread may run on.
#[must_use]
pub fn allowed() -> Vec<usize> {
    let mut set = [0_u64; 16];
    // SAFETY: as many bytes as are said.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), set.as_mut_ptr().cast()) };
    let is_in = |&processor: &usize| set.get(processor / 64).is_some_and(|word| word >> (processor % 64) & 1 == 1);
    if result < 0 { Vec::new() } else { (0..1024).filter(is_in).collect() }
}

/// Moves this thread to one processor.
///
/// # Errors
///
/// As `sched_setaffinity`.
pub fn pin(processor: usize) -> io::Result<()> {
    let mut set = [0_u64; 16];
    if let Some(word) = set.get_mut(processor / 64) {
        *word = 1 << (processor % 64);
    }
    // SAFETY: as many bytes as are said.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&set), set.as_ptr().cast()) }).map(drop)
}

/// The processor that this thread is on.
#[must_use]
pub fn current() -> usize {
    // SAFETY: no memory is involved.
    usize::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(usize::MAX)
}

/// Lets others run.
pub fn give_way() {
    // SAFETY: no memory is involved.
    unsafe { libc::sched_yield() };
}
