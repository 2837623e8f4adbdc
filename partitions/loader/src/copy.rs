// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Copies and zeros: in blocks, by the architecture's quickest loop, where everything is aligned to 8,
//! and the rest byte by byte. That is what a reload of a partition consists of.

use crate::arch::{copy_blocks, zero_blocks};

/// Bytes of a block.
pub(crate) const BLOCK: u64 = 64;

/// Copies `bytes` from `from` to `to`.
///
/// # Safety
/// The first range is readable, the second writable, they don't overlap, and no reference to them
/// lives.
pub(crate) unsafe fn copy(to: u64, from: u64, bytes: u64) {
    let aligned = (to | from).is_multiple_of(8);
    let blocks = if aligned { bytes / BLOCK } else { 0 };
    // SAFETY: the blocks lie within the ranges that the caller vouches for, aligned.
    unsafe { copy_blocks(to, from, blocks) };
    for at in blocks * BLOCK..bytes {
        // SAFETY: the byte lies in the readable range.
        let byte = unsafe { ((from + at) as *const u8).read_volatile() };
        // SAFETY: the byte lies in the writable range.
        unsafe { ((to + at) as *mut u8).write_volatile(byte) };
    }
}

/// Zeroes `bytes` from `to` on.
///
/// # Safety
/// The range is writable and no reference to it lives.
pub(crate) unsafe fn zero(to: u64, bytes: u64) {
    let lead = bytes.min(to.wrapping_neg() % 8);
    let blocks = (bytes - lead) / BLOCK;
    // SAFETY: the blocks lie within the range that the caller vouches for, aligned.
    unsafe { zero_blocks(to + lead, blocks) };
    for at in (0..lead).chain(lead + blocks * BLOCK..bytes) {
        // SAFETY: the byte lies in the writable range.
        unsafe { ((to + at) as *mut u8).write_volatile(0) };
    }
}
