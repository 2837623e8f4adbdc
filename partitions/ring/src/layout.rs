// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where things lie in an area. Both areas of a link look the same.
//!
//! ```text
//!      0  magic, protocol                    written at a start
//!     64  state      generation │ seen       who I am, whom I am connected to
//!    128  produced        tag │ index        entries of my ring
//!    136  consumed        tag │ index        entries of yours
//!    192  wake-produced   tag │ index        ring when your `produced` passes this
//!    200  wake-consumed   tag │ index        ring when your `consumed` passes this
//!    256  parameters of the protocol, 32 words
//!   1024  ring, entries of a fixed size      (network and console: none)
//!   4096  data
//! ```
//! All are words of 64 bits; `a │ b` means a in bits 32–63 and b in bits 0–31. Words that change
//! often lie in cache lines of 64 bytes by who loads them.

/// Where [`MAGIC_WORD`] stands.
pub const MAGIC: u64 = 0;
/// Where the protocol stands: its number, bits 8–15 the side (1 serves), 32–63 [`VERSION`].
pub const PROTOCOL: u64 = 8;
/// Generation and the peer's generation that this side is connected to.
pub const STATE: u64 = 64;
/// How many entries this side has produced.
pub const PRODUCED: u64 = 128;
/// How many of the peer's it has consumed.
pub const CONSUMED: u64 = 136;
/// When this side wants to hear of what the peer has produced.
pub const WAKE_PRODUCED: u64 = 192;
/// When this side wants to hear of what the peer has consumed.
pub const WAKE_CONSUMED: u64 = 200;
/// Parameters of the protocol.
pub const PARAMETERS: u64 = 256;
/// The entries of the ring.
pub const RING: u64 = 1024;
/// The data.
pub const DATA: u64 = 4096;

/// "PZRING01".
pub const MAGIC_WORD: u64 = u64::from_le_bytes(*b"PZRING01");
/// The version of layout and protocols: both sides need the same.
pub const VERSION: u32 = 1;

/// Two halves as a word.
pub(crate) const fn join(high: u32, low: u32) -> u64 {
    (high as u64) << 32 | low as u64
}

/// The halves of a word, high and low.
pub(crate) const fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}
