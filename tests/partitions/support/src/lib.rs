// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What test partitions have in common: verdicts, random numbers, raw calls, and probes, which do
//! something forbidden and live to tell what the processor said.
#![no_std]

pub mod probe;
pub mod progress;
pub mod random;
pub mod rtc;
pub mod verdict;
pub mod witness;

pub use random::Random;
pub use verdict::Test;
pub use witness::Witness;

use parzelle_rt::abi::{Call, Error};

/// Makes a call with any numbers at all.
///
/// # Safety
/// As for `parzelle_sys::call`; test programs hand over addresses of memory that they have set
/// aside for it, or none that is theirs.
#[inline(always)]
pub unsafe fn raw(number: u64, arguments: [u64; 5]) -> Result<u64, Error> {
    // SAFETY: the caller's.
    match unsafe { parzelle_sys::call(number, arguments) } {
        (0, value) => Ok(value),
        (status, _) => Err(Error::from_number(status).unwrap_or(Error::NotSupported)),
    }
}

/// Makes a call that gives the kernel no memory of ours: numbers, or addresses that the kernel is
/// expected to refuse.
pub fn refused(call: Call, arguments: [u64; 5]) -> Result<u64, Error> {
    // SAFETY: the tests that use this expect an error; should the kernel accept, the test fails
    // and whatever was damaged is this test partition's own.
    unsafe { raw(call as u64, arguments) }
}
