// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Tables come and go.
//!
//! Recursion is by level, so four deep at most, whatever the guest's tables say.

use super::entry::{ENTRIES, LARGE, ROOT, frame, present};
use super::service::{Calls, Error};
use super::{Service, Turn};
use crate::abi::Errno;
use crate::memory::{Frames, Page};

impl<S: Service, F: Frames> Turn<'_, '_, S, F> {
    /// Takes the tables that a guest begins with: its root, pinned and this vCPU's.
    ///
    /// # Errors
    /// [`Errno::NoMemory`]: the pool is too small; [`Errno::Invalid`]: these are no tables.
    pub fn start(&mut self, root: u64) -> Result<(), Errno> {
        self.pin(root, ROOT)?;
        self.set_root(0, Some(root))?;
        self.commit()
    }

    /// Pins a table (`PIN_L1_TABLE` …): from now on it is one, with all below it.
    ///
    /// # Errors
    /// [`Errno::Invalid`]: it is pinned, or of another level, or something below it is;
    /// [`Errno::NoMemory`]: the pool is used up.
    pub fn pin(&mut self, frame: u64, level: u8) -> Result<(), Errno> {
        if self.mmu.book.is_pinned(frame) {
            return Err(Errno::Invalid);
        }
        self.ensure(frame, level)?;
        self.mmu.book.pin(frame, true);
        Ok(())
    }

    /// Ends that (`UNPIN_TABLE`).
    ///
    /// # Errors
    /// [`Errno::Invalid`]: it was not pinned.
    pub fn unpin(&mut self, frame: u64) -> Result<(), Errno> {
        if !self.mmu.book.is_pinned(frame) {
            return Err(Errno::Invalid);
        }
        self.mmu.book.pin(frame, false);
        self.release(frame);
        Ok(())
    }

    /// Makes sure that the kernel has a table of this level for a frame.
    #[inline]
    pub(super) fn ensure(&mut self, frame: u64, level: u8) -> Result<(), Errno> {
        if self.mmu.book.level(frame) == level { Ok(()) } else { self.create(frame, level) }
    }

    #[inline(never)]
    fn create(&mut self, frame: u64, level: u8) -> Result<(), Errno> {
        if self.mmu.book.level(frame) != 0 {
            // Left over from another use, or still in that.
            self.release(frame);
        }
        let page = self.page(frame)?;
        if self.mmu.book.level(frame) != 0 || !(1..=ROOT).contains(&level) {
            return Err(Errno::Invalid);
        }
        let lines = page.lines();
        if level > 1 {
            self.link_children(&page, level, lines)?;
        }
        let result = match self.service.create_all(frame, level, lines) {
            Err(Error::PoolEmpty) if self.sweep() => self.service.create_all(frame, level, lines),
            result => result,
        };
        if let Err(error) = result {
            self.unlink_children(&page, level, lines, ENTRIES);
            return Err(self.refusal(error));
        }
        self.mmu.book.created(frame, level);
        // What is a table now was writable a moment ago: no store may go there by what the TLB knows, past everybody.
        self.flush_everywhere();
        if level > 1 {
            self.mmu.book.remember(frame, lines);
        }
        Ok(())
    }

    /// Makes sure of all that a table refers to.
    #[inline]
    fn link_children(&mut self, page: &F::Page, level: u8, lines: u64) -> Result<(), Errno> {
        present(page, level, lines, |index, entry| {
            self.link(entry, level).inspect_err(|_| self.unlink_children(page, level, lines, index))
        })
    }

    /// Takes back what [`Self::link_children`] has done for the entries below `end`.
    #[inline]
    fn unlink_children(&mut self, page: &F::Page, level: u8, lines: u64, end: u64) {
        if level > 1 {
            let _ = present(page, level, lines, |index, entry| {
                if index >= end {
                    return Err(());
                }
                self.unlink(entry);
                Ok(())
            });
        }
    }

    /// Makes sure of the table that an entry of a table of this level refers to, and counts it.
    #[inline(always)]
    pub(super) fn link(&mut self, entry: u64, level: u8) -> Result<(), Errno> {
        if entry & LARGE != 0 {
            return Err(Errno::Invalid);
        }
        if !self.mmu.book.link(frame(entry), level - 1) {
            self.create(frame(entry), level - 1)?;
            self.mmu.book.link(frame(entry), level - 1);
        }
        Ok(())
    }

    /// An entry above level 1 that was present is gone.
    #[inline(always)]
    pub(super) fn unlink(&mut self, entry: u64) {
        if self.mmu.book.unlink(frame(entry)) {
            self.destroy(frame(entry));
        }
    }

    /// Destroys a table that nothing keeps, then what only it has kept.
    #[inline]
    pub(super) fn release(&mut self, frame: u64) -> bool {
        self.mmu.book.is_loose(frame) && self.destroy(frame)
    }

    #[inline(never)]
    fn destroy(&mut self, frame: u64) -> bool {
        let level = self.mmu.book.level(frame);
        // A root that is due to be set, or to be given up: then this is tried again.
        if self.vcpu.roots.contains(&Some(frame)) || self.vcpu.told.contains(&Some(frame)) {
            return false;
        }
        if self.service.destroy_all(frame) == Err(Error::InUse) && !self.destroy_taken(frame) {
            return false;
        }
        self.mmu.book.destroyed(frame);
        if level > 1
            && let Ok(page) = self.page(frame)
        {
            let lines = self.mmu.book.recall(frame).unwrap_or_else(|| page.lines());
            self.unlink_children(&page, level, lines, ENTRIES);
        }
        true
    }

    /// Tries again to destroy what the kernel says is in use: the entry that led here may be gone, and that stand in
    /// another vCPU's queue.
    #[cold]
    fn destroy_taken(&mut self, frame: u64) -> bool {
        self.mmu.removed.any() && {
            self.take_removed();
            self.service.destroy_all(frame) != Err(Error::InUse)
        }
    }

    /// The pool is empty: looks for tables that were left over. Whether there were any.
    fn sweep(&mut self) -> bool {
        let mut found = false;
        for level in (1..=ROOT).rev() {
            for frame in 0..self.mmu.book.frames() {
                found |= self.mmu.book.level(frame) == level && self.release(frame);
            }
        }
        found
    }

    /// What a guest is told when the kernel refuses.
    pub(super) const fn refusal(&mut self, error: Error) -> Errno {
        if matches!(error, Error::PoolEmpty) {
            self.mmu.exhausted = true;
            return Errno::NoMemory;
        }
        Errno::Invalid
    }

    /// A frame of the guest's.
    #[inline]
    pub(super) fn page(&self, frame: u64) -> Result<F::Page, Errno> {
        self.memory.page(frame).ok_or(Errno::Invalid)
    }
}
