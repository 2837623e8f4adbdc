// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Printing for programs whose reader may leave: `cargo xtask size | head`.
//!
//! The standard library's macros panic then, with a message that helps nobody. These four have the
//! same names and take their place (`#[macro_use] extern crate parzelle_output`). When a pipe is
//! closed they unwind without a word, so that what is running is ended in order, up to [`run`]:
//!
//! ```text
//!   main ─► run ─► … ─► println! ─► the pipe is closed
//!            ▲                        │ unwinds: a QEMU that is running is killed
//!            └────────────────────────┘ status 141
//! ```

use std::any::Any;
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;

/// The status with which shells report a program that a closed pipe has ended: 128 + SIGPIPE
/// (POSIX.1-2024, XCU 2.8.2; the signal's number is 13).
const CUT: u8 = 128 + 13;

/// What is unwound with: the text could not be written.
struct Unwritten(io::Error);

/// Runs a program's main function. Its status, or 141 if nobody wanted to read what it says.
pub fn run(main: impl FnOnce() -> ExitCode) -> ExitCode {
    // Nothing is looked at after an unwinding: the program ends.
    let payload = match catch_unwind(AssertUnwindSafe(main)) {
        Ok(status) => return status,
        Err(payload) => payload,
    };
    match payload.downcast::<Unwritten>() {
        Ok(unwritten) => status(&unwritten.0),
        Err(payload) => resume_unwind(payload),
    }
}

/// The status after this error; unless it was a closed pipe, it is told, if anybody can be told.
fn status(error: &io::Error) -> ExitCode {
    if error.kind() == ErrorKind::BrokenPipe {
        return ExitCode::from(CUT);
    }
    let _ = writeln!(io::stderr(), "error: cannot print: {error}");
    ExitCode::FAILURE
}

/// Writes to the standard output; for the macros.
pub fn output(text: Arguments<'_>) {
    written(io::stdout().write_fmt(text));
}

/// Writes to the standard error; for the macros.
pub fn error(text: Arguments<'_>) {
    written(io::stderr().write_fmt(text));
}

fn written(result: io::Result<()>) {
    if let Err(error) = result {
        let payload: Box<dyn Any + Send> = Box::new(Unwritten(error));
        // Not a panic: no hook is called, so nothing is printed.
        resume_unwind(payload);
    }
}

/// Prints to the standard output.
#[macro_export]
macro_rules! print {
    ($($text:tt)*) => { $crate::output(::core::format_args!($($text)*)) };
}

/// Prints to the standard output, with a line end.
#[macro_export]
macro_rules! println {
    () => { $crate::output(::core::format_args!("\n")) };
    ($($text:tt)*) => { $crate::output(::core::format_args!("{}\n", ::core::format_args!($($text)*))) };
}

/// Prints to the standard error.
#[macro_export]
macro_rules! eprint {
    ($($text:tt)*) => { $crate::error(::core::format_args!($($text)*)) };
}

/// Prints to the standard error, with a line end.
#[macro_export]
macro_rules! eprintln {
    () => { $crate::error(::core::format_args!("\n")) };
    ($($text:tt)*) => { $crate::error(::core::format_args!("{}\n", ::core::format_args!($($text)*))) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(error: ErrorKind) -> String {
        format!(
            "{:?}",
            run(|| {
                written(Err(error.into()));
                ExitCode::SUCCESS
            })
        )
    }

    #[test]
    fn a_closed_pipe_is_no_failure_of_ours() {
        assert_eq!(end(ErrorKind::BrokenPipe), format!("{:?}", ExitCode::from(CUT)));
        assert_eq!(end(ErrorKind::StorageFull), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(format!("{:?}", run(|| ExitCode::from(7))), format!("{:?}", ExitCode::from(7)));
    }
}
