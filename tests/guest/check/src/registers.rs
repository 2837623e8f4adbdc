// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Registers that only a thread's own instructions may change.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use guest_support::process::{Child, Status};
use guest_support::signal::{handle, raise};
use guest_support::{check, processor, time};

use crate::arch::{self, VECTORS};
use crate::verdict::{Fault, Verdict, equal, within};

/// A value for each word of the vector registers.
fn pattern(seed: u64) -> [u64; VECTORS * 2] {
    std::array::from_fn(|word| (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(word as u32) ^ word as u64)
}

/// Holds a pattern in the registers `rounds` times, while others run (by a system call if `spins` is
/// 0, else by chance), and counts the times at which it was not the same afterwards.
fn held(seed: u64, rounds: usize, spins: u64) -> usize {
    let wanted = pattern(seed);
    let mut bad = 0;
    for _ in 0..rounds {
        let mut found = [0; VECTORS * 2];
        arch::hold(&wanted, &mut found, spins);
        bad += usize::from(found != wanted);
    }
    bad
}

/// Several processes and threads at a time, each with values of its own.
fn together(rounds: usize, spins: u64) -> Verdict {
    let children = (0..6).map(|seed| {
        Child::new(|| {
            let threads: Vec<_> =
                (0..3).map(|thread| thread::spawn(move || held(seed * 8 + thread, rounds, spins))).collect();
            let bad: usize = threads.into_iter().map(|thread| thread.join().unwrap_or(1)).sum();
            bad.min(100) as i32
        })
    });
    for child in children.collect::<Result<Vec<_>, _>>()? {
        equal("rounds with foreign values", Status::Exited(0), child.wait()?)?;
    }
    Ok(())
}

/// Vector registers across switches that the threads ask for.
pub(crate) fn switches() -> Verdict {
    together(300, 0)
}

/// Vector registers across switches that come by themselves.
pub(crate) fn preemption() -> Verdict {
    together(6, 2_000_000)
}

extern "C" fn spoil(_: i32, _: &libc::siginfo_t, _: &mut libc::ucontext_t) {
    held(99, 1, 1);
}

/// Vector registers across signals whose handlers use them.
pub(crate) fn signals() -> Verdict {
    handle(libc::SIGALRM, spoil, 0, &[])?;
    let every = libc::timeval { tv_sec: 0, tv_usec: 200 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: a structure of ours.
    check(unsafe { libc::syscall(libc::SYS_setitimer, libc::ITIMER_REAL, &raw const timer, 0) as i32 })?;
    equal("rounds with foreign values", 0, held(1, 200, 100_000))?;
    raise(libc::SIGALRM);
    equal("rounds with foreign values", 0, held(2, 200, 0))
}

/// Rounding modes belong to threads.
pub(crate) fn control() -> Verdict {
    let threads: Vec<_> = (0..8_u32)
        .map(|thread| {
            thread::spawn(move || {
                let mode = thread % 4;
                arch::set_rounding(mode);
                (0..300)
                    .filter(|_| {
                        processor::give_way();
                        arch::rounding() != mode || !rounds_by(mode)
                    })
                    .count()
            })
        })
        .collect();
    for thread in threads {
        let bad = thread.join().map_err(|_| Fault::Wrong("a thread is gone".to_owned()))?;
        equal("times at which the mode was another", 0, bad)?;
    }
    equal("the mode of the first thread", 0, arch::rounding())
}

/// Whether division rounds as the mode says: to nearest, down, up, to zero.
fn rounds_by(mode: u32) -> bool {
    let third = |sign: f64| std::hint::black_box(sign) / std::hint::black_box(3.0);
    let (plus, minus) = (third(1.0).to_bits(), third(-1.0).to_bits());
    // The nearest to 1/3 lies below it.
    let below = 0x3fd5_5555_5555_5555;
    let sign = 1 << 63;
    (plus, minus)
        == match mode {
            1 => (below, (below + 1) | sign),
            2 => (below + 1, below | sign),
            _ => (below, below | sign),
        }
}

thread_local! {
    /// A number that each thread has for itself, found through the thread's base register.
    static OWN: AtomicU64 = const { AtomicU64::new(0) };
}

/// Thread-local memory stays where it is, also on the way between processors.
pub(crate) fn thread_pointer() -> Verdict {
    let stop = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    let bad = AtomicU64::new(0);
    thread::scope(|scope| {
        for number in 1..=8 {
            let (stop, rounds, bad) = (&stop, &rounds, &bad);
            scope.spawn(move || {
                OWN.with(|own| own.store(number, SeqCst));
                while !stop.load(SeqCst) {
                    processor::give_way();
                    bad.fetch_add(u64::from(OWN.with(|own| own.load(SeqCst)) != number), SeqCst);
                    rounds.fetch_add(1, SeqCst);
                }
            });
        }
        time::sleep(50_000_000);
        stop.store(true, SeqCst);
    });
    equal("rounds with a foreign value", 0, bad.load(SeqCst))?;
    within("rounds", 100, u64::MAX, rounds.load(SeqCst))
}
