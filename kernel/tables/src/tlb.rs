// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Generations: which core may still know of what was unlinked.
//!
//! ```text
//!   generation   5          6                    7
//!   ─────────────┼── free ──┼── round ───────────┼────►
//!                   stamp 5   every core: 6 seen, TLB emptied, `passed` = 6 > 5: reusable
//! ```
//! A core that is in no root of the partition has passed everything: it has loaded another root,
//! which emptied its TLB (nothing of a partition is global, there are no PCIDs). It counts again
//! before it loads one. The words are shared by all cores and need no lock; the closures make
//! sure that nobody says "passed" before it is true.

use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// What a core that is elsewhere has passed.
const ALL: u64 = u64::MAX;

/// The first generation: no call answers so.
const FIRST: u64 = 16;

/// The generations of one partition.
#[derive(Debug)]
pub struct Tlb<'a> {
    generation: AtomicU64,
    passed: &'a [AtomicU64],
}

impl<'a> Tlb<'a> {
    /// Begins with generation 16; `passed` has one word for each core that the partition's vCPUs
    /// are on, all of them elsewhere.
    #[must_use]
    pub fn new(passed: &'a [AtomicU64]) -> Tlb<'a> {
        passed.iter().for_each(|core| core.store(ALL, SeqCst));
        Tlb { generation: AtomicU64::new(FIRST), passed }
    }

    /// The current generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(SeqCst)
    }

    /// Begins a new generation, after something was unlinked: a flush is done when all have passed
    /// what this returns.
    pub fn round(&self) -> u64 {
        self.generation.fetch_add(1, SeqCst) + 1
    }

    /// Whether every core has passed `generation`. Looks at each core's word.
    #[must_use]
    pub fn all_passed(&self, generation: u64) -> bool {
        self.passed.iter().all(|core| core.load(SeqCst) >= generation)
    }

    /// One of the cores in a mask (bit n: core n) that has not passed `generation`.
    #[must_use]
    pub fn unpassed(&self, generation: u64, cores: u64) -> Option<u32> {
        let mut all = (0..64).zip(self.passed);
        all.find(|(core, passed)| cores >> core & 1 != 0 && passed.load(SeqCst) < generation).map(|(core, _)| core)
    }

    /// Whether a core has to pass: the cores to interrupt; a core's own question at each entry.
    #[must_use]
    pub fn is_behind(&self, core: usize) -> bool {
        self.passed.get(core).is_some_and(|passed| passed.load(SeqCst) < self.generation())
    }

    /// Passes: `flush` empties the TLB of this core, `core`, which is in a root of the partition.
    pub fn pass(&self, core: usize, flush: impl FnOnce()) {
        let seen = self.generation();
        flush();
        self.set(core, seen);
    }

    /// Comes: `load` loads a root of the partition, which empties the TLB.
    pub fn enter(&self, core: usize, load: impl FnOnce()) {
        self.set(core, self.generation());
        load();
    }

    /// Goes: `load` loads a root that is not the partition's.
    pub fn leave(&self, core: usize, load: impl FnOnce()) {
        load();
        self.set(core, ALL);
    }

    fn set(&self, core: usize, passed: u64) {
        if let Some(word) = self.passed.get(core) {
            word.store(passed, SeqCst);
        }
    }
}
