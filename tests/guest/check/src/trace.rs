// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Tracing: a parent that runs its child step by step, and reads and writes what it has.

use std::io;
use std::ptr::{null_mut, without_provenance_mut};

use guest_support::check;
use guest_support::memory::{Map, PAGE, WRITE};
use guest_support::process::{Child, Status};

use crate::arch::{self, STEPS};
use crate::verdict::{Verdict, equal, within};

/// A request without memory of ours.
fn request(kind: libc::c_uint, child: &Child, address: usize, data: usize) -> io::Result<()> {
    let (address, data) = (without_provenance_mut::<()>(address), without_provenance_mut::<()>(data));
    // SAFETY: such requests change the child only.
    let result = unsafe { libc::ptrace(kind as _, child.pid(), address, data) };
    check(result as i32).map(drop)
}

/// A child that lets itself be traced, stops, and then works.
fn traced(work: impl FnOnce() -> i32) -> io::Result<Child> {
    let child = Child::new(|| {
        // SAFETY: no memory is involved.
        unsafe { libc::ptrace(libc::PTRACE_TRACEME as _, 0, null_mut::<()>(), null_mut::<()>()) };
        for signal in guest_support::attempt::SYNCHRONOUS {
            let _ = guest_support::signal::reset(signal, false);
        }
        guest_support::signal::raise(libc::SIGSTOP);
        work()
    })?;
    match child.wait()? {
        Status::Stopped(libc::SIGSTOP) => Ok(child),
        other => Err(io::Error::other(format!("the child is {other:?}"))),
    }
}

/// The registers of a child that is stopped.
pub(crate) fn registers(child: &Child) -> io::Result<arch::Registers> {
    let mut registers = arch::NO_REGISTERS;
    let mut part = libc::iovec { iov_base: (&raw mut registers).cast(), iov_len: size_of_val(&registers) };
    let general = without_provenance_mut::<()>(1); // NT_PRSTATUS
    // SAFETY: as many bytes as are said.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGSET as _, child.pid(), general, &raw mut part) };
    check(result as i32).map(|_| registers)
}

/// Each step is one instruction: where the program then is, is known beforehand.
pub(crate) fn steps() -> Verdict {
    let child = traced(|| arch::known_steps() as i32)?;
    // To the breakpoint, behind which the known instructions begin.
    request(libc::PTRACE_CONT as _, &child, 0, 0)?;
    equal("the breakpoint", Status::Stopped(libc::SIGTRAP), child.wait()?)?;
    arch::skip_breakpoint(&child)?;
    let mut count = 0;
    let mut place = arch::program_counter(&registers(&child)?);
    while place != arch::end_of_known_steps() {
        request(libc::PTRACE_SINGLESTEP as _, &child, 0, 0)?;
        equal(format!("step {count}"), Status::Stopped(libc::SIGTRAP), child.wait()?)?;
        // Behind a system call Linux stops twice on some architectures.
        let before = std::mem::replace(&mut place, arch::program_counter(&registers(&child)?));
        count += usize::from(place != before);
        within("steps", 0, STEPS * 2, count)?;
    }
    equal("steps", STEPS, count)?;
    request(libc::PTRACE_CONT as _, &child, 0, 0)?;
    equal("the child's result", Status::Exited(77), child.wait()?)
}

/// The processor stops the child where the parent wants it: at an instruction, and at a write.
pub(crate) fn points() -> Verdict {
    let map = Map::private(PAGE, WRITE)?;
    let child = traced(|| {
        map.write(0, 1);
        map.write(8, 1);
        arch::known_steps() as i32
    })?;
    if let Err(absent) = arch::set_watchpoint(&child, Some(map.page(0) + 8)) {
        request(libc::PTRACE_KILL as _, &child, 0, 0)?;
        child.wait()?;
        return Err(absent);
    }
    request(libc::PTRACE_CONT as _, &child, 0, 0)?;
    equal("the write", Status::Stopped(libc::SIGTRAP), child.wait()?)?;
    arch::set_watchpoint(&child, None)?;
    request(libc::PTRACE_CONT as _, &child, 0, 0)?;
    equal("the breakpoint in the code", Status::Stopped(libc::SIGTRAP), child.wait()?)?;
    arch::skip_breakpoint(&child)?;
    arch::set_breakpoint(&child, Some(arch::end_of_known_steps() as usize))?;
    request(libc::PTRACE_CONT as _, &child, 0, 0)?;
    equal("the breakpoint", Status::Stopped(libc::SIGTRAP), child.wait()?)?;
    equal("where it is", arch::end_of_known_steps(), arch::program_counter(&registers(&child)?))?;
    arch::set_breakpoint(&child, None)?;
    request(libc::PTRACE_CONT as _, &child, 0, 0)?;
    equal("the child's result", Status::Exited(77), child.wait()?)
}

/// The parent sees each system call, before and after.
pub(crate) fn system_calls() -> Verdict {
    const CALLS: usize = 20;
    let child = traced(|| {
        for _ in 0..CALLS {
            // SAFETY: no memory is involved.
            unsafe { guest_support::arch::call(libc::SYS_getppid, [0; 4]) };
        }
        0
    })?;
    request(libc::PTRACE_SETOPTIONS as _, &child, 0, libc::PTRACE_O_TRACESYSGOOD as usize)?;
    let (mut seen, mut stops) = (0, 0);
    loop {
        request(libc::PTRACE_SYSCALL as _, &child, 0, 0)?;
        match child.wait()? {
            Status::Stopped(signal) if signal == libc::SIGTRAP | 0x80 => {
                stops += 1;
                seen += usize::from(arch::system_call(&registers(&child)?) == libc::SYS_getppid as u64);
            }
            Status::Exited(status) => {
                equal("the child's status", 0, status)?;
                break;
            }
            other => return equal("the child", Status::Stopped(libc::SIGTRAP | 0x80), other),
        }
        within("stops", 0, 1000, stops)?;
    }
    equal("stops at the calls", 2 * CALLS, seen)
}

/// The parent reads and writes the child's memory, also where the child may not write.
pub(crate) fn memory() -> Verdict {
    let map = Map::private(2 * PAGE, WRITE)?;
    map.fill(5);
    map.protect(1..2, guest_support::memory::READ)?;
    let child = traced(|| i32::from(map.read(0) != 111) + 2 * i32::from(map.read(PAGE) != 222))?;
    for (page, value) in [(0, 111), (1, 222)] {
        let address = without_provenance_mut::<()>(map.page(page));
        // SAFETY: the C library returns the word.
        let word = unsafe { libc::ptrace(libc::PTRACE_PEEKDATA as _, child.pid(), address, null_mut::<()>()) };
        equal("the child's word", 5 + page as libc::c_long, word)?;
        request(libc::PTRACE_POKEDATA as _, &child, map.page(page), value)?;
    }
    request(libc::PTRACE_CONT as _, &child, 0, 0)?;
    equal("what the child found", Status::Exited(0), child.wait()?)?;
    equal("the parent's word", 5, map.read(0))
}
