// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Counting tables on the host, to size arenas.
//!
//! Not a formula beside the walker that could disagree with it: the walker itself runs, on tables
//! that cost nothing but a map's nodes.

use std::collections::BTreeMap;

use crate::error::MapError;
use crate::format::Format;
use crate::level::Level;
use crate::mapping::{Mapping, Pa};
use crate::tables::{ENTRIES, NOT_A_TABLE, Tables};
use crate::walk::map;

/// Tables without end, which exist only as far as they are written.
#[derive(Clone, Debug, Default)]
pub struct Counting {
    used: usize,
    entries: BTreeMap<(Pa, usize), u64>,
}

impl Counting {
    /// Returns how many tables were given out.
    pub fn used(&self) -> usize {
        self.used
    }

    fn has(&self, table: Pa, index: usize) -> bool {
        let size = Level::Kib4.size();
        table.0.is_multiple_of(size) && table.0 / size < self.used as u64 && index < ENTRIES
    }
}

impl Tables for Counting {
    fn alloc(&mut self) -> Option<Pa> {
        let pa = Pa(self.used as u64 * Level::Kib4.size());
        self.used += 1;
        Some(pa)
    }

    fn read(&self, table: Pa, index: usize) -> u64 {
        if self.has(table, index) { self.entries.get(&(table, index)).copied().unwrap_or(0) } else { NOT_A_TABLE }
    }

    fn write(&mut self, table: Pa, index: usize, entry: u64) {
        if self.has(table, index) {
            self.entries.insert((table, index), entry);
        }
    }
}

/// Counts the tables that a root with these mappings takes, the root included; linked subtrees come on top
/// of nothing, since they are the owner's. The order of the mappings doesn't matter.
///
/// # Errors
/// What [`map`](crate::map) would say at boot, to be said before.
pub fn tables_needed<'a, F: Format>(mappings: impl IntoIterator<Item = &'a Mapping>) -> Result<usize, MapError> {
    let mut tables = Counting::default();
    let Some(root) = tables.alloc() else {
        return Err(MapError::OutOfTables);
    };
    for mapping in mappings {
        map::<F>(&mut tables, root, mapping)?;
    }
    Ok(tables.used())
}
