// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Checks from inside, as the first process of a guest, what Linux promises its programs: whatever
//! stands in for the hardware, programs must not see it.
//!
//! ```text
//! CHECK signal-stack ok
//! CHECK futex-smp skipped: one processor
//! CHECK copy-on-write FAILED: the parent's page, expected 1, found 2
//! CHECK done: 40 ok, 1 failed      then the machine is switched off
//! ```
//!
//! Each check is a process of its own, with a bound to its time: one that crashes or hangs fails, and
//! the others go on. The program has to be content on a bare machine first.

mod arch;
mod clocks;
mod dirty;
mod isolation;
mod mappings;
mod memory;
mod pipes;
mod processes;
mod registers;
mod returns;
mod runner;
mod signals;
mod smp;
mod tables;
mod timers;
mod trace;
mod verdict;

use std::process::ExitCode;

use guest_support::system;

use crate::runner::Check;

/// The checks of all architectures, in their order.
const CHECKS: &[(&str, Check)] = &[
    ("kernel-addresses", isolation::kernel_addresses),
    ("kernel-calls", isolation::kernel_calls),
    ("privileged-instructions", arch::privileged_instructions),
    ("system-call-numbers", isolation::system_call_numbers),
    ("system-call-registers", arch::system_call_registers),
    ("signal-handlers", signals::handlers),
    ("signal-masks", signals::masks),
    ("signal-stack", signals::stack),
    ("signal-nested", signals::nested),
    ("signal-faults", signals::faults),
    ("signal-arithmetic", arch::arithmetic),
    ("signal-storm", signals::storm),
    ("sigreturn-hostile", returns::hostile),
    ("simd-switch", registers::switches),
    ("simd-preempt", registers::preemption),
    ("simd-signal", registers::signals),
    ("float-control", registers::control),
    ("thread-pointer", registers::thread_pointer),
    ("fork-status", processes::status),
    ("fork-exec", processes::executes),
    ("many-processes", processes::many),
    ("many-threads", processes::threads),
    ("copy-on-write", memory::copy_on_write),
    ("shared-memory", memory::shared),
    ("mmap-access", mappings::access),
    ("mmap-execute", mappings::execute),
    ("mmap-holes", mappings::holes),
    ("mmap-file", mappings::file),
    ("mmap-places", mappings::places),
    ("mremap", mappings::moves),
    ("memory-cycles", memory::cycles),
    ("page-tables", tables::sparse),
    ("dirty-lazyfree", dirty::lazy_free),
    ("accessed-bits", dirty::referenced),
    ("soft-dirty", dirty::soft_dirty),
    ("ptrace-step", trace::steps),
    ("ptrace-points", trace::points),
    ("ptrace-syscall", trace::system_calls),
    ("ptrace-memory", trace::memory),
    ("clock-order", clocks::order),
    ("clock-drift", clocks::drift),
    ("clock-vdso", clocks::vdso),
    ("sleep", timers::sleep),
    ("timerfd", timers::timerfd),
    ("interval-timers", timers::intervals),
    ("processor-time", timers::processor_time),
    ("pipes", pipes::pipes),
    ("sockets", pipes::sockets),
    ("descriptors", pipes::descriptors),
    ("futex", smp::futex),
    ("futex-smp", smp::futex_across),
    ("migration", smp::migration),
    ("translation-smp", smp::translation),
    ("atomics-smp", smp::atomics),
    ("cpuinfo", arch::cpuinfo),
];

fn main() -> ExitCode {
    if let Some(status) = processes::as_executed() {
        return status;
    }
    system::begin();
    runner::run(CHECKS.iter().chain(arch::CHECKS));
    system::power_off()
}
