// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A host: no kernel, so every call fails, and the counter stands still.

use parzelle_abi::Error;

/// See [`crate::call`].
///
/// # Safety
/// As for [`crate::call`]; here nothing is touched.
#[inline(always)]
pub(crate) unsafe fn call(_number: u64, _arguments: [u64; 5]) -> (u64, u64) {
    (Error::NotSupported as u64, 0)
}

/// Reads 0.
#[inline(always)]
pub fn counter() -> u64 {
    0
}
