// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Memory of the guest, as this crate reaches it.
//!
//! ```text
//!   Arguments   by the guest's virtual address     hypercall arguments: copied once, then checked
//!   Frames      by pseudo-physical frame           shared pages: single words, atomically
//! ```
//!
//! Nothing is ever read twice and believed twice: the other side may write at any time.

#[cfg(any(test, feature = "fake"))]
pub mod fake;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::abi::shared::Layout;
use crate::abi::{Errno, PAGE};

/// Memory by the virtual addresses that the guest's kernel uses now.
///
/// # Contract
/// Only memory of the guest is read and written: not the shim's, nor the kernel's hole in the
/// address space. An address that the guest has not mapped is [`Errno::Fault`].
pub trait Arguments {
    /// Copies from the guest.
    ///
    /// # Errors
    /// [`Errno::Fault`]; then `into` is not to be looked at.
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Errno>;

    /// Copies to the guest.
    ///
    /// # Errors
    /// [`Errno::Fault`]; a part may have been written.
    fn write(&self, address: u64, from: &[u8]) -> Result<(), Errno>;

    /// Copies a structure from the guest.
    ///
    /// # Errors
    /// [`Errno::Fault`].
    fn get<T: FromBytes + IntoBytes>(&self, address: u64) -> Result<T, Errno> {
        let mut value = T::new_zeroed();
        self.read(address, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Copies a structure to the guest.
    ///
    /// # Errors
    /// [`Errno::Fault`].
    fn put<T: IntoBytes + Immutable>(&self, address: u64, value: &T) -> Result<(), Errno> {
        self.write(address, value.as_bytes())
    }

    /// Copies a word to the guest: what is done often.
    ///
    /// # Errors
    /// [`Errno::Fault`].
    #[inline]
    fn put_word(&self, address: u64, word: u64) -> Result<(), Errno> {
        self.put(address, &word)
    }
}

/// Memory by pseudo-physical frame.
pub trait Frames {
    /// A frame of it.
    type Page: Page;

    /// The frame of that number, if the guest has it.
    fn page(&self, frame: u64) -> Option<Self::Page>;
}

/// A frame of the guest's memory, used by both sides at the same time. Having one proves that the
/// memory is there and stays.
///
/// # Contract
/// Each method is one atomic access: loads acquire, stores release, and what reads *and* writes is
/// sequentially consistent (event channels rely on it: [`crate::events`]). `at` is a
/// multiple of the word's size below [`crate::abi::PAGE`]; an implementation brings any other value into that
/// range as it likes, and never panics.
pub trait Page: Clone {
    /// How the guest's architecture lays out what lies in shared pages.
    const LAYOUT: Layout = Layout::X86_64;

    /// Reads a byte.
    fn load8(&self, at: usize) -> u8;
    /// Writes a byte.
    fn store8(&self, at: usize, value: u8);
    /// Reads 32 bits.
    fn load32(&self, at: usize) -> u32;
    /// Writes 32 bits.
    fn store32(&self, at: usize, value: u32);
    /// Sets bits and gives what was there.
    fn set32(&self, at: usize, bits: u32) -> u32;
    /// Clears bits and gives what was there.
    fn clear32(&self, at: usize, bits: u32) -> u32;
    /// Writes `new` if `expected` is there.
    ///
    /// # Errors
    /// What is there instead.
    fn exchange32(&self, at: usize, expected: u32, new: u32) -> Result<(), u32>;
    /// Reads 64 bits.
    fn load64(&self, at: usize) -> u64;
    /// The lines of 8 words in which bit 0 of any is set. Each word is one access, in any order: an implementation
    /// that looks through memory faster than word by word says how.
    fn lines(&self) -> u64 {
        let has = |line: &usize| (0..8).any(|word| self.load64(line * 64 + word * 8) & 1 != 0);
        (0..64).filter(has).fold(0, |lines, line| lines | 1 << line)
    }
    /// Writes 64 bits.
    fn store64(&self, at: usize, value: u64);
    /// Sets bits and gives what was there.
    fn set64(&self, at: usize, bits: u64) -> u64;
    /// Clears bits and gives what was there.
    fn clear64(&self, at: usize, bits: u64) -> u64;

    /// Copies bytes out, in any order and in accesses of any size; past the page's end: zeros.
    #[inline]
    fn copy_out(&self, at: usize, into: &mut [u8]) {
        for (at, byte) in (at..).zip(into) {
            *byte = if at < PAGE as usize { self.load8(at) } else { 0 };
        }
    }

    /// Copies bytes in, in any order and in accesses of any size; not past the page's end.
    #[inline]
    fn copy_in(&self, at: usize, from: &[u8]) {
        (at..PAGE as usize).zip(from).for_each(|(at, byte)| self.store8(at, *byte));
    }
}
