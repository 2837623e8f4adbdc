// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Timers: never early, not absurdly late, as often as asked for.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use guest_support::signal::handle;
use guest_support::{check, time};

use crate::verdict::{Verdict, equal, within};

/// How late is absurd, in ns: others may have the processor for a while, and on a busy host QEMU stands still now and then.
pub(crate) const LATE: u64 = 2_000_000_000;
const MS: u64 = 1_000_000;

/// Sleepers wake in time, by length and by date.
pub(crate) fn sleep() -> Verdict {
    for length in [1, 50_000, MS, 10 * MS, 100 * MS, 1500 * MS] {
        for _ in 0..5 {
            let begin = time::monotonic();
            time::sleep(length);
            within(format!("a sleep of {length} ns"), length, length + LATE, time::monotonic() - begin)?;
            let date = time::monotonic() + length;
            let spec = time::timespec(date);
            // SAFETY: a structure of ours.
            unsafe { libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const spec, null_mut()) };
            within(format!("ns after a date in {length} ns"), 0, LATE, time::monotonic().wrapping_sub(date))?;
        }
    }
    Ok(())
}

/// A descriptor for a timer.
fn new_timer(first: u64, every: u64) -> io::Result<File> {
    // SAFETY: no memory is involved.
    let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) })?;
    // SAFETY: nobody else has this new descriptor.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    let spec = libc::itimerspec { it_interval: time::timespec(every), it_value: time::timespec(first) };
    // SAFETY: a structure of ours.
    check(unsafe { libc::timerfd_settime(fd, 0, &raw const spec, null_mut()) })?;
    Ok(file)
}

/// A periodic timer counts each of its periods, whether or not anybody looks.
pub(crate) fn timerfd() -> Verdict {
    for period in [2 * MS, 7 * MS] {
        // The timer started somewhere between these two, and we may be interrupted there.
        let before = time::monotonic();
        let mut timer = new_timer(period, period)?;
        let after = time::monotonic();
        let mut count = 0;
        while count < 40 {
            let mut word = [0; 8];
            timer.read_exact(&mut word)?;
            count += u64::from_ne_bytes(word);
            within("time of a period", before + count * period, u64::MAX, time::monotonic())?;
        }
        within("time of the last period", 0, LATE, time::monotonic().saturating_sub(after + count * period))?;
        time::burn(50 * MS);
        let mut word = [0; 8];
        let least = (time::monotonic() - after) / period;
        timer.read_exact(&mut word)?;
        let most = (time::monotonic() - before) / period;
        within("periods in all", least.saturating_sub(1), most, count + u64::from_ne_bytes(word))?;
    }
    Ok(())
}

static COUNT: AtomicU64 = AtomicU64::new(0);

extern "C" fn tick(_: i32, _: &libc::siginfo_t, _: &mut libc::ucontext_t) {
    COUNT.fetch_add(1, SeqCst);
}

/// Starts an interval timer of this process, in microseconds.
fn start(which: i32, every: i64) -> io::Result<()> {
    let every = libc::timeval { tv_sec: 0, tv_usec: every };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: a structure of ours, and none for the old one.
    check(unsafe { libc::syscall(libc::SYS_setitimer, which, &raw const timer, null::<()>()) } as i32).map(drop)
}

/// Interval timers, of real time and of the processor's.
pub(crate) fn intervals() -> Verdict {
    let kinds = [
        (libc::ITIMER_REAL, libc::SIGALRM, 1000),
        (libc::ITIMER_VIRTUAL, libc::SIGVTALRM, 8000),
        (libc::ITIMER_PROF, libc::SIGPROF, 8000),
    ];
    for (kind, signal, every) in kinds {
        handle(signal, tick, 0, &[])?;
        COUNT.store(0, SeqCst);
        let begin = time::monotonic();
        start(kind, every)?;
        while COUNT.load(SeqCst) < 12 && time::monotonic() < begin + 5000 * MS {}
        start(kind, 0)?;
        let (count, passed) = (COUNT.load(SeqCst), time::monotonic() - begin);
        within(format!("signals of timer {kind}"), 12, 1 + passed / 1000 / every as u64, count)?;
    }
    let stopped = COUNT.load(SeqCst);
    time::burn(20 * MS);
    equal("signals of a timer that was stopped", stopped, COUNT.load(SeqCst))
}

/// Who computes is charged for it, who sleeps is not.
pub(crate) fn processor_time() -> Verdict {
    let used = || time::asked(libc::CLOCK_THREAD_CPUTIME_ID);
    let (begin, start) = (used(), time::monotonic());
    time::burn(100 * MS);
    let (worked, passed) = (used() - begin, time::monotonic() - start);
    // Others, and other partitions, may have had the processor meanwhile.
    within("processor time of 100 ms of work", 40 * MS, passed + MS, worked)?;
    let begin = used();
    time::sleep(500 * MS);
    within("processor time of a sleep", 0, 250 * MS, used() - begin)
}
