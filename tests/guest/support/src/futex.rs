// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Words that threads wait at.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::arch;

/// Waits while `word` has a value, and gives the one that it has then.
pub fn wait_while(word: &AtomicU32, value: u32) -> u32 {
    loop {
        let now = word.load(Ordering::SeqCst);
        if now != value {
            return now;
        }
        // SAFETY: a word of ours, for threads of this process, without a time-out.
        unsafe { arch::call(libc::SYS_futex, [word.as_ptr().addr(), WAIT, value as usize, 0]) };
    }
}

/// Sets `word` and wakes one who waits at it.
pub fn set(word: &AtomicU32, value: u32) {
    word.store(value, Ordering::SeqCst);
    // SAFETY: as above.
    unsafe { arch::call(libc::SYS_futex, [word.as_ptr().addr(), WAKE, 1, 0]) };
}

const WAIT: usize = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
const WAKE: usize = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as usize;
