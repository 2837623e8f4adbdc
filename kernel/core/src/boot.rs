// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From the plan to kernel objects.

use crate::kernel::{CoreData, Shared};
use crate::machine::Arena;
use parzelle_plan::Plan;

/// Why a plan is refused: what, where, and what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The table of the plan.
    pub table: &'static str,
    /// The record in it.
    pub index: u32,
    /// What is wrong, and what would be right.
    pub what: &'static str,
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}: {}", self.table, self.index, self.what)
    }
}

/// What boot makes of a plan.
pub struct Booted {
    /// What the cores share.
    pub shared: &'static Shared,
    /// What each core owns, by number.
    pub cores: &'static mut [CoreData],
}

/// Proves that the content of a plan makes sense: every index leads somewhere, every range lies
/// where it must.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(_plan: &Plan<'_>) -> Result<(), Refusal> {
    Ok(())
}

/// Checks the plan and makes the kernel objects.
///
/// # Errors
/// What [`check`] finds, or an arena that is too small.
pub fn boot(_plan: Plan<'static>, _arena: &mut impl Arena) -> Result<Booted, Refusal> {
    Err(Refusal {
        table: "plan",
        index: 0,
        what: "the kernel core is not there yet",
    })
}
