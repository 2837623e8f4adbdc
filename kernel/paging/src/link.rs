// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Sharing a subtree between roots.
//!
//! On x86-64 the kernel is part of each root. Its tables exist once: they are built under one root,
//! the owner, and other roots get the same entry.
//!
//! ```text
//!   owner's root        another root
//!    [256] ----.         [256] (shared)
//!               v          |
//!             the kernel's tables
//! ```

use crate::error::LinkError;
use crate::format::{Entry, Format, Table, entry};
use crate::mapping::Pa;
use crate::tables::{ENTRIES, Tables};

/// A table right below a root, and the one entry of a root at which it may stand.
///
/// Holding one means that it stood there in the owner's root. A value of its own, so that owner and
/// borrower may lie in different arenas.
#[derive(Clone, Copy, Debug)]
pub struct Subtree {
    index: usize,
    table: Table,
}

/// Finds the subtree at entry `index` of `root`.
///
/// # Errors
/// [`LinkError::NoTable`] if there is a leaf or nothing.
pub fn subtree<F: Format>(
    tables: &impl Tables,
    root: Pa,
    index: usize,
) -> Result<Subtree, LinkError> {
    if index >= ENTRIES {
        return Err(LinkError::NoTable);
    }
    match entry::<F>(tables.read(root, index), F::ROOT) {
        Entry::Table(table) => Ok(Subtree { index, table }),
        _ => Err(LinkError::NoTable),
    }
}

/// Makes `root` share a subtree, at the same addresses.
///
/// What the owner maps there later appears in `root` as well; [`map`](crate::map) through `root` refuses.
///
/// # Errors
/// [`LinkError::Occupied`] if the entry is in use.
pub fn link<F: Format>(
    tables: &mut impl Tables,
    root: Pa,
    subtree: Subtree,
) -> Result<(), LinkError> {
    if tables.read(root, subtree.index) != 0 {
        return Err(LinkError::Occupied);
    }
    tables.write(
        root,
        subtree.index,
        F::table(Table {
            shared: true,
            ..subtree.table
        }),
    );
    Ok(())
}
