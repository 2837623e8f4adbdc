// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Memory that keeps its history, and objects at once.
//!
//! It assumes that the hardware walks the tables while they are being built. So each write is
//! checked when it is made, and what can be seen after it, not only the tables at the end:
//!
//! - frames are garbage until they are given out, and lie scattered;
//! - nothing but tables that were given out is read or written;
//! - no entry is ever written twice;
//! - a table is linked while it is all zero, at one place only, unless the link is marked as shared;
//! - after each write an independent reader sees, at each address tried, what was asked for or nothing.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use super::mmu::Mmu;
use crate::format::{Entry, address, entry};
use crate::level::Level;
use crate::mapping::{Leaf, Mapping, Pa};
use crate::tables::{ENTRIES, Tables};

/// Something that happened to the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Alloc(Pa),
    Write { table: Pa, index: usize, old: u64, new: u64 },
}

struct Kept {
    words: Vec<u64>,
    /// At which level and from which offset of the root's reach on, once it can be reached.
    place: Option<(Level, u64)>,
}

pub(super) struct History<F> {
    kept: BTreeMap<Pa, Kept>,
    roots: Vec<Pa>,
    limit: usize,
    /// All that may ever be seen.
    expected: Vec<Mapping>,
    pub(super) steps: Vec<Step>,
    format: PhantomData<F>,
}

impl<F: Mmu> History<F> {
    /// Makes memory with `limit` tables, in which nothing but `expected` may become visible.
    pub(super) fn new(limit: usize, expected: &[Mapping]) -> History<F> {
        History {
            kept: BTreeMap::new(),
            roots: Vec::new(),
            limit,
            expected: expected.to_vec(),
            steps: Vec::new(),
            format: PhantomData,
        }
    }

    /// Makes a root.
    pub(super) fn root(&mut self) -> Option<Pa> {
        let root = self.alloc()?;
        self.kept.get_mut(&root)?.place = Some((F::ROOT, 0));
        self.roots.push(root);
        Some(root)
    }

    pub(super) fn used(&self) -> usize {
        self.kept.len()
    }

    /// Returns what the hardware finds at `va`.
    pub(super) fn look(&self, root: Pa, va: u64) -> Option<Leaf> {
        let read = |pa: u64| self.read(Pa(pa & !0xfff), (pa as usize & 0xfff) / 8);
        F::look(&read, root.0, va)
    }

    /// Returns what was asked for at `va`.
    pub(super) fn asked(&self, va: u64) -> Option<Leaf> {
        let of = |m: &&Mapping| va >= m.va && va - m.va < m.len;
        self.expected.iter().find(of).map(|m| m.leaf(va - m.va))
    }

    /// Addresses at which something could be wrong: around the ends of each mapping, and in the middle.
    pub(super) fn probes(&self) -> Vec<u64> {
        let around = |m: &Mapping| {
            let end = m.va.wrapping_add(m.len);
            [m.va.wrapping_sub(1), m.va, m.va + m.len / 2, end.wrapping_sub(1), end]
        };
        self.expected.iter().flat_map(around).collect()
    }

    fn check_leaf(&self, leaf: Leaf, base: u64, len: u64) {
        assert_eq!(self.asked(base), Some(leaf), "at {base:#x}");
        let last = base + (len - 1);
        let last_leaf = Leaf { pa: Pa(leaf.pa.0 + (len - 1)), ..leaf };
        assert_eq!(self.asked(last), Some(last_leaf), "at {last:#x}");
        let forbidden = leaf.access.write && leaf.access.execute && !F::WRITABLE_CODE;
        assert!(!forbidden, "writable and executable at {base:#x}");
    }

    fn check_table(&mut self, child: crate::Table, level: Level, base: u64) {
        assert!(self.kept.contains_key(&child.pa), "linked a frame that is no table");
        if let Some(kept) = self.kept.get_mut(&child.pa) {
            if child.shared {
                assert_eq!(kept.place, Some((level, base)), "shared at another place");
            } else {
                assert_eq!(kept.place, None, "linked twice");
                assert!(kept.words.iter().all(|&word| word == 0), "linked after it was filled");
                kept.place = Some((level, base));
            }
        }
    }

    fn check_visible(&self) {
        for &root in &self.roots {
            for va in self.probes() {
                let seen = self.look(root, va);
                assert!(seen.is_none() || seen == self.asked(va), "{seen:?} at {va:#x}");
            }
        }
    }
}

impl<F: Mmu> Tables for History<F> {
    fn alloc(&mut self) -> Option<Pa> {
        let number = self.kept.len();
        if number >= self.limit {
            return None;
        }
        // Downwards and with gaps: nobody may count on neighbours.
        let pa = Pa(0x7fff_f000 - number as u64 * 0x3000);
        self.kept.insert(pa, Kept { words: vec![0; ENTRIES], place: None });
        self.steps.push(Step::Alloc(pa));
        Some(pa)
    }

    fn read(&self, table: Pa, index: usize) -> u64 {
        let word = self.kept.get(&table).and_then(|kept| kept.words.get(index));
        assert!(word.is_some(), "read of {table:?}[{index}], which is no table");
        word.copied().unwrap_or(0)
    }

    fn write(&mut self, table: Pa, index: usize, new: u64) {
        let old = self.read(table, index);
        assert_eq!(old, 0, "{table:?}[{index}] is written twice");
        self.steps.push(Step::Write { table, index, old, new });
        let place = self.kept.get(&table).and_then(|kept| kept.place);
        assert!(place.is_some(), "written before it was linked");
        let (level, start) = place.unwrap_or((F::ROOT, 0));
        let offset = start + index as u64 * level.size();
        match (entry::<F>(new, level), level.below()) {
            (Entry::Leaf(leaf), _) => self.check_leaf(leaf, address::<F>(offset), level.size()),
            (Entry::Table(child), Some(below)) => self.check_table(child, below, offset),
            (other, _) => assert_eq!(other, Entry::Empty, "{new:#x}"),
        }
        if let Some(kept) = self.kept.get_mut(&table) {
            kept.words[index] = new;
        }
        self.check_visible();
    }
}
