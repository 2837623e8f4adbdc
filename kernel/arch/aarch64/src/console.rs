// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The console: for boot, and for the kernel's last words.

use core::fmt::{Arguments, Write};
use spin::{Mutex, Once};

/// How a board prints.
pub type Printer = fn(Arguments<'_>);

static PRINTER: Once<Printer> = Once::new();
static LOCK: Mutex<()> = Mutex::new(());

/// Sets the board's printer.
pub(crate) fn set(printer: Printer) {
    PRINTER.call_once(|| printer);
}

/// Prints, if the board can. A core that died within it does not keep the others from it for ever.
pub(crate) fn print(text: Arguments<'_>) {
    let Some(printer) = PRINTER.get() else { return };
    let guard = (0..10_000_000).find_map(|_| {
        core::hint::spin_loop();
        LOCK.try_lock()
    });
    printer(text);
    drop(guard);
}

/// Prints to anything that can be written to.
pub fn print_to(mut out: impl Write, text: Arguments<'_>) {
    // A console that fails has nowhere to say so.
    let _ = out.write_fmt(text);
}
