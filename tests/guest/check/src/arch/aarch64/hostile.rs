// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What handlers of signals leave behind for the kernel to return to.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use guest_support::attempt::SYNCHRONOUS;
use guest_support::process::{Child, Status};
use guest_support::signal::{handle, raise, reset};

use crate::verdict::{Verdict, equal, wrong};

/// A change of the context that a handler returns to.
type Change = fn(&mut libc::mcontext_t);

/// What no program may come back with: its process ends.
const CASES: [(&str, Change); 12] = [
    ("EL1h", |context| context.pstate |= 0x5),
    ("EL1t", |context| context.pstate |= 0x4),
    ("EL2h", |context| context.pstate |= 0x9),
    ("EL3h", |context| context.pstate |= 0xd),
    ("interrupts masked", |context| context.pstate |= 0x3c0),
    ("32-bit supervisor", |context| context.pstate |= 0x13),
    ("pc of the kernel", |context| context.pc = 0xffff_8000_0800_0000),
    ("pc between the ranges", |context| context.pc = 0x0100_0000_0000_0000),
    ("pc of the upper end", |context| context.pc = 0xffff_ffff_ffff_fffc),
    ("pc misaligned", |context| context.pc |= 2),
    ("sp of the kernel", |context| context.sp = 0xffff_8000_0800_0000),
    ("sp misaligned", |context| context.sp |= 1),
];

static CASE: AtomicUsize = AtomicUsize::new(0);

extern "C" fn change(_: i32, _: &libc::siginfo_t, context: &mut libc::ucontext_t) {
    CASES[CASE.load(SeqCst)].1(&mut context.uc_mcontext);
}

/// Each ends its process by a signal; the kernel, and so this program, goes on.
pub(crate) fn hostile_returns() -> Verdict {
    for (number, (name, _)) in CASES.iter().enumerate() {
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
    equal("this process", 1, 1)
}
