// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A partition: its memory, its pool, its queue.

use crate::{Descriptor, Error, Memory, Progress, Queue, REGIONS, Region, Roots, Setup, Tables, Tlb};
use parzelle_paging::ENTRIES;
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

/// All of it.
pub(super) struct World {
    pub(super) memory: Physical,
    pub(super) tables: Tables<'static>,
    pub(super) tlb: Tlb<'static>,
}

pub(super) fn setup(regions: &'static [Region]) -> Setup<'static> {
    Setup {
        pool: POOL,
        descriptors: vec![Descriptor::default(); COUNT].leak(),
        names: vec![7; NAMES].leak(),
        regions,
        roots: vec![Roots::default(); CORES].leak(),
        slots: SLOTS,
        host: HOST,
    }
}

impl World {
    pub(super) fn new() -> World {
        let mut memory = Physical { pool: vec![[0; ENTRIES]; COUNT], guest: vec![[0; ENTRIES]; 72] };
        let tables = Tables::new(setup(&REGION), &mut memory).unwrap();
        let cores: Vec<AtomicU64> = (0..CORES).map(|_| AtomicU64::new(0)).collect();
        World { memory, tables, tlb: Tlb::new(cores.leak()) }
    }

    pub(super) fn create(&mut self, frame: u64, level: u64, lines: u64) -> Result<Progress, Error> {
        self.tables.create(&self.tlb, &mut self.memory, frame, level, lines)
    }

    pub(super) fn fill(&mut self, frame: u64, lines: u64) -> Result<Progress, Error> {
        self.tables.fill(&mut self.memory, frame, lines)
    }

    pub(super) fn write(&mut self, frame: u64, index: u64, entry: u64) -> Result<(), Error> {
        self.tables.write(&mut self.memory, frame, index, entry)
    }

    pub(super) fn destroy(&mut self, frame: u64) -> Result<Progress, Error> {
        self.tables.destroy(&self.tlb, &mut self.memory, frame)
    }

    pub(super) fn set_roots(&mut self, vcpu: usize, roots: [Option<u64>; 2]) -> Result<[u64; 2], Error> {
        self.tables.set_roots(&mut self.memory, vcpu, roots[0], roots[1])
    }

    pub(super) fn drain(&mut self, page: &mut Page) -> Result<Progress, Error> {
        self.tables.drain(&mut self.memory, page)
    }

    pub(super) fn reset(&mut self) -> Progress {
        self.tables.reset(&self.tlb, &mut self.memory)
    }

    /// Checks all invariants.
    pub(super) fn audit(&self) {
        assert!(self.tables.set.regions.len() <= REGIONS);
        assert_eq!(self.tables.audit(&self.tlb, &self.memory, &mut [0; COUNT]), Ok(()));
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
