// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Signals: their handlers' installation, their delivery, and those that instructions bring about.

use std::io;

use guest_support::signal::handle;
use guest_support::{arch, process};

use crate::meter::Meter;

extern "C" fn nothing(_: i32, _: &libc::siginfo_t, _: &mut libc::ucontext_t) {}

extern "C" fn skip(_: i32, _: &libc::siginfo_t, context: &mut libc::ucontext_t) {
    arch::set_place(context, arch::place(context) + arch::BREAKPOINT_BYTES);
}

/// All three.
pub(crate) fn signals(meter: &Meter) -> io::Result<()> {
    meter.small("sig_install", 1000, || handle(libc::SIGUSR1, nothing, 0, &[]))?;
    let own = process::own() as usize;
    meter.small("sig_deliver", 500, || {
        // SAFETY: no memory is involved.
        unsafe { arch::call(libc::SYS_kill, [own, libc::SIGUSR1 as usize, 0, 0]) };
        Ok(())
    })?;
    handle(libc::SIGTRAP, skip, 0, &[])?;
    meter.small("trap_signal", 500, || {
        (arch::BREAKPOINT)(0, 0);
        Ok(())
    })
}
