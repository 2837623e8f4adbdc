// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A partition: its memory, its pool, its queue.

use crate::{Descriptor, Memory, Queue, REGIONS, Region, Setup, Tables, Tlb};
use parzelle_paging::ENTRIES;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicU64;

/// Where the pool lies.
pub(super) const POOL: u64 = 0x4000_0000;
/// Its frames.
pub(super) const COUNT: usize = 14;
/// Guest frames that may be tables.
pub(super) const NAMES: usize = 40;
/// The partition's vCPUs, each on a core of its own.
pub(super) const CORES: usize = 2;
/// The root of a host context that has none.
pub(super) const HOST: u64 = 0x7000;
/// What stands in the kernel's slots, by kind.
/// (Far out: 2³² frames above table 5.)
pub(super) const SLOTS: [[u64; 16]; 2] = [[0x1063; 16], [(POOL + (1 << 44) + 0x5000) | 0x63; 16]];

/// The guest's memory: some, a hole, and some that it may only read.
pub(super) const REGION: [Region; 2] =
    [Region::new(0, 48 << 12, 0x10_0000, true, true), Region::new(64 << 12, 8 << 12, 0x90_0000, false, false)];

/// Where a guest frame lies: the model's own arithmetic.
pub(super) fn place(frame: u64) -> Option<u64> {
    match frame {
        0..48 => Some(0x10_0000 + frame * 4096),
        64..72 => Some(0x90_0000 + (frame - 64) * 4096),
        _ => None,
    }
}

/// Physical memory.
pub(super) struct Physical {
    pub(super) pool: Vec<[u64; ENTRIES]>,
    pub(super) guest: Vec<[u64; ENTRIES]>,
}

impl Memory for Physical {
    fn entry(&self, table: u32, index: usize) -> u64 {
        self.pool[table as usize][index]
    }

    fn set_entry(&mut self, table: u32, index: usize, word: u64) {
        self.pool[table as usize][index] = word;
    }

    fn guest(&self, physical: u64) -> u64 {
        assert_eq!(physical % 8, 0);
        let frame = (0..72).find(|frame| place(*frame) == Some(physical & !0xfff));
        let frame = frame.expect("not the partition's memory");
        self.guest[frame as usize][(physical % 4096 / 8) as usize]
    }
}

/// The queue in a vCPU page: anything may stand there.
#[derive(Default)]
pub(super) struct Page {
    pub(super) count: u64,
    pub(super) elements: Vec<u64>,
}

impl Page {
    pub(super) fn of(elements: &[u64]) -> Page {
        Page { count: elements.len() as u64, elements: elements.to_vec() }
    }
}

impl Queue for Page {
    fn count(&self) -> u64 {
        self.count
    }
    fn set_count(&mut self, count: u64) {
        self.count = count;
    }
    fn element(&self, slot: usize) -> u64 {
        assert!(slot < crate::QUEUE);
        self.elements.get(slot).copied().unwrap_or(0)
    }
    fn set_element(&mut self, slot: usize, element: u64) {
        self.elements[slot] = element;
    }
}

impl Physical {
    pub(super) fn new() -> Physical {
        Physical { pool: vec![[0; ENTRIES]; COUNT], guest: vec![[0; ENTRIES]; 72] }
    }
}

/// All of it.
pub(super) struct World {
    pub(super) tables: Tables<'static, Physical>,
    pub(super) tlb: &'static Tlb<'static>,
}

/// So that tests name memory and calls alike.
impl Deref for World {
    type Target = Tables<'static, Physical>;
    fn deref(&self) -> &Self::Target {
        &self.tables
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.tables
    }
}

pub(super) fn setup(regions: &'static [Region]) -> Setup<'static> {
    let cores: Vec<AtomicU64> = (0..CORES).map(|_| AtomicU64::new(0)).collect();
    Setup {
        pool: POOL,
        descriptors: vec![Descriptor::default(); COUNT].leak(),
        names: vec![7; NAMES].leak(),
        regions,
        roots: vec![[9; 2]; CORES].leak(),
        slots: SLOTS,
        host: HOST,
        tlb: Box::leak(Box::new(Tlb::new(cores.leak()))),
    }
}

impl World {
    pub(super) fn new() -> World {
        let setup = setup(&REGION);
        let tlb = setup.tlb;
        World { tables: Tables::new(setup, Physical::new()).unwrap(), tlb }
    }

    /// Checks all invariants.
    pub(super) fn audit(&self) {
        assert!(self.tables.set.regions.len() <= REGIONS);
        assert_eq!(self.tables.audit(&mut [0; COUNT]), Ok(()));
    }

    /// Walks as the hardware does: where, writable, executable; all of it for ring 3.
    pub(super) fn walk(&self, root: u64, address: u64) -> Option<(u64, bool, bool)> {
        let (mut at, mut write, mut execute) = (root, true, true);
        for shift in [39, 30, 21, 12] {
            let table = at.checked_sub(POOL).map(|offset| (offset / 4096) as usize).filter(|table| *table < COUNT)?;
            let word = self.memory.pool[table][(address >> shift) as usize % ENTRIES];
            if word & 5 != 5 {
                return None;
            }
            assert_eq!(word & 1 << 7, 0, "no large pages");
            write &= word & 2 != 0;
            execute &= word >> 63 == 0;
            at = word & 0x000f_ffff_ffff_f000;
        }
        Some((at, write, execute))
    }
}
