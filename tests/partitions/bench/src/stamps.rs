// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The memory that all roles share: when something happened, as words.

use parzelle_rt::{Error, Partition, Volatile};

/// When `urgent` ran after a wake-up.
pub(crate) const WOKEN: u64 = 0;
/// When `fresh` ran after a restart: the counter, then when its loader began (ns).
pub(crate) const RESTARTED: u64 = 8;
/// See above.
pub(crate) const LOADER: u64 = 16;
/// Processor time (ns) of `fresh` before its restart, for it to subtract.
pub(crate) const USED: u64 = 24;
/// When `first` and `second` were last seen running.
pub(crate) const SEEN: [u64; 2] = [64, 128];
/// The least distance between the one's last sign and the other's first.
pub(crate) const SWITCH: u64 = 192;

/// The memory.
pub(crate) fn memory(me: &Partition) -> Result<Volatile, Error> {
    Ok(me.shared("stamps")?.memory())
}
