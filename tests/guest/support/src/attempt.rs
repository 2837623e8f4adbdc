// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Does what may fault, and tells how it faulted.
//!
//! ```text
//!   attempt(f, a, b) ── saves registers ──▶ f(a, b) ──▶ its result
//!                                            │ signal
//!                       landing ◀── handler ─┘  the handler moves the program there
//! ```
//!
//! One attempt at a time per process: the saved stack pointer is a static.

use std::cell::UnsafeCell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{arch, signal};

/// A signal that an instruction brought upon its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// `SIGSEGV` and the like.
    pub signal: i32,
    /// `SEGV_MAPERR` and the like.
    pub code: i32,
    /// What the kernel gave as the fault's address.
    pub address: usize,
    /// Where the program was.
    pub place: usize,
}

impl Trap {
    const NONE: Self = Self { signal: 0, code: 0, address: 0, place: 0 };
}

/// Signals that instructions bring about.
pub const SYNCHRONOUS: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];

/// The trap of the latest attempt.
struct Latest(UnsafeCell<Trap>);

// SAFETY: written by the handler on the thread that attempts, read by that thread afterwards.
unsafe impl Sync for Latest {}

static LATEST: Latest = Latest(UnsafeCell::new(Trap::NONE));
static ACTIVE: AtomicBool = AtomicBool::new(false);
static READY: AtomicBool = AtomicBool::new(false);

extern "C" fn land(signal: i32, info: &libc::siginfo_t, context: &mut libc::ucontext_t) {
    if !ACTIVE.swap(false, Ordering::SeqCst) {
        // Nobody's attempt: the next such fault, which is this one again, ends the process.
        let _ = signal::reset(signal, false);
        return;
    }
    // SAFETY: these signals have an address.
    let address = unsafe { info.si_addr() }.addr();
    let trap = Trap { signal, code: info.si_code, address, place: arch::place(context) };
    // SAFETY: the thread that reads it is this one, and it is here.
    unsafe { LATEST.0.get().write(trap) };
    arch::set_place(context, arch::landing());
}

/// Installs the handlers; once per process is enough, children inherit them.
///
/// # Errors
///
/// As `sigaction`.
pub fn prepare() -> io::Result<()> {
    for signal in SYNCHRONOUS {
        signal::handle(signal, land, libc::SA_ONSTACK, &[])?;
    }
    READY.store(true, Ordering::SeqCst);
    Ok(())
}

/// Calls `f` with two arguments; an error if it faults. What it did until then is done.
///
/// `f` has to be so simple that leaving it in the middle harms nobody: no destructors, no locks.
///
/// # Errors
///
/// The fault.
pub fn attempt(f: extern "C" fn(usize, usize) -> usize, a: usize, b: usize) -> Result<usize, Trap> {
    if !READY.load(Ordering::SeqCst) && prepare().is_err() {
        return Err(Trap::NONE);
    }
    ACTIVE.store(true, Ordering::SeqCst);
    let outcome = arch::attempt(f, a, b);
    ACTIVE.store(false, Ordering::SeqCst);
    match outcome {
        Ok(result) => Ok(result),
        // SAFETY: the handler wrote it and has returned.
        Err(()) => Err(unsafe { LATEST.0.get().read() }),
    }
}

/// Reads a byte at any address.
///
/// # Errors
///
/// The fault.
pub fn load(address: usize) -> Result<usize, Trap> {
    attempt(arch::LOAD, address, 0)
}

/// Writes a byte at any address that is nobody's who would mind.
///
/// # Errors
///
/// The fault.
pub fn store(address: usize, value: u8) -> Result<usize, Trap> {
    attempt(arch::STORE, address, usize::from(value))
}

/// Calls code at any address; it has to be a function that returns, if it is code at all.
///
/// # Errors
///
/// The fault.
pub fn call(address: usize) -> Result<usize, Trap> {
    attempt(arch::CALL, address, 0)
}
