// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Frames of the guest's memory that both sides use at the same time, word by word.
//!
//! ```text
//!   Frame::at(address) ───────▶ a frame of the guest's memory
//!   Frame::shared_info() ─────▶ nobody's page at first; then the guest's, where it wants it
//! ```
//! Event channels work before the guest has said where their bits are to be. What happens until
//! then is kept, and goes along.

use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use parzelle_xen::abi::PAGE;
use parzelle_xen::abi::event::TWO_LEVEL_PORTS;
use parzelle_xen::abi::shared::Layout;
use parzelle_xen::memory::Page;

/// Where the shared page is; 0: the guest has not said so.
static SHARED_INFO: AtomicU64 = AtomicU64::new(0);
/// What is used until then.
static NOBODYS: Nobodys = Nobodys([const { AtomicU64::new(0) }; PAGE as usize / 8]);

#[repr(align(4096))]
struct Nobodys([AtomicU64; PAGE as usize / 8]);

/// A frame; 0: the shared page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame(u64);

impl Frame {
    /// The frame at this address.
    ///
    /// # Safety
    /// A page is mapped there, writable, for as long as the partition runs, and there are no
    /// references to what lies in it.
    pub(crate) const unsafe fn at(address: u64) -> Self {
        Self(address & !(PAGE - 1))
    }

    /// The page that guest and shim share.
    #[must_use]
    pub const fn shared_info() -> Self {
        Self(0)
    }

    /// From now on the shared page is this one.
    pub fn share_info(self) {
        let events = Self::LAYOUT.pending..Self::LAYOUT.pending + TWO_LEVEL_PORTS / 8;
        events.step_by(8).for_each(|at| _ = self.set64(at, Self::shared_info().load64(at)));
        SHARED_INFO.store(self.0, Ordering::Release);
    }

    #[inline]
    fn base(self) -> u64 {
        if self.0 == 0 { shared_info() } else { self.0 }
    }

    /// Where a word of it lies.
    #[inline]
    fn address(self, at: usize) -> u64 {
        self.base() + at as u64 % PAGE
    }

    #[inline]
    fn byte(&self, at: usize) -> &AtomicU8 {
        // SAFETY: in a page that is mapped for good (`at`) or in `NOBODYS`, which consists of
        // atomics; those may be shared with whoever else writes there.
        unsafe { &*(self.address(at) as *const AtomicU8) }
    }

    #[inline]
    fn word32(&self, at: usize) -> &AtomicU32 {
        // SAFETY: as above, and aligned.
        unsafe { &*((self.address(at) & !3) as *const AtomicU32) }
    }

    #[inline]
    fn word64(&self, at: usize) -> &AtomicU64 {
        // SAFETY: as above, and aligned.
        unsafe { &*((self.address(at) & !7) as *const AtomicU64) }
    }
}

#[inline]
fn shared_info() -> u64 {
    match SHARED_INFO.load(Ordering::Acquire) {
        0 => NOBODYS.0.as_ptr() as u64,
        address => address,
    }
}

impl Page for Frame {
    const LAYOUT: Layout = Layout::ARM64;

    #[inline]
    fn load8(&self, at: usize) -> u8 {
        self.byte(at).load(Ordering::Acquire)
    }
    #[inline]
    fn store8(&self, at: usize, value: u8) {
        self.byte(at).store(value, Ordering::Release);
    }
    #[inline]
    fn load32(&self, at: usize) -> u32 {
        self.word32(at).load(Ordering::Acquire)
    }
    #[inline]
    fn store32(&self, at: usize, value: u32) {
        self.word32(at).store(value, Ordering::Release);
    }
    #[inline]
    fn set32(&self, at: usize, bits: u32) -> u32 {
        self.word32(at).fetch_or(bits, Ordering::SeqCst)
    }
    #[inline]
    fn clear32(&self, at: usize, bits: u32) -> u32 {
        self.word32(at).fetch_and(!bits, Ordering::SeqCst)
    }
    #[inline]
    fn exchange32(&self, at: usize, expected: u32, new: u32) -> Result<(), u32> {
        let word = self.word32(at);
        word.compare_exchange(expected, new, Ordering::SeqCst, Ordering::SeqCst).map(|_| ())
    }
    #[inline]
    fn load64(&self, at: usize) -> u64 {
        self.word64(at).load(Ordering::Acquire)
    }
    #[inline]
    fn store64(&self, at: usize, value: u64) {
        self.word64(at).store(value, Ordering::Release);
    }
    fn copy_out(&self, at: usize, into: &mut [u8]) {
        let at = (at as u64).min(PAGE);
        let bytes = (PAGE - at).min(into.len() as u64) as usize;
        // SAFETY: in a page that is mapped for good, up to its end, to which there are no references;
        // what others write there meanwhile is seen or not, and any bytes are valid.
        unsafe { core::ptr::copy_nonoverlapping((self.base() + at) as *const u8, into.as_mut_ptr(), bytes) };
        into.iter_mut().skip(bytes).for_each(|byte| *byte = 0);
    }
    fn copy_in(&self, at: usize, from: &[u8]) {
        let at = (at as u64).min(PAGE);
        let bytes = (PAGE - at).min(from.len() as u64) as usize;
        // SAFETY: as above.
        unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), (self.base() + at) as *mut u8, bytes) };
    }
    #[inline]
    fn set64(&self, at: usize, bits: u64) -> u64 {
        self.word64(at).fetch_or(bits, Ordering::SeqCst)
    }
    #[inline]
    fn clear64(&self, at: usize, bits: u64) -> u64 {
        self.word64(at).fetch_and(!bits, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::boxed::Box;

    #[test]
    fn what_happened_before_there_was_a_page_goes_along() {
        let page: &'static Nobodys = Box::leak(Box::new(Nobodys([const { AtomicU64::new(0) }; 512])));
        // SAFETY: leaked, and reached through the frame from here on.
        let page = unsafe { Frame::at(core::ptr::from_ref(page) as u64) };
        let pending = Frame::LAYOUT.pending;
        Frame::shared_info().set64(pending + 8, 5);
        Frame::shared_info().store8(0, 1);
        page.share_info();
        assert_eq!((page.load64(pending + 8), page.load8(0)), (5, 0), "events only");
        Frame::shared_info().set32(pending, 6);
        assert_eq!(page.load64(pending), 6);
        assert_eq!(page.exchange32(pending, 6, 7), Ok(()));
        assert_eq!(page.exchange32(pending, 6, 8), Err(7));
    }
}
