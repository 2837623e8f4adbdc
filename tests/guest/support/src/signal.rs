// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Handlers of signals.

use std::io;
use std::mem::zeroed;
use std::ptr::null_mut;

use crate::check;

/// A handler as the kernel calls it: the signal, what is known about it, and the context that it
/// interrupted, which it may change.
pub type Handler = extern "C" fn(i32, &libc::siginfo_t, &mut libc::ucontext_t);

/// Installs a handler; `SA_SIGINFO` is added to the flags. Signals in `mask` wait while it runs.
///
/// # Errors
///
/// As `sigaction`.
pub fn handle(signal: i32, handler: Handler, flags: i32, mask: &[i32]) -> io::Result<()> {
    act(signal, handler as usize, flags | libc::SA_SIGINFO, mask)
}

/// Sets a signal's action back to what it was at the beginning, or ignores it.
///
/// # Errors
///
/// As `sigaction`.
pub fn reset(signal: i32, ignore: bool) -> io::Result<()> {
    act(signal, if ignore { libc::SIG_IGN } else { libc::SIG_DFL }, 0, &[])
}

fn act(signal: i32, action: usize, flags: i32, mask: &[i32]) -> io::Result<()> {
    // SAFETY: all zero is a value of this C structure.
    let mut new: libc::sigaction = unsafe { zeroed() };
    new.sa_sigaction = action;
    new.sa_flags = flags;
    new.sa_mask = set(mask);
    // SAFETY: a whole structure; the handler has the signature that `SA_SIGINFO` asks for.
    check(unsafe { libc::sigaction(signal, &raw const new, null_mut()) }).map(drop)
}

/// The set of the given signals.
#[must_use]
pub fn set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: all zero is a value of this C structure: the empty set.
    let mut set: libc::sigset_t = unsafe { zeroed() };
    for &signal in signals {
        // SAFETY: the set is ours.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

/// Blocks or unblocks signals for this thread: `how` is `SIG_BLOCK`, `SIG_UNBLOCK` or `SIG_SETMASK`.
///
/// # Errors
///
/// As `sigprocmask`.
pub fn mask(how: i32, signals: &[i32]) -> io::Result<()> {
    let set = set(signals);
    // SAFETY: the set is ours.
    check(unsafe { libc::sigprocmask(how, &raw const set, null_mut()) }).map(drop)
}

/// Sends a signal to this very thread; it has come, unless it is blocked, when this returns.
pub fn raise(signal: i32) {
    // SAFETY: no memory is involved.
    unsafe { libc::raise(signal) };
}
