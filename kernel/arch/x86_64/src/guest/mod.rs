// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Guest partitions: what their vCPUs share, beside the partition's space.
//!
//! ```text
//!   foreign.S   in and out of the guest context, reflection: nothing of this
//!   foreign.rs  what its assembly goes by
//!   sides       in which context a vCPU is, what the entry needs to know of that
//!   turns       from one context to the other, the long way; TLB
//!   segments    the guest's own descriptors and segment registers
//!   page        its part of the vCPU page
//!   calls       the calls on page tables, flushes, segments
//!   audit       all invariants of the tables, in kernels for tests
//!   window      how the page-table service reaches memory
//! ```

#[cfg(feature = "audit")]
pub(crate) mod audit;
mod calls;
mod foreign;
mod make;
mod page;
mod segments;
pub(crate) mod sides;
mod turns;
mod window;

pub(crate) use calls::call;
pub(crate) use make::make;

use core::sync::atomic::{AtomicU64, AtomicUsize};
use parzelle_tables::{Tables, Tlb};
use spin::mutex::TicketMutex;
use window::Window;

/// Calls from here on are those of guest partitions.
pub(crate) const FIRST_CALL: u64 = parzelle_abi::x86_64::GuestCall::Create as u64;

/// What the vCPUs of a guest partition share.
pub(crate) struct Guest {
    /// Its page tables; each of its operations is bounded.
    tables: TicketMutex<Tables<'static, Window>>,
    /// Which cores have forgotten what; by the core's number.
    tlb: &'static Tlb<'static>,
    /// The root of a guest context that has none.
    empty: u64,
    /// Its vCPUs: the core and the context (in the private window) of each.
    vcpus: &'static [(u32, u64)],
    /// Goes up with each restart: what a context says of roots and segments may be from before.
    life: AtomicU64,
    /// How many halves of LDTs a restart that goes on has cleared.
    cleared: AtomicUsize,
}
