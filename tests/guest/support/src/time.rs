// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Clocks.

/// A clock's time in nanoseconds, by the shortest way that the C library knows.
#[must_use]
#[inline]
pub fn now(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    nanoseconds(&time)
}

/// A clock's time in nanoseconds, as the kernel itself tells it.
#[must_use]
pub fn asked(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours.
    unsafe { libc::syscall(libc::SYS_clock_gettime, clock, &raw mut time) };
    nanoseconds(&time)
}

/// Time since some point in the past that nothing sets, in nanoseconds.
#[must_use]
pub fn monotonic() -> u64 {
    now(libc::CLOCK_MONOTONIC)
}

/// The structure of the C library, for nanoseconds.
#[must_use]
pub fn timespec(nanoseconds: u64) -> libc::timespec {
    libc::timespec {
        tv_sec: (nanoseconds / 1_000_000_000) as i64,
        tv_nsec: (nanoseconds % 1_000_000_000) as libc::c_long,
    }
}

/// Nanoseconds of the structure of the C library.
#[must_use]
pub fn nanoseconds(time: &libc::timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sleeps, by the monotonic clock; a signal ends it early.
pub fn sleep(nanoseconds: u64) {
    let time = timespec(nanoseconds);
    // SAFETY: both structures may be the same or absent.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}

/// Computes until so many nanoseconds are over.
pub fn burn(nanoseconds: u64) {
    let end = monotonic() + nanoseconds;
    while monotonic() < end {
        std::hint::spin_loop();
    }
}
