// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Mappings that are accessed as numbers, so that faults are an access's result and nobody's undefined
//! behaviour.

use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::ptr;

use crate::{arch, check};

/// Bytes of a page, on all machines that we run on.
pub const PAGE: usize = 4096;

/// May be read.
pub const READ: i32 = libc::PROT_READ;
/// May be read and written.
pub const WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;
/// May be read and executed.
pub const EXECUTE: i32 = libc::PROT_READ | libc::PROT_EXEC;
/// May not be touched.
pub const NONE: i32 = libc::PROT_NONE;

/// A mapping of this process, unmapped when it is dropped.
#[derive(Debug)]
pub struct Map {
    address: usize,
    bytes: usize,
}

impl Map {
    /// Maps zeroed memory of this process's own.
    ///
    /// # Errors
    ///
    /// As `mmap`.
    pub fn private(bytes: usize, access: i32) -> io::Result<Self> {
        Self::new(0, bytes, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    /// Maps zeroed memory that is shared with later children.
    ///
    /// # Errors
    ///
    /// As `mmap`.
    pub fn shared(bytes: usize) -> io::Result<Self> {
        Self::new(0, bytes, WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1)
    }

    /// Maps with all that `mmap` takes but the offset, which is 0.
    ///
    /// # Errors
    ///
    /// As `mmap`.
    pub fn new(address: usize, bytes: usize, access: i32, flags: i32, file: RawFd) -> io::Result<Self> {
        // SAFETY: flags are the caller's; those that replace mappings are used on mappings of its own.
        let got = unsafe { libc::mmap(ptr::without_provenance_mut(address), bytes, access, flags, file, 0) };
        if got == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self { address: got.addr(), bytes }) }
    }

    /// Where it begins.
    #[must_use]
    pub fn address(&self) -> usize {
        self.address
    }

    /// How long it is, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is mapped, which `mmap` refuses.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The address of one of its pages.
    #[must_use]
    pub fn page(&self, number: usize) -> usize {
        self.address + number * PAGE
    }

    /// How many pages it has.
    #[must_use]
    pub fn pages(&self) -> Range<usize> {
        0..self.bytes / PAGE
    }

    /// Reads a word at an offset within.
    #[must_use]
    #[inline]
    pub fn read(&self, offset: usize) -> u64 {
        assert!(offset + 8 <= self.bytes && offset.is_multiple_of(8));
        // SAFETY: within the mapping and aligned; if it may not be read, the process gets its signal.
        unsafe { ptr::with_exposed_provenance::<u64>(self.address + offset).read_volatile() }
    }

    /// Writes a word at an offset within.
    #[inline]
    pub fn write(&self, offset: usize, value: u64) {
        assert!(offset + 8 <= self.bytes && offset.is_multiple_of(8));
        // SAFETY: as in `read`; nobody holds references into a mapping.
        unsafe { ptr::with_exposed_provenance_mut::<u64>(self.address + offset).write_volatile(value) };
    }

    /// Writes a number into each page's first word: `first`, `first + 1`, …
    pub fn fill(&self, first: u64) {
        for page in self.pages() {
            self.write(page * PAGE, first + page as u64);
        }
    }

    /// The first page whose first word isn't what [`Self::fill`] wrote, and what it is.
    #[must_use]
    pub fn stray(&self, first: u64) -> Option<(usize, u64)> {
        let mut words = self.pages().map(|page| (page, self.read(page * PAGE)));
        words.find(|&(page, word)| word != first + page as u64)
    }

    /// Copies machine code to its beginning, for execution there.
    pub fn load(&self, code: &[u8]) {
        assert!(code.len() <= self.bytes);
        // SAFETY: within the mapping, which does not overlap this program's own constants.
        unsafe { ptr::copy_nonoverlapping(code.as_ptr(), ptr::with_exposed_provenance_mut(self.address), code.len()) };
        arch::publish(self.address, code.len());
    }

    /// Changes what may be done with some of its pages.
    ///
    /// # Errors
    ///
    /// As `mprotect`.
    pub fn protect(&self, pages: Range<usize>, access: i32) -> io::Result<()> {
        assert!(pages.end * PAGE <= self.bytes);
        // SAFETY: pages of this mapping only, into which nobody holds references.
        let result =
            unsafe { libc::mprotect(ptr::without_provenance_mut(self.page(pages.start)), pages.len() * PAGE, access) };
        check(result).map(drop)
    }

    /// Tells the kernel what will become of some of its pages.
    ///
    /// # Errors
    ///
    /// As `madvise`.
    pub fn advise(&self, pages: Range<usize>, advice: i32) -> io::Result<()> {
        assert!(pages.end * PAGE <= self.bytes);
        let bytes = pages.len() * PAGE;
        // SAFETY: as in `protect`.
        check(unsafe { libc::madvise(ptr::without_provenance_mut(self.page(pages.start)), bytes, advice) }).map(drop)
    }

    /// Unmaps some of its pages; who touches them later gets a signal.
    ///
    /// # Errors
    ///
    /// As `munmap`.
    pub fn unmap(&self, pages: Range<usize>) -> io::Result<()> {
        assert!(pages.end * PAGE <= self.bytes);
        // SAFETY: as in `protect`.
        check(unsafe { libc::munmap(ptr::without_provenance_mut(self.page(pages.start)), pages.len() * PAGE) })
            .map(drop)
    }

    /// Makes it longer or shorter, elsewhere if need be.
    ///
    /// # Errors
    ///
    /// As `mremap`.
    pub fn resize(&mut self, bytes: usize) -> io::Result<()> {
        let old = ptr::without_provenance_mut(self.address);
        // SAFETY: the whole mapping, into which nobody holds references.
        let got = unsafe { libc::mremap(old, self.bytes, bytes, libc::MREMAP_MAYMOVE) };
        if got == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        (self.address, self.bytes) = (got.addr(), bytes);
        Ok(())
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: as in `unmap`. It can't fail: the range was mapped once.
        unsafe { libc::munmap(ptr::without_provenance_mut(self.address), self.bytes) };
    }
}
