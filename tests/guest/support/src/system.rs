// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Beginning and end of a guest's first process.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::ptr::null;

/// What the first process mounts: the kind of file system, and where.
const MOUNTS: [(&CStr, &CStr); 4] =
    [(c"proc", c"/proc"), (c"sysfs", c"/sys"), (c"devtmpfs", c"/dev"), (c"tmpfs", c"/tmp")];

/// Whether this is the first process of its machine.
#[must_use]
pub fn is_first() -> bool {
    std::process::id() == 1
}

/// Mounts what programs expect, if this is the first process. What can't be mounted is seen by those
/// who need it.
pub fn begin() {
    if !is_first() {
        return;
    }
    for (kind, place) in MOUNTS {
        // SAFETY: four strings that live long enough, and no data.
        unsafe { libc::mount(kind.as_ptr(), place.as_ptr(), kind.as_ptr(), 0, null()) };
    }
    // Messages of the kernel must not cut lines in two; errors still come.
    let _ = fs::write("/proc/sys/kernel/printk", "4");
}

/// Waits until the kernel has random numbers; it works for them if the machine has no source.
///
/// # Errors
///
/// As `getrandom`.
pub fn await_entropy() -> io::Result<()> {
    let mut byte = 0_u8;
    // SAFETY: one byte of ours.
    let got = unsafe { libc::getrandom((&raw mut byte).cast(), 1, 0) };
    if got == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Switches the machine off if this is its first process; else ends the program.
pub fn power_off() -> ! {
    if is_first() {
        // SAFETY: no memory is involved.
        unsafe { libc::sync() };
        // SAFETY: as above. Whatever is still running is lost, as it should be.
        unsafe { libc::reboot(libc::RB_POWER_OFF) };
    }
    std::process::exit(0)
}
