// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The walker: mapping and translating.
//!
//! Mapping goes over its range twice. The first pass only reads, and refuses the whole if any
//! address is taken; the second writes, from low to high, the largest leaf that fits at each step.
//! Both start each step at the root again: a few reads more, and no state to carry between steps.

use crate::error::MapError;
use crate::format::{Entry, Format, Table, entry, in_reach};
use crate::level::Level;
use crate::mapping::{Leaf, Mapping, Memory, Pa};
use crate::tables::Tables;

/// Where a walk ended: at the first entry that refers to no table.
pub(crate) struct End {
    pub(crate) table: Pa,
    pub(crate) level: Level,
    pub(crate) entry: Entry,
    /// The way led through a link.
    pub(crate) shared: bool,
}

/// Walks from `root` towards `va`, as the hardware does.
pub(crate) fn walk<F: Format>(tables: &impl Tables, root: Pa, va: u64) -> End {
    let mut table = root;
    let mut level = F::ROOT;
    let mut shared = false;
    loop {
        let entry = entry::<F>(tables.read(table, level.index(va)), level);
        match (entry, level.below()) {
            (Entry::Table(next), Some(below)) => {
                table = next.pa;
                level = below;
                shared |= next.shared;
            }
            _ => {
                return End {
                    table,
                    level,
                    entry,
                    shared,
                };
            }
        }
    }
}

/// Maps a range under `root`, with leaves as large as addresses and length allow.
///
/// On any error but [`OutOfTables`](MapError::OutOfTables) the tables are as they were. After that
/// one, a beginning of the range is mapped, and the root must not be loaded: the arena was sized
/// wrongly, and boot ends.
///
/// # Errors
/// See [`MapError`].
pub fn map<F: Format>(
    tables: &mut impl Tables,
    root: Pa,
    mapping: &Mapping,
) -> Result<(), MapError> {
    check::<F>(mapping)?;
    let last = mapping.va + (mapping.len - 1);
    check_free::<F>(tables, root, mapping.va, last)?;
    let mut done = 0;
    while done < mapping.len {
        let rest = Mapping {
            va: mapping.va + done,
            pa: Pa(mapping.pa.0 + done),
            len: mapping.len - done,
            ..*mapping
        };
        done += place::<F>(tables, root, &rest)?.size();
    }
    Ok(())
}

/// Checks what can be told without looking at the tables.
fn check<F: Format>(mapping: &Mapping) -> Result<(), MapError> {
    let Mapping {
        va,
        pa,
        len,
        access,
        memory,
    } = *mapping;
    let aligned = |value: u64| value.is_multiple_of(Level::Kib4.size());
    if !aligned(va) {
        return Err(MapError::Unaligned { what: "va" });
    }
    if !aligned(pa.0) {
        return Err(MapError::Unaligned { what: "pa" });
    }
    if !aligned(len) || len == 0 {
        return Err(MapError::Unaligned { what: "len" });
    }
    let last_va = va.checked_add(len - 1).ok_or(MapError::OutOfRange)?;
    let last_pa = pa.0.checked_add(len - 1).ok_or(MapError::OutOfRange)?;
    // Both ends can't lie in different halves of a sign-extended space: no physical range is that long.
    let translated = in_reach::<F>(va) && in_reach::<F>(last_va);
    if !translated || last_pa >> F::PHYSICAL_BITS != 0 {
        return Err(MapError::OutOfRange);
    }
    if access.write && access.execute && !F::WRITABLE_CODE {
        return Err(MapError::WritableAndExecutable);
    }
    let nothing = !(access.read || access.write || access.execute);
    let ends = [va, last_va];
    if nothing
        || (access.execute && memory == Memory::Device)
        || !ends.iter().all(|&va| F::supports(va, access, memory))
    {
        return Err(MapError::Unsupported);
    }
    Ok(())
}

/// Checks that nothing is mapped from `va` to `last`, and that all tables on the way are the root's own.
fn check_free<F: Format>(
    tables: &impl Tables,
    root: Pa,
    mut va: u64,
    last: u64,
) -> Result<(), MapError> {
    loop {
        let end = walk::<F>(tables, root, va);
        if end.entry != Entry::Empty {
            return Err(MapError::Overlap { va });
        }
        if end.shared {
            return Err(MapError::Shared { va });
        }
        // To the next entry of that level; there is none if this one reaches to the top of all addresses.
        let in_entry = va | (end.level.size() - 1);
        if in_entry >= last {
            return Ok(());
        }
        va = in_entry + 1;
    }
}

/// Writes the first leaf of a mapping whose range is known to be free, and the tables it needs; returns its level.
fn place<F: Format>(
    tables: &mut impl Tables,
    root: Pa,
    mapping: &Mapping,
) -> Result<Level, MapError> {
    let Mapping {
        va,
        pa,
        len,
        access,
        memory,
    } = *mapping;
    let End {
        mut table,
        mut level,
        ..
    } = walk::<F>(tables, root, va);
    loop {
        let index = level.index(va);
        let fits = F::leaf_allowed(level)
            && (va | pa.0).is_multiple_of(level.size())
            && len >= level.size();
        match level.below() {
            Some(below) if !fits => {
                let next = tables.alloc().ok_or(MapError::OutOfTables)?;
                let user = F::user_may_pass(va);
                tables.write(
                    table,
                    index,
                    F::table(Table {
                        pa: next,
                        user,
                        shared: false,
                    }),
                );
                table = next;
                level = below;
            }
            _ => {
                tables.write(table, index, F::leaf(Leaf { pa, access, memory }, level));
                return Ok(level);
            }
        }
    }
}

/// Returns what lies at `va` under `root`, if anything does.
#[must_use]
pub fn translate<F: Format>(tables: &impl Tables, root: Pa, va: u64) -> Option<Leaf> {
    if !in_reach::<F>(va) {
        return None;
    }
    let end = walk::<F>(tables, root, va);
    match end.entry {
        Entry::Leaf(leaf) => Some(Leaf {
            pa: Pa(leaf.pa.0 + va % end.level.size()),
            ..leaf
        }),
        _ => None,
    }
}
