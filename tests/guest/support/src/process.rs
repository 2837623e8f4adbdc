// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Children, and how they end.

use std::ffi::CString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::null;

use crate::check;

/// How a child came to its end, or to a halt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ended itself with this status.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
    /// This signal stopped it; for its tracer, with the event in bits 8 and up.
    Stopped(i32),
}

impl Status {
    fn of(status: i32) -> Self {
        if libc::WIFEXITED(status) {
            Self::Exited(libc::WEXITSTATUS(status))
        } else if libc::WIFSIGNALED(status) {
            Self::Killed(libc::WTERMSIG(status))
        } else {
            Self::Stopped(status >> 8)
        }
    }
}

/// A child of this process that nobody has waited for.
#[derive(Debug)]
pub struct Child {
    pid: i32,
}

impl Child {
    /// Forks a child that does `work` and ends with the status that it returns.
    ///
    /// # Errors
    ///
    /// As `fork`.
    pub fn new(work: impl FnOnce() -> i32) -> io::Result<Self> {
        // SAFETY: the programs here fork only while they have one thread, or call nothing but the
        // kernel in the child.
        let pid = check(unsafe { libc::fork() })?;
        if pid == 0 {
            exit(work());
        }
        Ok(Self { pid })
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits until it has ended; for its tracer, until it stops.
    ///
    /// # Errors
    ///
    /// As `waitpid`.
    pub fn wait(&self) -> io::Result<Status> {
        let mut status = 0;
        loop {
            // SAFETY: `status` is ours.
            match check(unsafe { libc::waitpid(self.pid, &raw mut status, 0) }) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(|_| Status::of(status)),
            }
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// As `kill`.
    pub fn kill(&self, signal: i32) -> io::Result<()> {
        // SAFETY: no memory is involved.
        check(unsafe { libc::kill(self.pid, signal) }).map(drop)
    }
}

/// The number of this process.
#[must_use]
pub fn own() -> u32 {
    std::process::id()
}

/// Ends this process, and nothing else: no destructors, no buffers.
pub fn exit(status: i32) -> ! {
    // SAFETY: no memory is involved.
    unsafe { libc::_exit(status) }
}

/// Replaces this process by a program; returns only if that fails.
#[must_use]
pub fn execute(program: &str, arguments: &[&str], environment: &[&str]) -> io::Error {
    let strings = |texts: &[&str]| -> Result<Vec<CString>, std::ffi::NulError> {
        texts.iter().map(|&text| CString::new(text)).collect()
    };
    let (Ok(program), Ok(arguments), Ok(environment)) =
        (CString::new(program), strings(arguments), strings(environment))
    else {
        return io::ErrorKind::InvalidInput.into();
    };
    let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).chain([null()]).collect::<Vec<_>>();
    let (arguments, environment) = (pointers(&arguments), pointers(&environment));
    // SAFETY: null-terminated lists of strings that live until the call is over.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// A pipe: where to read, and where to write.
///
/// # Errors
///
/// As `pipe2`.
pub fn pipe(flags: i32) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: room for two numbers.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), flags) })?;
    // SAFETY: nobody else has this new descriptor.
    let read = unsafe { OwnedFd::from_raw_fd(ends[0]) };
    // SAFETY: as above.
    let write = unsafe { OwnedFd::from_raw_fd(ends[1]) };
    Ok((read, write))
}
