// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Kernel calls that any safe code may make: they hand the kernel numbers only. Calls that take
//! memory or change the flow of control are wrapped where they belong (ports, upcalls …).

use parzelle_abi::{Call, Error};

/// Turns a status and a value into a result.
#[inline]
pub(crate) fn result((status, value): (u64, u64)) -> Result<u64, Error> {
    if status == 0 { Ok(value) } else { Err(decode(status)) }
}

/// The error of a status other than 0. A number that this revision does not know reads as
/// [`Error::NotSupported`].
#[cold]
fn decode(status: u64) -> Error {
    Error::from_number(status).unwrap_or(Error::NotSupported)
}

/// Makes a call that takes numbers.
///
/// Only for the calls that this module and its siblings name: see the list below.
#[inline]
pub(crate) fn plain(call: Call, arguments: [u64; 3]) -> Result<u64, Error> {
    debug_assert!(!matches!(
        call,
        Call::SetUpcall
            | Call::Resume
            | Call::SamplingWrite
            | Call::SamplingRead
            | Call::QueuingSend
            | Call::QueuingReceive
            | Call::RaiseError
            | Call::Statistics
            | Call::StartVcpu
    ));
    let [a, b, c] = arguments;
    // SAFETY: none of the calls made through here touches the caller's memory or flow of control
    // (condition 1 to 3 of `parzelle_sys::call` hold with nothing to prove).
    result(unsafe { parzelle_sys::call(call as u64, [a, b, c, 0, 0]) })
}

/// Makes a call in which the kernel reads `bytes`.
#[inline]
pub(crate) fn reading(call: Call, first: u64, bytes: &[u8]) -> Result<u64, Error> {
    let arguments = [first, bytes.as_ptr() as u64, bytes.len() as u64, 0, 0];
    // SAFETY: the slice is borrowed for the length of the call, the kernel only reads it.
    result(unsafe { parzelle_sys::call(call as u64, arguments) })
}

/// Makes a call in which the kernel writes at most `bytes`.
#[inline]
pub(crate) fn writing(call: Call, first: u64, bytes: &mut [u8], last: u64) -> Result<u64, Error> {
    let arguments = [first, bytes.as_mut_ptr() as u64, bytes.len() as u64, last, 0];
    // SAFETY: the slice is borrowed exclusively for the length of the call, and any bytes are
    // valid in it.
    result(unsafe { parzelle_sys::call(call as u64, arguments) })
}

/// The revision of the kernel's interface.
///
/// # Errors
/// None with a kernel; on a host [`Error::NotSupported`].
#[inline]
pub fn revision() -> Result<u64, Error> {
    plain(Call::Revision, [0; 3])
}
