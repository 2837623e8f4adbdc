// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Page faults: whose are they?
//!
//! ```text
//!   the guest's tables say
//!     no                        ──▶ the guest's
//!     no: read-only, a table    ──▶ a store to carry out      (its kernel only)
//!     yes, but not accessed,
//!          or not dirty         ──▶ set that, install: mended
//!     yes                       ──▶ not installed yet: mended
//! ```

use super::entry::{ACCESSED, DIRTY, LARGE, NO_EXECUTE, PRESENT, USER, WRITE, frame, index, is_reserved, load};
use super::{Service, Turn};
use crate::abi::PAGE;
use crate::memory::{Frames, Page};

/// Error code, bit 1: it was a write (Intel SDM, Vol. 3A, §4.7).
pub const WRITE_FAULT: u64 = 1 << 1;
/// Bit 4: it was an instruction fetch.
const FETCH_FAULT: u64 = 1 << 4;

/// Who runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The guest's kernel (or the shim, for it).
    Kernel,
    /// A program of the guest's.
    User,
}

/// What a page fault comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// All is well now: try again.
    Mended,
    /// A store into a table, at this physical address: carry it out by [`Turn::store`]. What it writes is up to
    /// the instruction.
    Store(u64),
    /// The guest's own.
    Guest,
}

impl<S: Service, F: Frames> Turn<'_, '_, S, F> {
    /// Looks into a page fault, of the guest's or of the shim for the guest's kernel.
    ///
    /// `error` is the processor's error code; [`WRITE_FAULT`] is the bit that counts.
    pub fn fault(&mut self, mode: Mode, address: u64, error: u64) -> Fault {
        self.look(mode, address, error).unwrap_or(Fault::Guest)
    }

    /// The physical address behind one of the guest's kernel, if that is read-only: where a table may be.
    #[inline]
    pub(super) fn in_table(&self, address: u64) -> Option<u64> {
        let mut table = self.vcpu.root(Mode::Kernel)?;
        if is_reserved(4, index(address, 4)) {
            return None;
        }
        for level in [4, 3, 2] {
            let entry = load(&self.page(table).ok()?, index(address, level));
            if entry & (PRESENT | LARGE) != PRESENT {
                return None;
            }
            table = frame(entry);
        }
        let entry = load(&self.page(table).ok()?, index(address, 1));
        (entry & (PRESENT | WRITE) == PRESENT).then_some(frame(entry) * PAGE + address % PAGE)
    }

    /// None: the guest's own.
    fn look(&mut self, mode: Mode, address: u64, error: u64) -> Option<Fault> {
        let root = self.vcpu.root(mode)?;
        let (mut table, mut all, mut never) = (root, WRITE | USER, 0);
        let mut path = [0; 4];
        for level in [4, 3, 2, 1] {
            let slot = index(address, level);
            let entry = load(&self.page(table).ok()?, slot);
            if entry & PRESENT == 0 || is_reserved(level, slot) || level > 1 && entry & LARGE != 0 {
                return None;
            }
            *path.get_mut(usize::from(level) - 1)? = table;
            (all, never, table) = (all & entry, never | entry, frame(entry));
        }
        if mode == Mode::User && all & USER == 0 || error & FETCH_FAULT != 0 && never & NO_EXECUTE != 0 {
            return None;
        }
        let write = error & WRITE_FAULT != 0;
        if write && all & WRITE == 0 {
            let is_table = mode == Mode::Kernel && self.mmu.book.level(table) != 0;
            return is_table.then_some(Fault::Store(table * PAGE + address % PAGE));
        }
        let bits = if write { ACCESSED | DIRTY } else { ACCESSED };
        self.mend(root, address, path, bits)
    }

    /// Installs what the guest's tables say, with these bits in the leaf. `path`: the frames of the tables, by level.
    fn mend(&mut self, root: u64, address: u64, path: [u64; 4], bits: u64) -> Option<Fault> {
        let slot = index(address, 1);
        let leaf = self.page(path[0]).ok()?;
        let old = leaf.set64(slot as usize * 8, bits);
        let entry = old | bits;
        // The second time at one place, a reference may be what is missing.
        let again = core::mem::replace(&mut self.vcpu.spurious, (address, root)) == (address, root);
        let done =
            if again && old == entry { Err(()) } else { self.service.write(path[0], slot, entry).map_err(|_| ()) };
        if done.is_err() {
            self.install(address, path)?;
        }
        Some(Fault::Mended)
    }

    /// Installs all that leads to an address.
    fn install(&mut self, address: u64, path: [u64; 4]) -> Option<()> {
        for level in [4, 3, 2, 1] {
            let table = *path.get(usize::from(level) - 1)?;
            let slot = index(address, level);
            let entry = load(&self.page(table).ok()?, slot);
            if level > 1 && self.mmu.book.level(frame(entry)) != level - 1 {
                // It came there behind our back.
                self.link(entry, level).ok()?;
                self.mmu.book.remember_entry(table, slot);
            }
            self.service.write(table, slot, entry).ok()?;
        }
        Some(())
    }
}
