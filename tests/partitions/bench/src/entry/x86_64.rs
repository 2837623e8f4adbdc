// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! An upcall handler whose first instruction reads the counter.

use core::arch::naked_asm;
use core::sync::atomic::AtomicU64;

use parzelle_rt::Error;
use parzelle_rt::abi::Call;
use test_support::raw;

/// When the handler was entered last.
pub(crate) static STAMP: AtomicU64 = AtomicU64::new(0);

/// The handler needs no stack, but the kernel wants one.
static STACK: AtomicU64 = AtomicU64::new(0);

#[unsafe(naked)]
unsafe extern "C" fn handler() -> ! {
    naked_asm!(
        "rdtsc",
        "mov dword ptr [rip + {stamp}], eax",
        "mov dword ptr [rip + {stamp} + 4], edx",
        "mov eax, {resume}",
        "syscall",
        "ud2",
        stamp = sym STAMP,
        resume = const Call::Resume as u32,
    )
}

/// Has the handler called on these events.
pub(crate) fn enable(interest: u64) -> Result<(), Error> {
    let arguments = [handler as *const () as u64, STACK.as_ptr() as u64, interest, 0, 0];
    // SAFETY: the handler resumes what it interrupts and uses no stack.
    unsafe { raw(Call::SetUpcall as u64, arguments) }?;
    Ok(())
}
