// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Signals: handlers, masks, stacks, and those that instructions bring about.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::SeqCst};

use guest_support::memory::{Map, NONE, PAGE, READ, WRITE};
use guest_support::signal::{handle, mask, raise, reset};
use guest_support::{arch as machine, attempt, check, process, time};

use crate::verdict::{Verdict, equal, within, wrong};

/// How often the handlers here have run.
static COUNT: AtomicU64 = AtomicU64::new(0);
/// What the latest run of a handler saw.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
static SENDER: AtomicI32 = AtomicI32::new(0);
static VALUE: AtomicUsize = AtomicUsize::new(0);
/// Where its stack was.
static STACK: AtomicUsize = AtomicUsize::new(0);
/// How deep handlers are nested, and the most so far.
static DEPTH: AtomicU64 = AtomicU64::new(0);
static DEEPEST: AtomicU64 = AtomicU64::new(0);

extern "C" fn note(signal: i32, info: &libc::siginfo_t, _: &mut libc::ucontext_t) {
    let here = 0_u8;
    STACK.store((&raw const here).addr(), SeqCst);
    SIGNAL.store(signal, SeqCst);
    // SAFETY: these signals were sent by processes.
    SENDER.store(unsafe { info.si_pid() }, SeqCst);
    // SAFETY: as above; without a value it is whatever lies there.
    VALUE.store(unsafe { info.si_value() }.sival_ptr.addr(), SeqCst);
    COUNT.fetch_add(1, SeqCst);
}

/// A handler runs once per signal, is told who sent it, and is forgotten when it asks for that.
pub(crate) fn handlers() -> Verdict {
    for signal in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGHUP, 40] {
        handle(signal, note, 0, &[])?;
        for round in 0..50 {
            COUNT.store(0, SeqCst);
            raise(signal);
            equal(format!("runs of the handler in round {round}"), 1, COUNT.load(SeqCst))?;
            equal("its signal", signal, SIGNAL.load(SeqCst))?;
            equal("the sender", process::own() as i32, SENDER.load(SeqCst))?;
        }
    }
    let value = libc::sigval { sival_ptr: std::ptr::without_provenance_mut(0x1234_5678_9abc) };
    // SAFETY: no memory is involved.
    check(unsafe { libc::sigqueue(process::own() as i32, 40, value) })?;
    equal("the value that came with it", 0x1234_5678_9abc, VALUE.load(SeqCst))?;

    handle(libc::SIGCHLD, note, libc::SA_RESETHAND, &[])?;
    COUNT.store(0, SeqCst);
    raise(libc::SIGCHLD);
    raise(libc::SIGCHLD);
    equal("runs of a handler for one time", 1, COUNT.load(SeqCst))?;
    reset(libc::SIGUSR1, true)?;
    raise(libc::SIGUSR1);
    equal("runs when it is ignored", 1, COUNT.load(SeqCst))
}

/// A blocked signal waits, once or, for those of real time, as often as it was sent.
pub(crate) fn masks() -> Verdict {
    for (signal, runs) in [(libc::SIGUSR1, 1), (41, 5)] {
        handle(signal, note, 0, &[])?;
        COUNT.store(0, SeqCst);
        mask(libc::SIG_BLOCK, &[signal])?;
        for _ in 0..5 {
            raise(signal);
        }
        equal("runs while it is blocked", 0, COUNT.load(SeqCst))?;
        mask(libc::SIG_UNBLOCK, &[signal])?;
        equal("runs afterwards", runs, COUNT.load(SeqCst))?;
    }
    Ok(())
}

/// Sets a stack for handlers.
fn use_stack(map: &Map) -> io::Result<()> {
    let stack =
        libc::stack_t { ss_sp: std::ptr::with_exposed_provenance_mut(map.address()), ss_flags: 0, ss_size: map.len() };
    // SAFETY: the mapping outlives the check.
    check(unsafe { libc::sigaltstack(&raw const stack, std::ptr::null_mut()) }).map(drop)
}

/// Runs into the end of the stack; no optimisation may make a loop of it.
#[expect(unconditional_recursion, reason = "its end is the fault")]
extern "C" fn overflow(depth: usize, sum: usize) -> usize {
    let room = std::hint::black_box([depth; 512]);
    overflow(depth + 1, sum + 1) + std::hint::black_box(room[sum % 512])
}

/// A handler runs on the stack that it was given; so it can deal with one that is full.
pub(crate) fn stack() -> Verdict {
    let map = Map::private(16 * PAGE, WRITE)?;
    use_stack(&map)?;
    handle(libc::SIGUSR1, note, libc::SA_ONSTACK, &[])?;
    raise(libc::SIGUSR1);
    within("the handler's stack", map.address(), map.address() + map.len(), STACK.load(SeqCst))?;
    for _ in 0..3 {
        match attempt::attempt(overflow, 0, 0) {
            Ok(_) => return wrong("an endless recursion", "SIGSEGV", "its end"),
            Err(trap) => equal("signal of a full stack", libc::SIGSEGV, trap.signal)?,
        }
    }
    Ok(())
}

extern "C" fn nest(signal: i32, info: &libc::siginfo_t, context: &mut libc::ucontext_t) {
    let depth = DEPTH.fetch_add(1, SeqCst) + 1;
    DEEPEST.fetch_max(depth, SeqCst);
    if depth < 20 {
        raise(signal);
    }
    DEPTH.fetch_sub(1, SeqCst);
    note(signal, info, context);
}

/// Handlers interrupt handlers, and each comes back to where it was.
pub(crate) fn nested() -> Verdict {
    handle(libc::SIGUSR1, nest, libc::SA_NODEFER, &[])?;
    raise(libc::SIGUSR1);
    equal("depth of handlers", 20, DEEPEST.load(SeqCst))?;
    equal("their ends", 20, COUNT.load(SeqCst))?;
    equal("depth afterwards", 0, DEPTH.load(SeqCst))
}

/// Faults become the right signals with the right addresses.
pub(crate) fn faults() -> Verdict {
    let map = Map::private(4 * PAGE, WRITE)?;
    map.protect(1..2, READ)?;
    map.protect(2..3, NONE)?;
    let at = |page: usize, byte: usize| map.page(page) + byte;
    map.unmap(3..4)?;
    const ACCESS: i32 = 2; // SEGV_ACCERR
    const NOTHING: i32 = 1; // SEGV_MAPERR
    let cases = [
        ("a write to a page for reading", attempt::store(at(1, 5), 1), at(1, 5), ACCESS),
        ("a read of a page for nobody", attempt::load(at(2, 4095)), at(2, 4095), ACCESS),
        ("a read where nothing is", attempt::load(at(3, 7)), at(3, 7), NOTHING),
        ("a write where nothing is", attempt::store(at(3, 0), 1), at(3, 0), NOTHING),
        ("a call of a page for data", attempt::call(at(0, 0)), at(0, 0), ACCESS),
        ("a read at 0", attempt::load(0), 0, NOTHING),
    ];
    for (what, result, address, code) in cases {
        let Err(trap) = result else { return wrong(what, "SIGSEGV", "none") };
        equal(what, (libc::SIGSEGV, code, address), (trap.signal, trap.code, trap.address))?;
    }

    let name = "/tmp/check-short";
    fs::write(name, [1; PAGE])?;
    let file = fs::File::open(name)?;
    let beyond = Map::new(0, 2 * PAGE, READ, libc::MAP_SHARED, file.as_raw_fd())?;
    fs::remove_file(name)?;
    equal("the file's byte", Ok(1), attempt::load(beyond.page(0)))?;
    let Err(trap) = attempt::load(beyond.page(1) + 3) else { return wrong("beyond a file's end", "SIGBUS", "none") };
    equal("beyond a file's end", (libc::SIGBUS, beyond.page(1) + 3), (trap.signal, trap.address))?;

    let undefined = machine::UNDEFINED as *const () as usize;
    let Err(trap) = attempt::attempt(machine::UNDEFINED, 0, 0) else {
        return wrong("no instruction", "SIGILL", "none");
    };
    equal("no instruction", (libc::SIGILL, undefined, undefined), (trap.signal, trap.address, trap.place))?;
    let breakpoint = machine::BREAKPOINT as *const () as usize;
    let Err(trap) = attempt::attempt(machine::BREAKPOINT, 0, 0) else {
        return wrong("a breakpoint", "SIGTRAP", "none");
    };
    let behind = breakpoint + usize::from(machine::BREAKPOINT_BYTES == 0);
    equal("a breakpoint", (libc::SIGTRAP, behind), (trap.signal, trap.place))
}

/// Computes the same whether or not signals come between.
pub(crate) fn storm() -> Verdict {
    let compute = || {
        (1..=200_000_u64).fold((1_u64, 1.0_f64), |(sum, real), n| {
            (sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n), (real + 1.0 / n as f64).sqrt() * 1.5)
        })
    };
    let quiet = compute();
    handle(libc::SIGALRM, note, 0, &[])?;
    let every = libc::timeval { tv_sec: 0, tv_usec: 300 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: a structure of ours.
    check(unsafe { libc::syscall(libc::SYS_setitimer, libc::ITIMER_REAL, &raw const timer, 0) as i32 })?;
    COUNT.store(0, SeqCst);
    let end = time::monotonic() + 100_000_000;
    let mut rounds = 0;
    while time::monotonic() < end || rounds < 10 {
        let (sum, real) = compute();
        equal(format!("the sum of round {rounds}"), (quiet.0, quiet.1.to_bits()), (sum, real.to_bits()))?;
        rounds += 1;
    }
    within("signals", 10, u64::MAX, COUNT.load(SeqCst))
}
