// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Contents of blocks that say which block they are, and which version of it.

/// Bytes of a block.
pub(crate) const BLOCK: usize = 4096;

/// The word at a place of a version of a block: all its bits depend on all three.
fn word(block: u64, version: u32, at: usize) -> u64 {
    let seed = block << 40 ^ u64::from(version) << 12 ^ at as u64;
    let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// Fills a block.
pub(crate) fn fill(block: u64, version: u32, into: &mut [u8; BLOCK]) {
    for (at, bytes) in into.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *bytes = word(block, version, at).to_le_bytes();
    }
}

/// Whether it is that version of that block.
pub(crate) fn is(block: u64, version: u32, from: &[u8; BLOCK]) -> bool {
    let mut words = from.as_chunks::<8>().0.iter().enumerate();
    words.all(|(at, bytes)| u64::from_le_bytes(*bytes) == word(block, version, at))
}
