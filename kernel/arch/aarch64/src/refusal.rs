// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Refusals: what the kernel can't honour it names, and then does not start.

use core::fmt;
use parzelle_paging::MapError;
use parzelle_plan::PlanError;

/// Why this kernel does not boot this plan on this board: what, where, what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no plan, or it is damaged.
    Plan(PlanError),
    /// The content of the plan makes no sense.
    Core(parzelle_core::Refusal),
    /// The plan is for another board than this one.
    Board(&'static str),
    /// Something that is needed is missing, or can't be read: what would be right.
    Missing(&'static str),
    /// Something is otherwise than it has to be: what, which one where there are several, as it has to be, as it is.
    Differs(&'static str, Option<usize>, u64, u64),
    /// The arena of page tables does not suffice, or a mapping is wrong: what, where.
    Mapping { what: &'static str, address: u64, error: MapError },
}

/// Refuses what is otherwise than it has to be.
pub(crate) fn same(what: &'static str, index: Option<usize>, wanted: u64, found: u64) -> Result<(), Refusal> {
    if wanted == found { Ok(()) } else { Err(Refusal::Differs(what, index, wanted, found)) }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Refusal::Plan(error) => write!(f, "{error}"),
            Refusal::Core(error) => write!(f, "{error}"),
            Refusal::Board(name) => write!(f, "the plan is for another board, this kernel is for {name}"),
            Refusal::Missing(what) => write!(f, "what is needed is missing: {what}"),
            Refusal::Differs(what, index, wanted, found) => {
                write!(f, "{what}")?;
                if let Some(index) = index {
                    write!(f, " {index}")?;
                }
                write!(f, ": {found:#x} instead of {wanted:#x}")
            }
            Refusal::Mapping { what, address, error } => write!(f, "mapping {what} at {address:#x}: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_where_and_what_would_be_right() {
        assert_eq!(same("x", None, 1, 1), Ok(()));
        let one = same("the digest of segment", Some(3), 0x10, 0x11).unwrap_err();
        assert_eq!(one.to_string(), "the digest of segment 3: 0x11 instead of 0x10");
        let one = same("the processor's architecture", None, 183, 62).unwrap_err();
        assert_eq!(one.to_string(), "the processor's architecture: 0x3e instead of 0xb7");
    }
}
