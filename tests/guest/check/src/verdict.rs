// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a check finds.

use std::fmt::{Debug, Display};
use std::io;

/// Why a check did not end well.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Something is not as it should be.
    Wrong(String),
    /// This machine or kernel doesn't have what is to be checked.
    Absent(String),
}

/// The result of a check.
pub(crate) type Verdict = Result<(), Fault>;

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Wrong(format!("a call that has to succeed, found: {error}"))
    }
}

/// Compares.
pub(crate) fn equal<T: PartialEq + Debug>(what: impl Display, expected: T, found: T) -> Verdict {
    if expected == found { Ok(()) } else { wrong(what, format!("{expected:?}"), format!("{found:?}")) }
}

/// Compares with bounds, both included.
pub(crate) fn within<T: PartialOrd + Debug>(what: impl Display, least: T, most: T, found: T) -> Verdict {
    if least <= found && found <= most {
        Ok(())
    } else {
        wrong(what, format!("{least:?} to {most:?}"), format!("{found:?}"))
    }
}

/// A fault with its three parts.
pub(crate) fn wrong(what: impl Display, expected: impl Display, found: impl Display) -> Verdict {
    Err(Fault::Wrong(format!("{what}, expected {expected}, found {found}")))
}

/// Leaves a check out.
pub(crate) fn absent(why: impl Display) -> Verdict {
    Err(Fault::Absent(why.to_string()))
}
