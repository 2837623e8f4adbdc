// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's address space, as the vCPU that runs the shim sees it: its memory by address, and
//! its page tables.
//!
//! ```text
//!   hypercall arguments ──► Memory ──fault──► mend ──┐
//!   mmu_update … ──────────────────────────────► Turn ──► Calls (kernel)
//!   #PF of the guest ────────────────────────────┘ behind one lock for all vCPUs
//! ```
//! Nobody touches the guest's memory by address while holding the lock: mending takes it.

use core::cell::RefCell;

use parzelle_xen::abi::Errno;
use parzelle_xen::memory::{Arguments, Frames};
use parzelle_xen::mmu::{self, Fault, Mode, Turn};
use zerocopy::IntoBytes;

use crate::calls::Calls;
use crate::guarded;
use crate::machine::Shared;
use crate::memory;
use crate::ram::{Frame, GuestRam};

/// The vector of a page fault.
const PAGE_FAULT: u64 = 14;

/// One vCPU's view.
pub struct Space {
    shared: &'static Shared,
    tables: RefCell<(mmu::Vcpu, Calls)>,
}

impl Space {
    /// The view of a vCPU without roots.
    #[must_use]
    pub fn new(shared: &'static Shared, calls: Calls) -> Self {
        Self { shared, tables: RefCell::new((mmu::Vcpu::default(), calls)) }
    }

    /// The guest's memory by frame.
    #[must_use]
    pub fn ram(&self) -> &GuestRam {
        &self.shared.ram
    }

    /// Works on the page tables. `None`: this vCPU does so already.
    pub fn turn<T>(&self, work: impl FnOnce(&mut Turn<'_, 'static, Calls, GuestRam>) -> T) -> Option<T> {
        let mut tables = self.tables.try_borrow_mut().ok()?;
        let (vcpu, calls) = &mut *tables;
        let mut mmu = self.shared.mmu.lock();
        let result = work(&mut mmu.turn(vcpu, calls, &self.shared.ram));
        if mmu.take_exhausted() {
            drop(mmu);
            crate::machine::tables_are_exhausted(self.shared);
        }
        Some(result)
    }

    /// Two words of the guest's memory, if they are there just so.
    #[inline]
    #[must_use]
    pub fn pair(&self, address: u64) -> Option<[u64; 2]> {
        memory::is_the_guests(address, 16).ok()?;
        // SAFETY: the guest's memory.
        unsafe { guarded::pair(address) }.ok()
    }

    /// Copies from the guest's memory, if that is there just so.
    #[inline]
    #[must_use]
    pub fn copy(&self, address: u64, into: &mut [u8]) -> bool {
        // SAFETY: the guest's memory.
        memory::is_the_guests(address, into.len() as u64).is_ok() && unsafe { guarded::read(address, into) }.is_ok()
    }

    /// Writes a word of the guest's memory.
    ///
    /// # Errors
    /// [`Errno::Fault`].
    #[inline]
    pub fn put_word(&self, address: u64, word: u64) -> Result<(), Errno> {
        memory::is_the_guests(address, 8)?;
        // SAFETY: the guest's memory.
        match unsafe { guarded::store(address, word) } {
            Ok(()) => Ok(()),
            Err(_) => self.put(address, &word),
        }
    }

    /// Writes words of the guest's memory.
    ///
    /// # Errors
    /// [`Errno::Fault`]; some may have been written.
    pub fn put_words(&self, address: u64, words: &[u64]) -> Result<(), Errno> {
        self.memory().write(address, words.as_bytes())
    }

    /// Where the shim finds the root of the guest's user programs, or an empty one.
    #[must_use]
    pub fn user_root(&self) -> u64 {
        /// Entries for the lower half, where user programs are.
        static EMPTY: [u64; 256] = [0; 256];
        let root = self.tables.try_borrow().ok().and_then(|tables| tables.0.root(Mode::User));
        let page = root.and_then(|root| self.shared.ram.page(root));
        page.map_or_else(|| EMPTY.as_ptr() as u64, |page| page.address(0))
    }

    /// As [`Self::turn`], for what uses no tables up.
    #[inline(always)]
    pub fn quick<T>(&self, work: impl FnOnce(&mut Turn<'_, 'static, Calls, GuestRam>) -> T) -> Option<T> {
        let mut tables = self.tables.try_borrow_mut().ok()?;
        let (vcpu, calls) = &mut *tables;
        Some(work(&mut self.shared.mmu.lock().turn(vcpu, calls, &self.shared.ram)))
    }

    /// As [`Self::quick`], if no other vCPU is at work on the tables.
    #[inline(always)]
    pub fn try_quick<T>(&self, work: impl FnOnce(&mut Turn<'_, 'static, Calls, GuestRam>) -> Option<T>) -> Option<T> {
        let mut tables = self.tables.try_borrow_mut().ok()?;
        let (vcpu, calls) = &mut *tables;
        work(&mut self.shared.mmu.try_lock()?.turn(vcpu, calls, &self.shared.ram))
    }

    /// Whether something waits for the end of the hypercall.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.tables.try_borrow().is_ok_and(|tables| tables.0.is_due())
    }

    /// The frame of the root of the guest's kernel.
    #[must_use]
    pub fn root(&self) -> Option<u64> {
        self.tables.try_borrow().ok().and_then(|tables| tables.0.root(Mode::Kernel))
    }

    /// What is to be done about a page fault.
    pub fn fault(&self, address: u64, error: u64, mode: Mode) -> Fault {
        self.turn(|turn| turn.fault(mode, address, error)).unwrap_or(Fault::Guest)
    }

    /// Tries to make the access that has just failed possible.
    fn mend(&self) -> bool {
        let fault = self.tables.try_borrow().ok().map(|tables| tables.1.fault());
        match fault {
            Some((PAGE_FAULT, error, address)) => self.fault(address, error, Mode::Kernel) == Fault::Mended,
            _ => false,
        }
    }

    fn memory(&self) -> memory::Memory<impl Fn() -> bool> {
        let table = self.shared.ram.machine_to_physical_address();
        memory::Memory::new(|| self.mend(), (table, table + self.shared.ram.frames() * 8))
    }
}

impl Arguments for Space {
    #[inline]
    fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Errno> {
        if self.copy(address, into) { Ok(()) } else { self.memory().read(address, into) }
    }

    fn write(&self, address: u64, from: &[u8]) -> Result<(), Errno> {
        self.memory().write(address, from)
    }

    #[inline]
    fn put_word(&self, address: u64, word: u64) -> Result<(), Errno> {
        memory::is_the_guests(address, 8)?;
        // SAFETY: the guest's memory.
        match unsafe { guarded::store(address, word) } {
            Ok(()) => Ok(()),
            Err(_) => self.put(address, &word),
        }
    }
}

impl Frames for Space {
    type Page = Frame;

    fn page(&self, frame: u64) -> Option<Frame> {
        self.shared.ram.page(frame)
    }
}
