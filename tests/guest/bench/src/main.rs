// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Measures what Linux's services cost, as the first process of a machine or of a guest partition.
//!
//! The unit is a tick of the processor's counter: one instruction, when QEMU counts them and the
//! counter runs at 1 GHz. `cargo xtask bench guest` compares two runs, natively and in a partition.
//!
//! ```text
//! BENCH syscall_null 338        a line per metric
//! BENCH done                    then the machine is switched off
//! ```
//!
//! A program without Rust's own beginning: `fork_exec_wait` executes this very file, and what it does
//! before it ends again would be measured, too.

#![no_main]

mod calls;
mod memory;
mod meter;
mod processes;
mod signals;
mod switches;

use std::ffi::{CStr, c_char, c_int};
use std::io;

use guest_support::system;

use crate::meter::Meter;

/// A metric, or several that are measured together.
type Measure = fn(&Meter) -> io::Result<()>;

/// All of them, in the order in which they are printed.
const ALL: [Measure; 12] = [
    calls::system_calls,
    calls::clocks,
    memory::anonymous_faults,
    memory::file_faults,
    memory::copies,
    memory::mappings,
    memory::protection,
    signals::signals,
    switches::pipe,
    switches::threads,
    processes::processes,
    calls::sleep,
];

/// What the program that `fork_exec_wait` executes is called with.
const LEAVE: &CStr = c"leave";

/// The C library's entry.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    if count == 2 {
        // SAFETY: there are two.
        let second = unsafe { arguments.add(1) };
        // SAFETY: as above.
        let second = unsafe { second.read() };
        // SAFETY: a string, as the kernel made it.
        if unsafe { CStr::from_ptr(second) } == LEAVE {
            return 0;
        }
    }
    system::begin();
    // A kernel without random numbers computes some for every system call, and one machine finds
    // entropy sooner than another.
    if let Err(error) = system::await_entropy() {
        println!("BENCH FAILED: {error}");
    }
    let meter = Meter::new();
    for measure in ALL {
        if let Err(error) = measure(&meter) {
            println!("BENCH FAILED: {error}");
        }
    }
    println!("BENCH done");
    system::power_off()
}
