// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The kernel-call instruction and the counter, per architecture, and nothing else. What the
//! numbers mean is `parzelle-abi`'s; how to use them without unsafe code is `parzelle-rt`'s.
//!
//! ```text
//!   call(number, [a, b, c, d, e])  ──► svc #0 / syscall ──► (status, value)
//!   counter()                      ──► CNTVCT_EL0 / TSC
//! ```
//! On a host there is no kernel below: every call answers [`parzelle_abi::Error::NotSupported`], so
//! that programs' logic compiles and is tested there.
#![no_std]

#[cfg(all(target_os = "none", target_arch = "aarch64"))]
#[path = "aarch64.rs"]
mod arch;
#[cfg(not(target_os = "none"))]
#[path = "host.rs"]
mod arch;
#[cfg(all(target_os = "none", target_arch = "x86_64"))]
#[path = "x86_64.rs"]
mod arch;

pub use arch::counter;

/// Makes kernel call `number` and returns (status, value); status 0 is success.
///
/// # Safety
/// Some calls hand memory or the flow of control to the kernel. The caller guarantees, as far as
/// the call named by `number` concerns them:
/// 1. a range that the kernel reads or writes is the caller's, valid for that access, and not
///    borrowed otherwise for the length of the call;
/// 2. an entry point and a stack that the kernel will use are made for it;
/// 3. for `resume`, the frame in the vCPU page is one at which this program may continue.
///
/// A number that is not assigned, and any garbage among the other arguments, is answered by an
/// error: the kernel trusts nothing of it.
#[inline(always)]
pub unsafe fn call(number: u64, arguments: [u64; 5]) -> (u64, u64) {
    // SAFETY: the caller keeps conditions 1 to 3.
    unsafe { arch::call(number, arguments) }
}
