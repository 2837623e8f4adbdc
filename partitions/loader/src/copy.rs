// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Copies and zeros, in blocks of 64 bytes where both ends are aligned to 8: that is what a reload
//! of a partition consists of.

/// A block: as many words as a loop iteration moves.
type Block = [u64; 8];
const BLOCK: u64 = size_of::<Block>() as u64;

/// Copies `bytes` from `from` to `to`.
///
/// # Safety
/// The first range is readable, the second writable, they don't overlap, and no reference to them
/// lives.
pub(crate) unsafe fn copy(to: u64, from: u64, bytes: u64) {
    let aligned = (to | from).is_multiple_of(8);
    let blocks = if aligned { bytes / BLOCK } else { 0 };
    for block in 0..blocks {
        let at = block * BLOCK;
        // SAFETY: the block lies in the readable range, aligned.
        let words = unsafe { ((from + at) as *const Block).read_volatile() };
        // SAFETY: the block lies in the writable range, aligned.
        unsafe { ((to + at) as *mut Block).write_volatile(words) };
    }
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
    let (mut at, end) = (to, to + bytes);
    while at < end {
        if at.is_multiple_of(8) && end - at >= BLOCK {
            // SAFETY: the block lies in the writable range, aligned.
            unsafe { (at as *mut Block).write_volatile([0; 8]) };
            at += BLOCK;
        } else {
            // SAFETY: the byte lies in the writable range.
            unsafe { (at as *mut u8).write_volatile(0) };
            at += 1;
        }
    }
}
