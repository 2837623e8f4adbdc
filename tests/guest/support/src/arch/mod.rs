// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The one place where architectures are told apart. Both modules offer the same names.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "aarch64")]
pub use aarch64::*;

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

/// Both halves of what the assembly returns.
#[repr(C)]
struct Outcome {
    result: usize,
    trapped: usize,
}

unsafe extern "C" {
    fn guest_attempt(f: extern "C" fn(usize, usize) -> usize, a: usize, b: usize) -> Outcome;
    safe fn guest_attempt_landing();
    safe fn guest_load(address: usize, unused: usize) -> usize;
    safe fn guest_store(address: usize, value: usize) -> usize;
    safe fn guest_call(address: usize, unused: usize) -> usize;
    safe fn guest_breakpoint(unused: usize, unused_too: usize) -> usize;
    safe fn guest_undefined(unused: usize, unused_too: usize) -> usize;
}

/// Reads a byte: `movzx`, `ldrb`.
pub const LOAD: extern "C" fn(usize, usize) -> usize = guest_load;
/// Writes a byte.
pub const STORE: extern "C" fn(usize, usize) -> usize = guest_store;
/// Calls.
pub const CALL: extern "C" fn(usize, usize) -> usize = guest_call;
/// Begins with a breakpoint instruction.
pub const BREAKPOINT: extern "C" fn(usize, usize) -> usize = guest_breakpoint;
/// Begins with an instruction that is none.
pub const UNDEFINED: extern "C" fn(usize, usize) -> usize = guest_undefined;

/// See [`crate::attempt`].
pub(crate) fn attempt(f: extern "C" fn(usize, usize) -> usize, a: usize, b: usize) -> Result<usize, ()> {
    // SAFETY: saves all that the callee may not change; the handlers are installed.
    let Outcome { result, trapped } = unsafe { guest_attempt(f, a, b) };
    if trapped == 0 { Ok(result) } else { Err(()) }
}

/// Where a program goes on whose attempt has faulted.
pub(crate) fn landing() -> usize {
    guest_attempt_landing as *const () as usize
}
