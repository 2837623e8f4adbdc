// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The kernel's last words.

use crate::console::print;
use crate::context::Context;
use crate::fault;
use crate::layout::PAGE;
use crate::power::halt;
use core::panic::PanicInfo;
use parzelle_core::machine::Halt;

/// The general registers, in the order of [`Context`].
const NAMES: [&str; 15] =
    ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

/// Prints the registers of an exception that the kernel can't survive, and ends the module.
pub(crate) fn exception(r: &Context, cr2: u64) -> ! {
    // The processor could not even push: the stack has reached the page below.
    let overflow = r.vector == fault::DF && cr2.abs_diff(r.rsp) < PAGE;
    print(format_args!(
        "\nparzelle: module failed: {} (vector {}, error {:#x}) at {:#x}, address {cr2:#x}\n",
        if overflow { "kernel stack overflow" } else { fault::name(r.vector) },
        r.vector,
        r.error,
        r.rip,
    ));
    let general = [r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp].into_iter().chain(r.r);
    let special = [("rsp", r.rsp), ("flags", r.rflags), ("cs", r.cs)];
    for (name, value) in NAMES.into_iter().zip(general).chain(special) {
        print(format_args!("parzelle:   {name:5} {value:016x}\n"));
    }
    halt(Halt::Fail)
}

/// Ends the module because of a panic: for the board's panic handler.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    print(format_args!("\nparzelle: module failed: {info}\n"));
    halt(Halt::Fail)
}
