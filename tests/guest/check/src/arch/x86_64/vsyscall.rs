// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The page of system calls that programs of old call at fixed addresses. Today it can only be called, not
//! read: each call is a fault that the kernel answers.

use guest_support::{attempt, time};

use crate::verdict::{Verdict, absent, equal, within};

/// `time`, at its fixed address.
const TIME: usize = 0xffff_ffff_ff60_0400;

/// Calls by address, with no argument.
extern "C" fn call(address: usize, _: usize) -> usize {
    let result;
    // SAFETY: the page's routines keep to the C convention, or fault.
    unsafe {
        std::arch::asm!("call {}", in(reg) address, in("rdi") 0, lateout("rax") result, clobber_abi("C"));
    }
    result
}

/// Reads a word.
extern "C" fn read(address: usize, _: usize) -> usize {
    // SAFETY: it may fault, as wanted.
    unsafe { (address as *const usize).read_volatile() }
}

/// It can be called, from its entries only, and not be read.
pub(crate) fn vsyscall() -> Verdict {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let Some(line) = maps.lines().find(|line| line.contains("[vsyscall]")) else {
        return absent("this kernel has no such page");
    };
    for _ in 0..100 {
        let before = time::asked(libc::CLOCK_REALTIME_COARSE) / 1_000_000_000;
        let found = attempt::attempt(call, TIME, 0).map_err(|it| it.signal);
        let after = time::asked(libc::CLOCK_REALTIME) / 1_000_000_000;
        let found =
            found.map_err(|signal| crate::verdict::Fault::Wrong(format!("time by its address: signal {signal}")))?;
        within("seconds", before, after, found as u64)?;
    }
    if line.contains("--xp") {
        equal("reading it", Err(libc::SIGSEGV), attempt::attempt(read, TIME, 0).map_err(|it| it.signal))?;
        equal("between its entries", Err(libc::SIGSEGV), attempt::attempt(call, TIME + 8, 0).map_err(|it| it.signal))?;
    }
    Ok(())
}
