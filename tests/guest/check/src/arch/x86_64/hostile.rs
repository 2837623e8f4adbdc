// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What handlers of signals leave behind for the kernel to return to.

use std::arch::asm;

use guest_support::signal::{handle, raise};

use crate::returns::Change;
use crate::verdict::{Verdict, equal};

/// Sets a register of the context.
fn set(context: &mut libc::ucontext_t, register: i32, value: u64) {
    context.uc_mcontext.gregs[register as usize] = value as i64;
}

/// Sets one of the selectors of the context, which share a word: 0 is cs, 3 is ss.
fn select(context: &mut libc::ucontext_t, place: u32, selector: u64) {
    // Take ss as it is given (UC_STRICT_RESTORE_SS).
    context.uc_flags |= 4;
    let word = context.uc_mcontext.gregs[libc::REG_CSGSFS as usize] as u64;
    set(context, libc::REG_CSGSFS, word & !(0xffff << (16 * place)) | selector << (16 * place));
}

/// What no program may come back with: its process ends.
pub(crate) const HOSTILE_RETURNS: [(&str, Change); 23] = [
    ("cs 0", |context| select(context, 0, 0)),
    ("cs 0x8", |context| select(context, 0, 0x8)),
    ("cs 0x10", |context| select(context, 0, 0x10)),
    ("cs for data", |context| select(context, 0, 0x2b)),
    ("cs of a task", |context| select(context, 0, 0x43)),
    ("cs beyond the table", |context| select(context, 0, 0xe033)),
    ("cs at the end", |context| select(context, 0, 0xffff)),
    ("cs of no local table", |context| select(context, 0, 0x7)),
    ("ss 0", |context| select(context, 3, 0)),
    ("ss 0x8", |context| select(context, 3, 0x8)),
    ("ss 0x10", |context| select(context, 3, 0x10)),
    ("ss for code", |context| select(context, 3, 0x33)),
    ("ss at the end", |context| select(context, 3, 0xffff)),
    ("ss of no local table", |context| select(context, 3, 0x7)),
    ("rip between the halves", |context| set(context, libc::REG_RIP, 0x8000_0000_0000)),
    ("rip of the upper half", |context| set(context, libc::REG_RIP, 0xffff_ffff_8100_0000)),
    ("rip of the window", |context| set(context, libc::REG_RIP, 0xffff_8100_0000_0000)),
    ("rip far off", |context| set(context, libc::REG_RIP, 0x7fff_0000_0000_0000)),
    ("rip at the end", |context| set(context, libc::REG_RIP, u64::MAX)),
    ("rsp between the halves", |context| set(context, libc::REG_RSP, 0x8000_0000_0000)),
    ("rsp of the window", |context| set(context, libc::REG_RSP, 0xffff_8100_0000_1000)),
    ("all wrong", |context| {
        select(context, 0, 0xfff0);
        select(context, 3, 0xfff0);
        set(context, libc::REG_RIP, 0x1234_5678_9abc_def0);
        set(context, libc::REG_RSP, 0x1234_5678_9abc_def0);
    }),
    ("floating-point state of the kernel", |context| {
        // Behind the 23 general registers; the C library has no name for it.
        let words = (&raw mut context.uc_mcontext).cast::<u64>();
        // SAFETY: within the structure.
        let state = unsafe { words.add(23) };
        // SAFETY: as above.
        unsafe { state.write(0xffff_8880_0000_0000) };
    }),
];

/// Flags that are the kernel's: privilege of input and output, nested task, virtual mode.
const KERNELS: u64 = 0x3000 | 0x4000 | 0x2_0000 | 0x8_0000 | 0x10_0000;
/// Whether interrupts come.
const INTERRUPTS: u64 = 0x200;

extern "C" fn change_flags(_: i32, _: &libc::siginfo_t, context: &mut libc::ucontext_t) {
    let flags = context.uc_mcontext.gregs[libc::REG_EFL as usize] as u64;
    set(context, libc::REG_EFL, flags & !INTERRUPTS | KERNELS);
}

/// Flags that are the kernel's stay as they are.
pub(crate) fn flags() -> Verdict {
    handle(libc::SIGUSR1, change_flags, 0, &[])?;
    for _ in 0..10 {
        raise(libc::SIGUSR1);
        let flags: u64;
        // SAFETY: reads the flags.
        unsafe { asm!("pushfq", "pop {}", out(reg) flags) };
        equal("the kernel's flags", INTERRUPTS, flags & (KERNELS | INTERRUPTS))?;
    }
    Ok(())
}
