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
                return End { table, level, entry, shared };
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
pub fn map<F: Format>(tables: &mut impl Tables, root: Pa, mapping: &Mapping) -> Result<(), MapError> {
    let last = check::<F>(mapping)?;
    check_free::<F>(tables, root, mapping.va, last)?;
    let mut done = 0;
    while done < mapping.len {
        let (va, leaf) = (mapping.va + done, mapping.leaf(done));
        done += place::<F>(tables, root, va, leaf, mapping.len - done)?.size();
    }
    Ok(())
}

/// Checks what can be told without looking at the tables; returns the last virtual address.
fn check<F: Format>(mapping: &Mapping) -> Result<u64, MapError> {
    let (va, pa, len) = (mapping.va, mapping.pa.0, mapping.len);
    for (value, what) in [(va, "va"), (pa, "pa"), (len, "len")] {
        if !value.is_multiple_of(Level::Kib4.size()) {
            return Err(MapError::Unaligned(what));
        }
    }
    let beyond = len.checked_sub(1).ok_or(MapError::Unaligned("len"))?;
    let last_va = va.checked_add(beyond).ok_or(MapError::OutOfRange)?;
    let last_pa = pa.checked_add(beyond).ok_or(MapError::OutOfRange)?;
    // Both ends can't lie in different halves of a sign-extended space: no physical range is that long.
    let translated = in_reach::<F>(va) && in_reach::<F>(last_va);
    if !translated || last_pa >> F::PHYSICAL_BITS != 0 {
        return Err(MapError::OutOfRange);
    }
    let access = mapping.access;
    if access.write && access.execute && !F::WRITABLE_CODE {
        return Err(MapError::WritableAndExecutable);
    }
    let supported = |va| F::supports(va, access, mapping.memory);
    let some = access.read || access.write || access.execute;
    let executable_device = access.execute && mapping.memory == Memory::Device;
    if !some || executable_device || !supported(va) || !supported(last_va) {
        return Err(MapError::Unsupported);
    }
    Ok(last_va)
}

/// Checks that nothing is mapped from `va` to `last`, and that all tables on the way are the root's own.
fn check_free<F: Format>(tables: &impl Tables, root: Pa, mut va: u64, last: u64) -> Result<(), MapError> {
    loop {
        let end = walk::<F>(tables, root, va);
        if end.entry != Entry::Empty {
            return Err(MapError::Overlap(va));
        }
        if end.shared {
            return Err(MapError::Shared(va));
        }
        // To the next entry of that level; there is none if this one reaches to the top of all addresses.
        let in_entry = va | (end.level.size() - 1);
        if in_entry >= last {
            return Ok(());
        }
        va = in_entry + 1;
    }
}

/// Writes a leaf at `va`, as large as addresses and `len` allow, and the tables it needs; returns its level.
///
/// The range is known to be free, so the walk ends at an empty entry.
fn place<F: Format>(tables: &mut impl Tables, root: Pa, va: u64, leaf: Leaf, len: u64) -> Result<Level, MapError> {
    let end = walk::<F>(tables, root, va);
    let (mut table, mut level) = (end.table, end.level);
    loop {
        let index = level.index(va);
        let aligned = (va | leaf.pa.0).is_multiple_of(level.size());
        let fits = F::LEAVES.contains(&level) && aligned && len >= level.size();
        match level.below() {
            Some(below) if !fits => {
                let pa = tables.alloc().ok_or(MapError::OutOfTables)?;
                let (user, shared) = (F::user_may_pass(va), false);
                tables.write(table, index, F::table(Table { pa, user, shared }));
                (table, level) = (pa, below);
            }
            _ => {
                tables.write(table, index, F::leaf(leaf, level));
                return Ok(level);
            }
        }
    }
}

/// Returns what lies at `va` under `root`, if anything does.
pub fn translate<F: Format>(tables: &impl Tables, root: Pa, va: u64) -> Option<Leaf> {
    if !in_reach::<F>(va) {
        return None;
    }
    let end = walk::<F>(tables, root, va);
    let Entry::Leaf(mut leaf) = end.entry else {
        return None;
    };
    leaf.pa.0 += va % end.level.size();
    Some(leaf)
}
