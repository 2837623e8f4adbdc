// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's machine: what all vCPUs share.

use crate::failure::Failure;

/// Starts the guest.
///
/// # Errors
/// Why that is impossible.
pub fn start() -> Result<(), Failure> {
    Err(Failure::NoGuest)
}
