// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's memory, frame by frame, as the tool has mapped it for the shim.
//!
//! ```text
//!   0 ─────────────── told to the guest ───────────────┬─ kept ────────────────────────── frames
//!   kernel, initrd, tables, everything that it does    │ m2p │ shared_info │ grants │ book
//!   ───────────────────────────────────────────────────┴───────────────────────────────────────
//! ```
//! The frames at the end belong to the guest like all others (its tables may map them), but it is
//! not told of them: what is known of each frame (`mmu`), the machine-to-physical table, which it
//! reads where the shim sees it, the page that it shares with the shim, and its table of grants.

use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use parzelle_xen::abi::PAGE;
use parzelle_xen::memory::{Frames, Page};

use crate::instructions::lines;

/// The book was handed out.
static BOOK_TAKEN: AtomicBool = AtomicBool::new(false);

/// All of the guest's memory.
#[derive(Clone, Copy, Debug)]
pub struct GuestRam {
    address: u64,
    frames: u64,
    /// How many the guest is told of, the shared page, and where the book begins, which is nobody's
    /// page.
    told: u64,
    shared: u64,
    book: u64,
}

impl GuestRam {
    /// The memory that is mapped at `address`, of which `grants` frames are a table of grants.
    ///
    /// # Safety
    /// It is mapped there, writable, for as long as the partition runs, and nobody makes references
    /// to what lies in it.
    #[must_use]
    pub const unsafe fn new(address: u64, frames: u64, grants: u64) -> Self {
        let book_frames = (frames * 2).div_ceil(PAGE);
        let book = frames.saturating_sub(book_frames);
        let shared = book.saturating_sub(1 + grants);
        let told = shared.saturating_sub((frames * 8).div_ceil(PAGE));
        Self { address, frames, told, shared, book }
    }

    /// Where the memory begins for the shim.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// How many frames there are.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// How many of them the guest is told of.
    #[must_use]
    pub const fn told(&self) -> u64 {
        self.told
    }

    /// A word for each frame, for `mmu`. All zero; empty the second time.
    #[must_use]
    pub fn take_book(&self) -> &'static mut [u16] {
        if BOOK_TAKEN.swap(true, Ordering::Relaxed) || self.told() == 0 {
            return &mut [];
        }
        let at = self.book * PAGE;
        self.zero(at, (self.frames - self.book) * PAGE);
        // SAFETY: in the guest's memory, mapped for good, aligned; `page` and all that go through
        // it keep away from these frames, and there is no second slice.
        unsafe { core::slice::from_raw_parts_mut((self.address + at) as *mut u16, self.frames as usize) }
    }

    /// The frame of the page that both share.
    #[must_use]
    pub const fn shared_info(&self) -> u64 {
        self.shared
    }

    /// The first frame of the table of grants; the others follow.
    #[must_use]
    pub const fn grants(&self) -> u64 {
        self.shared + 1
    }

    /// The pseudo-physical address of the machine-to-physical table.
    #[must_use]
    pub const fn machine_to_physical(&self) -> u64 {
        self.told * PAGE
    }

    /// Where the guest's kernel finds that.
    #[must_use]
    pub const fn machine_to_physical_address(&self) -> u64 {
        self.address + self.machine_to_physical()
    }

    /// Copies bytes there, as far as it goes.
    pub fn write(&self, at: u64, bytes: &[u8]) {
        let room = (self.frames * PAGE).saturating_sub(at).min(bytes.len() as u64);
        // SAFETY: source and destination are `room` bytes long, the latter in the guest's memory,
        // of which there are no references.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), (self.address + at) as *mut u8, room as usize) };
    }

    /// Zeroes that many bytes, as far as it goes.
    pub fn zero(&self, at: u64, bytes: u64) {
        let room = (self.frames * PAGE).saturating_sub(at).min(bytes);
        // SAFETY: as above.
        unsafe { core::ptr::write_bytes((self.address + at) as *mut u8, 0, room as usize) };
    }
}

impl parzelle_xen::start::Ram for GuestRam {
    fn write(&mut self, at: u64, bytes: &[u8]) {
        GuestRam::write(self, at, bytes);
    }

    fn zero(&mut self, at: u64, bytes: u64) {
        GuestRam::zero(self, at, bytes);
    }
}

impl Frames for GuestRam {
    type Page = Frame;

    #[inline]
    fn page(&self, frame: u64) -> Option<Frame> {
        (frame < self.book).then(|| Frame(self.address + frame * PAGE))
    }
}

/// A frame of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame(u64);

impl Frame {
    /// Where a word of it lies.
    #[must_use]
    pub const fn address(&self, at: usize) -> u64 {
        self.0 + at as u64 % PAGE
    }

    #[inline]
    fn byte(&self, at: usize) -> &AtomicU8 {
        // SAFETY: in a frame of the guest's memory, mapped for good (`GuestRam::new`); atomics may
        // be shared with whoever else writes there.
        unsafe { &*((self.0 + at as u64 % PAGE) as *const AtomicU8) }
    }

    #[inline]
    fn word32(&self, at: usize) -> &AtomicU32 {
        // SAFETY: as above, and aligned.
        unsafe { &*(((self.0 + (at as u64 % PAGE)) & !3) as *const AtomicU32) }
    }

    #[inline]
    fn word64(&self, at: usize) -> &AtomicU64 {
        // SAFETY: as above, and aligned.
        unsafe { &*(((self.0 + (at as u64 % PAGE)) & !7) as *const AtomicU64) }
    }
}

impl Page for Frame {
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
    fn lines(&self) -> u64 {
        // SAFETY: a frame of the guest's memory, mapped for good. What others write there meanwhile is seen or not.
        unsafe { lines(self.0) }
    }
    #[inline]
    fn store64(&self, at: usize, value: u64) {
        self.word64(at).store(value, Ordering::Release);
    }
    #[inline]
    fn set64(&self, at: usize, bits: u64) -> u64 {
        self.word64(at).fetch_or(bits, Ordering::SeqCst)
    }
    #[inline]
    fn clear64(&self, at: usize, bits: u64) -> u64 {
        self.word64(at).fetch_and(!bits, Ordering::SeqCst)
    }
    fn copy_out(&self, at: usize, into: &mut [u8]) {
        let at = (at as u64).min(PAGE);
        let bytes = (PAGE - at).min(into.len() as u64) as usize;
        // SAFETY: in a frame of the guest's memory, up to its end, of which there are no references;
        // what others write there meanwhile is seen or not, and any bytes are valid.
        unsafe { core::ptr::copy_nonoverlapping((self.0 + at) as *const u8, into.as_mut_ptr(), bytes) };
        into.iter_mut().skip(bytes).for_each(|byte| *byte = 0);
    }
    fn copy_in(&self, at: usize, from: &[u8]) {
        let at = (at as u64).min(PAGE);
        let bytes = (PAGE - at).min(from.len() as u64) as usize;
        // SAFETY: as above.
        unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), (self.0 + at) as *mut u8, bytes) };
    }
}
