// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! System calls that do next to nothing, clocks, and how late a sleeper wakes.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use guest_support::{arch, check, time};

use crate::meter::Meter;

/// `getppid`, and a byte from /dev/zero.
pub(crate) fn system_calls(meter: &Meter) -> io::Result<()> {
    meter.small("syscall_null", 5000, || {
        // SAFETY: no memory is involved.
        unsafe { arch::call(libc::SYS_getppid, [0; 4]) };
        Ok(())
    })?;
    let zero = File::open("/dev/zero")?;
    let mut byte = 0_u8;
    let into = (&raw mut byte).expose_provenance();
    let file = zero.as_raw_fd() as usize;
    meter.small("read_zero_1B", 5000, || {
        // SAFETY: one byte of ours.
        match unsafe { arch::call(libc::SYS_read, [file, into, 1, 0]) } {
            1 => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    })
}

/// The monotonic clock, as programs read it and by a system call.
pub(crate) fn clocks(meter: &Meter) -> io::Result<()> {
    meter.small("clock_vdso", 5000, || {
        std::hint::black_box(time::monotonic());
        Ok(())
    })?;
    let mut spec = time::timespec(0);
    let into = (&raw mut spec).expose_provenance();
    meter.small("clock_syscall", 5000, || {
        // SAFETY: a structure of ours.
        unsafe { arch::call(libc::SYS_clock_gettime, [libc::CLOCK_MONOTONIC as usize, into, 0, 0]) };
        Ok(())
    })
}

/// By how much a sleep of one millisecond is too long. The counter is assumed to run at 1 GHz, as the
/// other figures assume that it counts instructions.
pub(crate) fn sleep(meter: &Meter) -> io::Result<()> {
    const LENGTH: u64 = 1_000_000;
    // SAFETY: no memory is involved. Without it the kernel adds up to 50 µs.
    check(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) })?;
    meter.large("sleep1ms_late_med", 101, |_| {
        let begin = time::monotonic();
        time::sleep(LENGTH);
        Ok((time::monotonic() - begin).saturating_sub(LENGTH))
    })
}
