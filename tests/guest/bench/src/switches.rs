// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Switches between two who wait for each other: processes at pipes, threads at a futex. All on one
//! processor.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::AtomicU32;
use std::thread;

use guest_support::process::{Child, pipe as new_pipe};
use guest_support::{futex, processor};

use crate::meter::Meter;

/// Round trips per round.
const TRIPS: u64 = 200;

/// A byte to a child and back.
pub(crate) fn pipe(meter: &Meter) -> io::Result<()> {
    pin()?;
    let (there, send) = new_pipe(libc::O_CLOEXEC)?;
    let (receive, back) = new_pipe(libc::O_CLOEXEC)?;
    let mut own = (File::from(receive), File::from(send));
    let child = Child::new(|| {
        // The last writer, as which it would wait for itself.
        // SAFETY: a descriptor of the child's own, which nobody there uses any more.
        unsafe { libc::close(own.1.as_raw_fd()) };
        echo(there, back)
    })?;
    meter.small("ctx_pipe_rt", TRIPS, || {
        let mut byte = [0];
        own.1.write_all(&byte)?;
        own.0.read_exact(&mut byte)
    })?;
    drop(own);
    child.wait().map(drop)
}

/// The child: sends back what comes until nothing does.
fn echo(from: OwnedFd, to: OwnedFd) -> i32 {
    let (mut from, mut to) = (File::from(from), File::from(to));
    let mut byte = [0];
    while from.read_exact(&mut byte).is_ok() && to.write_all(&byte).is_ok() {}
    0
}

/// Whose turn it is.
static TURN: AtomicU32 = AtomicU32::new(MAIN);
const MAIN: u32 = 0;
const OTHER: u32 = 1;
const LEAVE: u32 = 2;

/// A wake-up of another thread and one by it.
pub(crate) fn threads(meter: &Meter) -> io::Result<()> {
    pin()?;
    let other = thread::Builder::new().spawn(|| {
        let pinned = pin();
        while futex::wait_while(&TURN, MAIN) != LEAVE {
            futex::set(&TURN, MAIN);
        }
        pinned
    })?;
    meter.small("ctx_futex_rt", TRIPS, || {
        futex::set(&TURN, OTHER);
        futex::wait_while(&TURN, OTHER);
        Ok(())
    })?;
    futex::set(&TURN, LEAVE);
    other.join().unwrap_or_else(|_| Err(io::Error::other("a thread is gone")))
}

fn pin() -> io::Result<()> {
    processor::pin(processor::allowed().first().copied().unwrap_or(0))
}
