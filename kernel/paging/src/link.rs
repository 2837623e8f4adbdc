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

use crate::error::MapError;
use crate::format::{Entry, Format, Table, address, entry};
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

/// Finds the subtree at entry `index` of `root`; `None` if there is a leaf or nothing.
pub fn subtree<F: Format>(tables: &impl Tables, root: Pa, index: usize) -> Option<Subtree> {
    if index >= ENTRIES {
        return None;
    }
    match entry::<F>(tables.read(root, index), F::ROOT) {
        Entry::Table(table) => Some(Subtree { index, table }),
        _ => None,
    }
}

/// Makes `root` share a subtree, at the same addresses.
///
/// What the owner maps there later appears in `root` as well; [`map`](crate::map) through `root` refuses.
///
/// # Errors
/// [`MapError::Overlap`] if the entry is in use.
pub fn link<F: Format>(tables: &mut impl Tables, root: Pa, Subtree { index, table }: Subtree) -> Result<(), MapError> {
    if tables.read(root, index) != 0 {
        let va = address::<F>(index as u64 * F::ROOT.size());
        return Err(MapError::Overlap(va));
    }
    let shared = true;
    tables.write(root, index, F::table(Table { shared, ..table }));
    Ok(())
}
