// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Looking at tables: all leaves of a root, and an audit over them.
//!
//! A leaf's access is an upper bound. Tables above it can only take away, and of those written here
//! only the kernel's on x86-64 do, where no leaf says more anyway.

use core::error::Error;
use core::fmt;
use core::marker::PhantomData;

use crate::format::{Entry, Format, address};
use crate::mapping::{Leaf, Mapping, Pa};
use crate::tables::Tables;
use crate::walk::walk;

/// The leaves of a root, from low to high addresses; see [`leaves`].
#[derive(Debug)]
pub struct Leaves<'a, F, T> {
    tables: &'a T,
    root: Pa,
    /// How far into the root's reach; `None` at its end.
    next: Option<u64>,
    format: PhantomData<F>,
}

/// Iterates over all that `root` makes reachable, one mapping per leaf, links included.
///
/// An entry that the format would not have written comes as an error, and the iteration goes on behind it.
pub fn leaves<F: Format, T: Tables>(tables: &T, root: Pa) -> Leaves<'_, F, T> {
    Leaves { tables, root, next: Some(0), format: PhantomData }
}

impl<F: Format, T: Tables> Iterator for Leaves<'_, F, T> {
    type Item = Result<Mapping, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(offset) = self.next {
            let va = address::<F>(offset);
            let end = walk::<F>(self.tables, self.root, va);
            let len = end.level.size();
            self.next = Some(offset + len).filter(|&next| next < F::ROOT.table_size());
            match end.entry {
                Entry::Empty => {}
                Entry::Leaf(Leaf { pa, access, memory }) => {
                    return Some(Ok(Mapping { va, pa, len, access, memory }));
                }
                Entry::Table(_) | Entry::Malformed => return Some(Err(Malformed { va })),
            }
        }
        None
    }
}

/// Checks all that `root` makes reachable: every entry well formed, nothing writable and executable
/// unless the format says so, and each leaf `allowed`.
///
/// # Errors
/// The first [`Finding`].
pub fn audit<F: Format>(
    tables: &impl Tables,
    root: Pa,
    mut allowed: impl FnMut(&Mapping) -> bool,
) -> Result<(), Finding> {
    for leaf in leaves::<F, _>(tables, root) {
        let leaf = leaf.map_err(Finding::Malformed)?;
        if leaf.access.write && leaf.access.execute && !F::WRITABLE_CODE {
            return Err(Finding::WritableAndExecutable(leaf));
        }
        if !allowed(&leaf) {
            return Err(Finding::NotAllowed(leaf));
        }
    }
    Ok(())
}

/// An entry that the format would not have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The first address for which the entry is responsible.
    pub va: u64,
}

/// What an audit objects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// An entry that the format would not have written.
    Malformed(Malformed),
    /// A leaf that is writable and executable.
    WritableAndExecutable(Mapping),
    /// A leaf that the auditor doesn't allow.
    NotAllowed(Mapping),
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (va, what) = match self {
            Finding::Malformed(entry) => (entry.va, "is mapped by a malformed entry"),
            Finding::WritableAndExecutable(leaf) => (leaf.va, "is writable and executable"),
            Finding::NotAllowed(leaf) => (leaf.va, "should not be mapped so"),
        };
        write!(out, "{va:#x} {what}")
    }
}

impl Error for Finding {}
