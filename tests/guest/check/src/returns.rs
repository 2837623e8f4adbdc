// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What handlers of signals leave behind for the kernel to return to.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use guest_support::attempt::SYNCHRONOUS;
use guest_support::process::{Child, Status};
use guest_support::signal::{handle, raise, reset};

use crate::arch::HOSTILE_RETURNS;
use crate::verdict::{Verdict, wrong};

/// A change of the context that a handler returns to.
pub(crate) type Change = fn(&mut libc::ucontext_t);

static CASE: AtomicUsize = AtomicUsize::new(0);

extern "C" fn change(_: i32, _: &libc::siginfo_t, context: &mut libc::ucontext_t) {
    HOSTILE_RETURNS[CASE.load(SeqCst)].1(context);
}

/// Each ends its process by a signal; the kernel, and so this program, goes on.
pub(crate) fn hostile() -> Verdict {
    for (number, (name, _)) in HOSTILE_RETURNS.iter().enumerate() {
        let child = Child::new(|| {
            CASE.store(number, SeqCst);
            for signal in SYNCHRONOUS {
                let _ = reset(signal, false);
            }
            let _ = handle(libc::SIGUSR1, change, 0, &[]);
            raise(libc::SIGUSR1);
            0
        })?;
        match child.wait()? {
            Status::Killed(libc::SIGSEGV | libc::SIGBUS | libc::SIGILL) => {}
            other => return wrong(format!("returning with {name}"), "a signal", format!("{other:?}")),
        }
    }
    Ok(())
}
