// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Runs each check in a process of its own and prints its line.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use guest_support::process::{Child, Status, pipe};
use guest_support::{attempt, check, system};

use crate::verdict::{Fault, Verdict};

/// A check.
pub(crate) type Check = fn() -> Verdict;

/// Time that a check may take.
const BOUND_MS: i32 = 60_000;

/// What a child's first byte says.
const OK: u8 = b'+';
const ABSENT: u8 = b'?';
const WRONG: u8 = b'-';

/// Runs all, or those whose names hold an argument of the program.
pub(crate) fn run<'a>(checks: impl Iterator<Item = &'a (&'static str, Check)>) {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let (mut good, mut bad) = (0, 0);
    for (name, check) in checks {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        match judge(*check) {
            Ok(()) => {
                good += 1;
                println!("CHECK {name} ok");
            }
            Err(Fault::Absent(why)) => println!("CHECK {name} skipped: {why}"),
            Err(Fault::Wrong(why)) => {
                bad += 1;
                println!("CHECK {name} FAILED: {why}");
            }
        }
        reap();
    }
    println!("CHECK done: {good} ok, {bad} failed");
}

/// Runs one check to its end, or to the end of its time.
fn judge(run: Check) -> Verdict {
    let (read, write) = pipe(libc::O_CLOEXEC)?;
    let (mut read, mut write) = (File::from(read), File::from(write));
    let child = Child::new(|| {
        // SAFETY: no memory is involved. A group of its own, so that all of it can be ended.
        unsafe { libc::setpgid(0, 0) };
        let verdict = attempt::prepare().map_err(Fault::from).and_then(|()| run());
        let (kind, text) = match verdict {
            Ok(()) => (OK, String::new()),
            Err(Fault::Absent(why)) => (ABSENT, why),
            Err(Fault::Wrong(why)) => (WRONG, why),
        };
        i32::from(write.write_all(&[&[kind], text.as_bytes()].concat()).is_err())
    })?;
    drop(write);
    let said = listen(&mut read);
    // SAFETY: no memory is involved. Whoever is left of it is ended.
    unsafe { libc::kill(-child.pid(), libc::SIGKILL) };
    let ending = child.wait()?;
    let said = said?;
    let text = String::from_utf8_lossy(said.get(1..).unwrap_or_default()).into_owned();
    match said.first() {
        Some(&OK) => Ok(()),
        Some(&ABSENT) => Err(Fault::Absent(text)),
        Some(_) => Err(Fault::Wrong(text)),
        None => Err(Fault::Wrong(match ending {
            Status::Killed(libc::SIGKILL) => format!("its time, expected an end within {BOUND_MS} ms, found none"),
            other => format!("its end, expected a verdict, found {other:?}"),
        })),
    }
}

/// Reads what a check has to say. Children of its own may hold the pipe open: the first piece is all.
fn listen(read: &mut File) -> io::Result<Vec<u8>> {
    let mut poll = libc::pollfd { fd: read.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure of ours.
    let ready = check(unsafe { libc::poll(&raw mut poll, 1, BOUND_MS) })?;
    let mut text = vec![0; 4000];
    let count = if ready == 1 { read.read(&mut text)? } else { 0 };
    text.truncate(count);
    Ok(text)
}

/// Takes leave of children whose parents are gone.
fn reap() {
    if system::is_first() {
        // SAFETY: nothing is written.
        while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
    }
}
