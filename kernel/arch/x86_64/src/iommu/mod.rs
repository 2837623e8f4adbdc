// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The IOMMU: what devices reach, and which interrupts they may raise (Intel, "Virtualization
//! Technology for Directed I/O", called VT-d here; legacy mode).
//!
//! ```text
//!   a device's access ─► root table ─► context table ─► second-level table of its owner ─► memory
//!                        [bus]         [device, function]   dma-memory, its links' areas
//!   a device's message ─► remapping table ─► vector and core of the line, if it is this device's
//! ```
//! All tables are made at boot. Whatever is in no table is blocked: firmware's leftovers, and
//! functions that nobody owns, too. Afterwards only one bit of a context entry ever changes: a stream
//! is shut while its owner restarts.
//!
//! The hardware need not look into caches when it reads its tables. So the kernel maps those that it
//! changes uncached, and boot writes back what the rest left in caches.

mod dmar;
mod setup;
mod tables;

pub(crate) use dmar::Unit;
pub(crate) use setup::set_up;
pub(crate) use tables::build;

use crate::boot::{Refusal, ensure};
use crate::instructions as cpu;
use crate::layout::{PAGE, common};
use crate::mmio::Registers;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use spin::mutex::TicketMutex;

// Registers (§10.4).
const CAPABILITIES: u16 = 0x08;
const EXTENDED: u16 = 0x10;
const COMMAND: u16 = 0x18;
const STATUS: u16 = 0x1c;
const ROOT: u16 = 0x20;
const QUEUE_TAIL: u16 = 0x88;
const QUEUE: u16 = 0x90;
const REMAPPING: u16 = 0xb8;

/// Capabilities: tables of three levels.
const THREE_LEVELS: u32 = 1 << 9;
/// Extended capabilities: a queue of invalidations, and remapping of interrupts.
const QUEUED_AND_REMAPPING: u32 = 1 << 1 | 1 << 3;

/// Global command: translate. This and the next two stay set; their state is read at the same bit.
const TRANSLATE: u32 = 1 << 31;
/// Global command: take the root table.
const SET_ROOT: u32 = 1 << 30;
/// Global command: take invalidations from the queue.
const QUEUED: u32 = 1 << 26;
/// Global command: remap interrupts. Messages in the old format are blocked: bit 23 stays clear.
const REMAP: u32 = 1 << 25;
/// Global command: take the remapping table.
const SET_REMAPPING: u32 = 1 << 24;

/// Size of the remapping table: 2 to the power of this + 1.
const REMAPPING_SIZE: u64 = 7;
/// The bit that makes an entry of any table valid.
const PRESENT: u64 = 1;
/// How often boot asks the hardware whether it is done.
const PATIENCE: u32 = 1_000_000;
/// The same with interrupts masked: longer than it takes, and bounded.
const SHORT_PATIENCE: u32 = 150;
const SILENT: Refusal = Refusal::Sentence("the IOMMU", "does not do what it is told");

/// Where the pages lie that the IOMMU reads (physical).
#[derive(Clone, Copy, Debug)]
struct Pages {
    root: u64,
    queue: u64,
    remapping: u64,
    /// Not read: the hardware writes its first word when it has come so far.
    done: u64,
}

/// The IOMMU.
pub(crate) struct Iommu {
    registers: Registers,
    pages: Pages,
    /// Bytes from the queue's begin to where the next round goes.
    tail: TicketMutex<u32>,
}

/// A word of a table.
fn word(address: u64) -> &'static AtomicU64 {
    // SAFETY: callers name words of pages that `build` took and mapped, in all roots and for good.
    unsafe { &*(common(address) as *const AtomicU64) }
}

impl Iommu {
    /// Switches it on. The kernel's root is loaded.
    ///
    /// # Errors
    /// It lacks something, or does not answer.
    pub(crate) fn begin(&self) -> Result<(), Refusal> {
        let there = self.registers.read(CAPABILITIES) & THREE_LEVELS != 0
            && self.registers.read(EXTENDED) & QUEUED_AND_REMAPPING == QUEUED_AND_REMAPPING;
        ensure(there, Refusal::Sentence("the IOMMU", "lacks tables of three levels, its queue or remapping"))?;
        ensure(self.registers.read(STATUS) == 0, Refusal::Sentence("the IOMMU", "is in use: firmware has not let go"))?;
        // SAFETY: writes back what is cached, tables among it.
        unsafe { cpu::write_back_and_invalidate() };
        self.set(ROOT, self.pages.root);
        self.command(0, SET_ROOT)?;
        self.set(QUEUE, self.pages.queue);
        self.command(0, QUEUED)?;
        self.set(REMAPPING, self.pages.remapping | REMAPPING_SIZE);
        self.command(QUEUED, SET_REMAPPING)?;
        ensure(self.forget(), SILENT)?;
        self.command(QUEUED, REMAP)?;
        self.command(QUEUED | REMAP, TRANSLATE)
    }

    /// Writes a register of 64 bits.
    fn set(&self, register: u16, value: u64) {
        self.registers.write(register, value as u32);
        self.registers.write(register + 4, (value >> 32) as u32);
    }

    /// Gives a command while what is `on` stays on, and waits for it (§10.4.4).
    fn command(&self, on: u32, command: u32) -> Result<(), Refusal> {
        self.registers.write(COMMAND, on | command);
        let done = (0..PATIENCE).any(|_| self.registers.read(STATUS) & command != 0);
        ensure(done, SILENT)
    }

    /// Makes the hardware forget what it has cached of all tables, and waits for accesses under way.
    /// `false` if it doesn't answer in time.
    fn forget(&self) -> bool {
        let mut tail = self.tail.lock();
        let done = word(self.pages.done);
        done.store(0, Relaxed);
        *tail = (*tail + tables::ROUND) % PAGE as u32;
        self.registers.write(QUEUE_TAIL, *tail);
        (0..SHORT_PATIENCE).any(|_| done.load(Relaxed) != 0)
    }

    /// Opens or shuts what a device has: its requester id.
    pub(crate) fn set_stream(&self, id: u64, open: bool) {
        let bus = word(self.pages.root + (id >> 8) % 256 * 16).load(Relaxed);
        if bus & PRESENT == 0 {
            return;
        }
        let entry = word((bus & !(PAGE - 1)) + id % 256 * 16);
        entry.store(entry.load(Relaxed) & !PRESENT | u64::from(open), Relaxed);
        self.forget();
    }
}
