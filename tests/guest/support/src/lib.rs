// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the programs have in common that run as a guest's first process: beginning and end, Linux's
//! services behind safe functions, and what differs between architectures.
//!
//! ```text
//!   initrd: /init ──▶ system::begin ──▶ the program's own lines ──▶ system::power_off
//!   (one static file)   mounts                on /dev/console
//! ```
//!
//! They run on any Linux of their architecture, too, as ordinary programs: then nothing is mounted and
//! nothing is switched off.

pub mod arch;
pub mod attempt;
pub mod futex;
pub mod memory;
pub mod process;
pub mod processor;
pub mod signal;
pub mod system;
pub mod time;

use std::io;

/// What the last call of the C library complained of if it returned −1, else its result.
///
/// # Errors
///
/// `errno`, when `result` is −1.
pub fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
