// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Why this machine doesn't run this plan: what, where, and what would be right.

use core::fmt;
use parzelle_abi::names::Name;
use parzelle_paging::MapError;
use parzelle_plan::PlanError;

/// Why.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// A sentence says it all: its subject, and the rest.
    Sentence(&'static str, &'static str),
    /// Something that the plan names: what, an address or number, and what is wrong with that.
    Named(Name, u64, &'static str),
    /// The machine has something else, or elsewhere, than the plan says: what, in the plan, found.
    Differs(&'static str, u64, u64),
    /// A device is not the one that the plan expects: its name, and a register's address, as expected and found.
    Device(Name, u64, u32, u32),
    /// The plan is for another board than this one.
    Board(Name, &'static str),
    /// There is no plan, or not a whole one.
    Plan(PlanError),
    /// The kernel core's objection.
    Core(parzelle_core::Refusal),
    /// A mapping was refused.
    Map(Name, MapError),
}

impl Refusal {
    /// The arena is too small.
    pub(crate) const fn room(what: &'static str) -> Refusal {
        Refusal::Sentence("the arena has no room for", what)
    }

    /// The kernel's windows don't reach there.
    pub(crate) const fn reach(name: Name, address: u64) -> Refusal {
        Refusal::Named(name, address, "is beyond what the kernel reaches")
    }
}

/// Refuses what does not hold.
pub(crate) fn ensure(holds: bool, otherwise: Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// Refuses what is otherwise than the plan says.
pub(crate) fn same(what: &'static str, plan: u64, found: u64) -> Result<(), Refusal> {
    ensure(plan == found, Refusal::Differs(what, plan, found))
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Sentence(subject, rest) => write!(f, "{subject} {rest}"),
            Refusal::Named(name, at, wrong) => write!(f, "{} at {at:#x} {wrong}", name.as_str()),
            Refusal::Differs(what, plan, found) => write!(f, "{what}: the plan says {plan:#x}, here is {found:#x}"),
            Refusal::Device(name, at, plan, found) => {
                write!(f, "{}: at {at:#x} the plan expects {plan:#x}, here is {found:#x}", name.as_str())
            }
            Refusal::Board(plan, board) => {
                write!(f, "the plan is for board {}, this kernel is for {board}", plan.as_str())
            }
            Refusal::Plan(error) => write!(f, "{error}"),
            Refusal::Core(refusal) => write!(f, "{refusal}"),
            Refusal::Map(name, error) => write!(f, "mapping {}: {error}", name.as_str()),
        }
    }
}

impl From<PlanError> for Refusal {
    fn from(error: PlanError) -> Self {
        Refusal::Plan(error)
    }
}
