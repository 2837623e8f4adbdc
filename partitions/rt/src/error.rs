// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What can go wrong for a program: a call that the kernel refused, or a thing that the
//! description does not give to this partition.

use core::fmt;

use parzelle_abi::info::{Name, ObjectKind};

/// Why something could not be had or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The kernel refused a call.
    Call(parzelle_abi::Error),
    /// This partition has no object of that kind and name.
    Missing(ObjectKind, Name),
    /// This partition is the client of no link of that name.
    NoLink(Name),
    /// An offset lies outside of the memory, or is not aligned.
    Bounds,
}

impl Error {
    /// An object that was looked up in vain. Names that are too long are cut.
    pub(crate) fn missing(kind: ObjectKind, name: &str) -> Self {
        Error::Missing(kind, cut(name))
    }

    /// A link that was looked up in vain.
    pub(crate) fn no_link(name: &str) -> Self {
        Error::NoLink(cut(name))
    }
}

/// As much of a name as fits.
fn cut(name: &str) -> Name {
    let mut bytes = Name([0; parzelle_abi::info::NAME]);
    let room = bytes.0.iter_mut().zip(name.bytes()).take(parzelle_abi::info::NAME - 1);
    room.for_each(|(to, from)| *to = from);
    bytes
}

impl From<parzelle_abi::Error> for Error {
    fn from(error: parzelle_abi::Error) -> Self {
        Error::Call(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Call(error) => f.write_str(error.name()),
            Error::Missing(kind, name) => {
                write!(f, "the description gives no {} `{}`", kind.name(), name.as_str())
            }
            Error::NoLink(name) => {
                write!(f, "the description gives no disk or network port `{}`", name.as_str())
            }
            Error::Bounds => f.write_str("outside of the memory"),
        }
    }
}

impl core::error::Error for Error {}
