// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The kernel's last words.

use crate::console::print;
use crate::context::Context;
use crate::fault;
use crate::power::halt;
use core::panic::PanicInfo;
use parzelle_core::machine::Halt;

/// Prints the registers of an exception that the kernel can't survive, and ends the module.
pub(crate) fn exception(r: &Context, cr2: u64) -> ! {
    print(format_args!(
        "\nparzelle: module failed: {} (vector {}, error {:#x}) at {:#x}, address {cr2:#x}\n",
        fault::name(r.vector),
        r.vector,
        r.error,
        r.rip,
    ));
    let named = [
        ("rax", r.rax),
        ("rbx", r.rbx),
        ("rcx", r.rcx),
        ("rdx", r.rdx),
        ("rsi", r.rsi),
        ("rdi", r.rdi),
        ("rbp", r.rbp),
        ("rsp", r.rsp),
        ("r8", r.r8),
        ("r9", r.r9),
        ("r10", r.r10),
        ("r11", r.r11),
        ("r12", r.r12),
        ("r13", r.r13),
        ("r14", r.r14),
        ("r15", r.r15),
        ("flags", r.rflags),
        ("cs", r.cs),
    ];
    for (name, value) in named {
        print(format_args!("parzelle:   {name:5} {value:016x}\n"));
    }
    halt(Halt::Fail)
}

/// Ends the module because of a panic: for the board's panic handler.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    print(format_args!("\nparzelle: module failed: {info}\n"));
    halt(Halt::Fail)
}
