// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The console: for boot, and for the kernel's last words. In between its UART is a partition's.

use core::fmt::Arguments;
use spin::Once;

/// How a board prints.
pub type Printer = fn(Arguments<'_>);

static PRINTER: Once<Printer> = Once::new();

/// Sets the board's printer.
pub(crate) fn set(printer: Printer) {
    PRINTER.call_once(|| printer);
}

/// Prints, if the board can. There is no lock: before the first window one core prints, and a
/// core that dies prints whatever the others do.
pub(crate) fn print(text: Arguments<'_>) {
    if let Some(printer) = PRINTER.get() {
        printer(text);
    }
}
