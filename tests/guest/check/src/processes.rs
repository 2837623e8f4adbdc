// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Processes and threads: how they begin, how they end, and many of them.

use std::fs::File;
use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::Barrier;
use std::thread;

use guest_support::memory::{Map, PAGE, WRITE};
use guest_support::process::{Child, Status, execute, pipe};

use crate::verdict::{Verdict, equal};

/// What this program is called with when a check executes it.
const EXECUTED: &str = "executed-by-a-check";
/// In its environment then.
const VARIABLE: (&str, &str) = ("CHECK_VARIABLE", "a value with spaces");

/// The end of this program if a check has executed it: a status of its argument's choice.
pub(crate) fn as_executed() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != EXECUTED {
        return None;
    }
    let status: u8 = arguments.next()?.parse().ok()?;
    let same = std::env::var(VARIABLE.0).is_ok_and(|value| value == VARIABLE.1);
    Some(if same { ExitCode::from(status) } else { ExitCode::from(255_u8) })
}

/// A parent is told how its child ended.
pub(crate) fn status() -> Verdict {
    for status in [0, 1, 42, 127, 255] {
        equal("a child's status", Status::Exited(status), Child::new(|| status)?.wait()?)?;
    }
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGXCPU, 50] {
        let child = Child::new(|| {
            loop {
                // SAFETY: no memory is involved.
                unsafe { libc::pause() };
            }
        })?;
        child.kill(signal)?;
        equal("a child's signal", Status::Killed(signal), child.wait()?)?;
    }
    Ok(())
}

/// A program gets its arguments and its environment, fifty times.
pub(crate) fn executes() -> Verdict {
    let own = std::env::current_exe()?;
    let own = own.to_string_lossy();
    let variable = format!("{}={}", VARIABLE.0, VARIABLE.1);
    for round in 0..50 {
        let child = Child::new(|| {
            // Comes back only with an error.
            let _ = execute(&own, &[&own, EXECUTED, &round.to_string()], &[&variable]);
            254
        })?;
        equal("the program's status", Status::Exited(round), child.wait()?)?;
    }
    Ok(())
}

/// Processes that live at a time.
const MANY: usize = 200;

/// Two hundred children at a time, each with a page of its own that nobody else sees.
pub(crate) fn many() -> Verdict {
    let (wait, go) = pipe(libc::O_CLOEXEC)?;
    let mut go = Some(File::from(go));
    let own = Map::private(PAGE, WRITE)?;
    let mut children = Vec::new();
    for number in 0..MANY {
        children.push(Child::new(|| {
            own.write(0, number as u64);
            drop(go.take());
            let mut nothing = [0];
            let ended = (&File::from(wait.try_clone().unwrap_or_else(|_| std::process::exit(99)))).read(&mut nothing);
            if ended.is_ok() && own.read(0) == number as u64 { (number % 100) as i32 } else { 200 }
        })?);
    }
    // As long as the parent has it open, nobody reads its end.
    if let Some(mut go) = go.take() {
        go.flush()?;
    }
    for (number, child) in children.iter().enumerate() {
        equal(format!("child {number}"), Status::Exited((number % 100) as i32), child.wait()?)?;
    }
    equal("the parent's page", 0, own.read(0))
}

/// A hundred threads at a time, all of which reach a meeting point.
pub(crate) fn threads() -> Verdict {
    const THREADS: usize = 100;
    for _ in 0..3 {
        let meeting = Barrier::new(THREADS);
        let leaders: usize = thread::scope(|scope| {
            let all: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| usize::from(meeting.wait().is_leader()))).collect();
            all.into_iter().map(|thread| thread.join().unwrap_or(THREADS)).sum()
        });
        equal("threads that came last", 1, leaders)?;
    }
    Ok(())
}
