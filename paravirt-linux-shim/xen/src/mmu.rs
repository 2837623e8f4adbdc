// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's page tables on Xen's interface, carried out by the kernel's page-table service.
//!
//! The guest writes tables in its own memory, by hypercalls or by stores that fault because the
//! guest maps its tables read-only. The kernel has a table of its own for each of them ([`Service`]),
//! and that is what the processor walks. This module keeps the two alike.
//!
//! ```text
//!   mmu_update, update_va_mapping ─┐
//!   stores to tables ── fault() ───┼─▶ the guest's entry ──▶ queue ──▶ the kernel's entry
//!   accessed, dirty ─── fault() ───┘      at once             │         at the next kernel call
//!   pin, unpin, roots, links ─────────────────────────────────┴──▶ create, destroy, set_roots
//! ```
//!
//! # When a change holds
//! The guest's own entry is written at once, exactly as the guest gave it. The kernel's follows later
//! (the shim has fewer kernel calls to make), but never too late:
//!
//! | what | follows |
//! |---|---|
//! | an entry for the guest's kernel (present, not US) | in [`Turn::commit`], at the end of the hypercall |
//! | all others, and clears | at the next kernel call on tables, resume to user mode, or flush |
//! | roots | in [`Turn::commit`]: one call for both |
//! | flushes | in [`Turn::commit`]: one call for all |
//!
//! Whoever needs an entry sooner faults, and [`Turn::fault`] installs it ([`Fault::Mended`]). With
//! more than one vCPU, what was taken away by one is taken away for all before another changes its
//! roots: a process that sleeps everywhere is changed without a flush, and wakes up elsewhere.
//!
//! # Several vCPUs
//! Everything here happens behind one lock. A vCPU that notes an entry reads nothing of other vCPUs' queues: the
//! kernel reads what is in memory when it gets there, so who drains last is right. What one vCPU alone may do faster
//! ([`Turn::update_leaf`], [`Turn::update_all`]'s leaves) leaves out nothing but the list of what was removed, of which a guest with
//! one has no need. A flush of oneself ([`Turn::flush_here`]) takes over what others have removed, as any flush does.
//!
//! # A table's life
//! The kernel gets to know a table when the guest pins it, makes it a root, or links it below one
//! that the kernel knows; its children first. It forgets it when the guest has unpinned it and nothing
//! links it; it first, then its children. Of most tables above level 1 the lines with links are remembered from the
//! time when it was looked through (`book`), so that it need not be again when it goes. The kernel refuses to
//! destroy what is still in use (another vCPU's root): then the next change of that root tries again.
//!
//! # Trust
//! None: whatever is wrong here or in the guest harms the guest. The kernel checks every entry.

mod book;
mod entry;
mod fault;
mod life;
mod operations;
mod roots;
mod service;
mod update;

#[cfg(test)]
mod tests;

pub use fault::{Fault, Mode, WRITE_FAULT};
pub use operations::Extended;
pub use service::{Answer, Error, Progress, QUEUE, Service};

use crate::memory::Frames;
use book::Book;
use roots::Due;
use update::Removed;

/// The page tables of a guest: what its vCPUs share, behind a lock of the shim's.
#[derive(Debug)]
pub struct Mmu<'a> {
    book: Book<'a>,
    vcpus: u32,
    removed: Removed,
    exhausted: bool,
}

/// What is a vCPU's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vcpu {
    /// Frames of its roots: kernel, user.
    roots: [Option<u64>; 2],
    /// What the kernel was told last.
    told: [Option<u64>; 2],
    due: Due,
    /// The page and root of the last fault without a reason.
    spurious: (u64, u64),
}

/// A vCPU at work on the tables: it holds the lock, and has its kernel calls at hand.
#[derive(Debug)]
pub struct Turn<'t, 'a, S, F> {
    mmu: &'t mut Mmu<'a>,
    vcpu: &'t mut Vcpu,
    service: &'t mut S,
    memory: &'t F,
}

impl<'a> Mmu<'a> {
    /// A guest without tables. `words`: one for each frame of the guest, from frame 0 on.
    #[must_use]
    pub fn new(words: &'a mut [u16], vcpus: u32) -> Self {
        Self { book: Book::new(words), vcpus, removed: Removed::default(), exhausted: false }
    }

    /// Begins a vCPU's turn.
    #[inline]
    pub fn turn<'t, S: Service, F: Frames>(
        &'t mut self,
        vcpu: &'t mut Vcpu,
        service: &'t mut S,
        memory: &'t F,
    ) -> Turn<'t, 'a, S, F> {
        Turn { mmu: self, vcpu, service, memory }
    }

    /// Whether the pool was used up since this was asked last: a health event that names the plan's
    /// setting `page-tables`.
    pub const fn take_exhausted(&mut self) -> bool {
        core::mem::replace(&mut self.exhausted, false)
    }

    /// How many tables there are, and the most there ever were.
    #[must_use]
    pub const fn tables(&self) -> (u32, u32) {
        (self.book.tables, self.book.most)
    }

    /// The level of the table that the kernel has for a frame, 0 for none; and whether it is pinned.
    #[must_use]
    pub fn table(&self, frame: u64) -> (u8, bool) {
        (self.book.level(frame), self.book.is_pinned(frame))
    }
}

impl Vcpu {
    /// The root of the guest's kernel, or of its user programs.
    #[must_use]
    pub const fn root(&self, mode: Mode) -> Option<u64> {
        match mode {
            Mode::Kernel => self.roots[0],
            Mode::User => self.roots[1],
        }
    }

    /// Whether something waits for [`Turn::commit`].
    #[must_use]
    pub const fn is_due(&self) -> bool {
        self.due.any()
    }
}
