// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The audit of all invariants of guests' page tables (feature `audit`): at the end of the module, and whenever a
//! guest's shim asks for it by a call that no shipped kernel has.
//!
//! ```text
//!   parzelle: tables: audit 214 tables, 0 findings
//!   parzelle: tables: audit 214 tables, 1 finding: Finding { invariant: 3, table: 17, index: 2 }
//! ```

use super::Guest;
use crate::console::print;
use crate::instructions as cpu;
use crate::machine::{Module, Processor};
use parzelle_tables::Finding;
use spin::mutex::TicketMutex;

/// The call: `()`, the value is 0 if all holds, else the number of the invariant that doesn't.
pub(super) const AUDIT: u64 = 127;

/// A word for each frame of the largest pool.
static COUNTS: TicketMutex<[u32; 1 << 16]> = TicketMutex::new([0; 1 << 16]);

impl Guest {
    /// Audits the tables, in a root of the partition; also counts those that are in use.
    fn audit(&self) -> (usize, Result<(), Finding>) {
        let mut counts = COUNTS.lock();
        let tables = self.tables.lock();
        let frames = tables.frames();
        let none = Finding { invariant: 0, table: 0, index: frames };
        // The lock is kept: nobody changes what is counted.
        (tables.used(), counts.get_mut(..frames).map_or(Err(none), |counts| tables.audit(counts)))
    }
}

impl Processor {
    /// [`AUDIT`] for the current vCPU. It is long, which only a kernel for tests may be.
    pub(super) fn audit_guest(guest: &Guest) -> u64 {
        let (used, result) = guest.audit();
        say(used, result);
        result.err().map_or(0, |finding| u64::from(finding.invariant) | 1 << 32)
    }
}

/// Audits the pools of all partitions: the module ends, and no root is needed any more.
pub(crate) fn all(module: &Module) {
    for (guest, root) in module.spaces.iter().filter_map(|space| Some((space.guest?, space.root))) {
        // SAFETY: a partition's root maps the kernel as any does.
        unsafe { cpu::write_cr3(root) };
        let (used, result) = guest.audit();
        print(format_args!("\nparzelle: tables: audit {used} tables, {}\n", Verdict(result)));
    }
}

/// A finding is said at once: the shim may be in no state to.
fn say(used: usize, result: Result<(), Finding>) {
    if result.is_err() {
        print(format_args!("\nparzelle: tables: audit {used} tables, {}\n", Verdict(result)));
    }
}

/// How a result is printed.
struct Verdict(Result<(), Finding>);

impl core::fmt::Display for Verdict {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Ok(()) => f.write_str("0 findings"),
            Err(finding) => write!(f, "1 finding: {finding:?}"),
        }
    }
}
