// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest with two vCPUs on the real service.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;

use parzelle_tables::{Descriptor, Memory, Queue, Region, Setup, Tables, Tlb};

use super::super::service::QUEUE;
use super::super::{Answer, Error, Mmu, Mode, Progress, Service, Turn, Vcpu};
use crate::memory::fake::{FakeArguments, FakeFrames};
use crate::memory::{Frames, Page};

/// The guest's frames.
pub(super) const FRAMES: u64 = 24;
/// Where they lie.
const MEMORY: u64 = 0x10_0000;
/// Where the pool lies.
const POOL: u64 = 0x4000_0000;
/// vCPUs.
pub(super) const VCPUS: usize = 2;
/// What the kernel has in its slots.
const SLOTS: [[u64; 16]; 2] = [[0x1063; 16], [0x2063; 16]];
/// The root of who has none.
const HOST: u64 = 0x7000;

type Pool = Rc<RefCell<Vec<[u64; 512]>>>;

/// Physical memory.
struct Physical {
    pool: Pool,
    guest: FakeFrames,
}

impl Memory for Physical {
    fn entry(&self, table: u32, index: usize) -> u64 {
        self.pool.borrow()[table as usize][index]
    }
    fn set_entry(&mut self, table: u32, index: usize, word: u64) {
        self.pool.borrow_mut()[table as usize][index] = word;
    }
    fn guest(&self, physical: u64) -> u64 {
        let at = physical - MEMORY;
        self.guest.page(at / 4096).unwrap().load64((at % 4096) as usize)
    }
}

/// The kernel.
struct Kernel {
    tables: Tables<'static, Physical>,
    tlb: &'static Tlb<'static>,
    count: usize,
}

/// A queue in a vCPU page.
#[derive(Clone, Default)]
struct Elements(Vec<u64>);

impl Queue for Elements {
    fn count(&self) -> u64 {
        self.0.len() as u64
    }
    fn set_count(&mut self, count: u64) {
        self.0.truncate(count as usize);
    }
    fn element(&self, slot: usize) -> u64 {
        self.0[slot]
    }
    fn set_element(&mut self, slot: usize, element: u64) {
        self.0[slot] = element;
    }
}

/// A vCPU's kernel calls.
pub(super) struct Calls {
    kernel: Rc<RefCell<Kernel>>,
    vcpu: usize,
    queue: Elements,
    /// How many calls there were, and flushes.
    pub(super) calls: usize,
    pub(super) flushes: Vec<u64>,
}

fn answer(result: Result<parzelle_tables::Progress, parzelle_tables::Error>) -> Answer {
    match result {
        Ok(parzelle_tables::Progress::Done) => Ok(Progress::Done),
        Ok(parzelle_tables::Progress::Again) => Ok(Progress::Again),
        Ok(parzelle_tables::Progress::Flush(_)) => Ok(Progress::Wait),
        Err(error) => Err(refused(error)),
    }
}

fn refused(error: parzelle_tables::Error) -> Error {
    let number = error as u64;
    assert_eq!(Error::from_number(number) as u64, number);
    Error::from_number(number)
}

impl Calls {
    /// Nothing is queued.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.0.is_empty()
    }

    /// The tables of which something is queued.
    pub(super) fn tables(&self) -> impl Iterator<Item = u64> {
        self.queue.0.iter().map(|element| element << 12 >> 24)
    }

    /// As the kernel does: what is queued comes before any other call.
    fn call<T>(&mut self, call: impl FnOnce(&mut Kernel) -> T) -> T {
        self.calls += 1;
        let kernel = &mut *self.kernel.borrow_mut();
        while kernel.tables.drain(&mut self.queue) != Ok(parzelle_tables::Progress::Done) {}
        call(kernel)
    }
}

impl Service for Calls {
    fn create(&mut self, frame: u64, level: u8, lines: u64) -> Answer {
        answer(self.call(|kernel| kernel.tables.create(frame, level.into(), lines)))
    }
    fn fill(&mut self, frame: u64, lines: u64) -> Answer {
        answer(self.call(|kernel| kernel.tables.fill(frame, lines)))
    }
    fn write(&mut self, frame: u64, index: u64, entry: u64) -> Result<(), Error> {
        self.call(|kernel| kernel.tables.write(frame, index, entry)).map_err(refused)
    }
    fn destroy(&mut self, frame: u64) -> Answer {
        answer(self.call(|kernel| kernel.tables.destroy(frame)))
    }
    fn drain(&mut self) -> Answer {
        self.calls += 1;
        answer(self.kernel.borrow_mut().tables.drain(&mut self.queue))
    }
    fn set_roots(&mut self, kernel: Option<u64>, user: Option<u64>) -> Result<(), Error> {
        let vcpu = self.vcpu;
        self.call(|with| with.tables.set_roots(vcpu, [kernel, user])).map(|_| ()).map_err(refused)
    }
    fn flush(&mut self, vcpus: u64, generation: u64) -> u64 {
        if generation != 0 {
            return self.call(|kernel| u64::from(!kernel.tlb.all_passed(generation)));
        }
        self.flushes.push(vcpus);
        self.call(|kernel| kernel.tlb.round())
    }
    fn here(&self) -> u64 {
        1 << self.vcpu
    }
    fn relax(&mut self) {
        let kernel = self.kernel.borrow();
        (0..VCPUS).for_each(|core| kernel.tlb.pass(core, || {}));
    }
    fn queued(&self) -> u64 {
        self.queue.0.len() as u64
    }
    fn set_queued(&mut self, count: u64) {
        assert!(count <= QUEUE);
        self.queue.0.resize(count as usize, 0);
    }
    fn element(&self, slot: u64) -> u64 {
        self.queue.0[slot as usize]
    }
    fn set_element(&mut self, slot: u64, element: u64) {
        assert!(slot < QUEUE);
        if slot as usize == self.queue.0.len() {
            // Written before it is counted.
            return self.queue.0.push(element);
        }
        self.queue.0[slot as usize] = element;
    }
    fn set_machine_to_physical(&mut self, machine: u64, _physical: u64) -> bool {
        machine < FRAMES
    }
}

/// All of it.
pub(super) struct World {
    pub(super) mmu: Mmu<'static>,
    pub(super) vcpus: [Vcpu; VCPUS],
    pub(super) calls: [Calls; VCPUS],
    pub(super) memory: FakeFrames,
    pub(super) arguments: FakeArguments,
    pool: Pool,
}

impl World {
    /// `count`: frames of the pool.
    pub(super) fn new(count: usize) -> World {
        let memory = FakeFrames::new(FRAMES as usize);
        let pool: Pool = Rc::new(RefCell::new(vec![[0; 512]; count]));
        let cores: Vec<AtomicU64> = (0..VCPUS).map(|_| AtomicU64::new(0)).collect();
        let tlb: &'static Tlb<'static> = Box::leak(Box::new(Tlb::new(cores.leak())));
        (0..VCPUS).for_each(|core| tlb.enter(core, || {}));
        let setup = Setup {
            pool: POOL,
            descriptors: vec![Descriptor::default(); count].leak(),
            names: vec![0; FRAMES as usize].leak(),
            regions: vec![Region::new(0, FRAMES << 12, MEMORY, true, true)].leak(),
            roots: vec![[0; 2]; VCPUS].leak(),
            slots: SLOTS,
            host: HOST,
            tlb,
        };
        let physical = Physical { pool: pool.clone(), guest: memory.clone() };
        let kernel = Rc::new(RefCell::new(Kernel { tables: Tables::new(setup, physical).unwrap(), tlb, count }));
        let calls = [0, 1].map(|vcpu| Calls {
            kernel: kernel.clone(),
            vcpu,
            queue: Elements::default(),
            calls: 0,
            flushes: Vec::new(),
        });
        World {
            mmu: Mmu::new(vec![0xffff; FRAMES as usize].leak(), VCPUS as u32),
            vcpus: [Vcpu::default(); VCPUS],
            calls,
            memory,
            arguments: FakeArguments::default(),
            pool,
        }
    }

    pub(super) fn turn(&mut self, vcpu: usize) -> Turn<'_, 'static, Calls, FakeFrames> {
        self.mmu.turn(&mut self.vcpus[vcpu], &mut self.calls[vcpu], &self.memory)
    }

    /// The guest's entry.
    pub(super) fn entry(&self, frame: u64, index: u64) -> u64 {
        self.memory.page(frame).unwrap().load64(index as usize * 8)
    }

    /// The guest writes, and nobody hears of it.
    pub(super) fn set_entry(&self, frame: u64, index: u64, entry: u64) {
        self.memory.page(frame).unwrap().store64(index as usize * 8, entry);
    }

    /// The service's invariants.
    pub(super) fn audit(&self) {
        let kernel = self.calls[0].kernel.borrow();
        assert_eq!(kernel.tables.audit(&mut vec![0; kernel.count]), Ok(()));
    }

    /// What the processor has for a root; none: the kernel's own.
    fn cr3(&self, vcpu: usize, mode: Mode) -> Option<usize> {
        let roots = self.calls[0].kernel.borrow().tables.roots(vcpu);
        let root = roots[usize::from(mode == Mode::User)];
        root.checked_sub(POOL).map(|offset| (offset / 4096) as usize)
    }

    /// Walks as the processor does: frame, writable.
    pub(super) fn hardware(&self, vcpu: usize, mode: Mode, address: u64) -> Option<(u64, bool)> {
        let (mut table, mut write) = (self.cr3(vcpu, mode)?, true);
        let pool = self.pool.borrow();
        for level in (1..=4).rev() {
            let index = (address >> (3 + 9 * level)) as usize % 512;
            if level == 4 && (256..272).contains(&index) {
                return None;
            }
            let word = pool[table][index];
            if word & 1 == 0 {
                return None;
            }
            write &= word & 2 != 0;
            let at = word & 0x000f_ffff_ffff_f000;
            if level == 1 {
                return Some(((at - MEMORY) / 4096, write));
            }
            table = ((at - POOL) / 4096) as usize;
        }
        None
    }

    /// Compares what the processor has with what the guest's tables say: calls `leaf` with both for each leaf.
    pub(super) fn compare(&self, vcpu: usize, mode: Mode, leaf: &mut impl FnMut(u64, u64)) {
        let root = self.vcpus[vcpu].root(mode);
        match (root, self.cr3(vcpu, mode)) {
            (Some(root), Some(table)) => self.compare_table(table, root, 4, leaf),
            (root, _) => assert_eq!(root, None, "a root without a table"),
        }
    }

    fn compare_table(&self, table: usize, frame: u64, level: u8, leaf: &mut impl FnMut(u64, u64)) {
        for index in 0..512 {
            let word = self.pool.borrow()[table][index as usize];
            let entry = self.entry(frame, index);
            if level == 4 && (256..272).contains(&index) {
                continue;
            }
            if level == 1 {
                leaf(entry, due(entry, word));
            } else if word != 0 && entry & 1 != 0 {
                let child = ((word & 0x000f_ffff_ffff_f000) - POOL) / 4096;
                self.compare_table(child as usize, entry << 12 >> 24, level - 1, leaf);
            } else {
                leaf(entry & 1, word);
            }
        }
    }
}

/// What is wrong with a leaf of the kernel's: bits in which it differs from what is due.
fn due(entry: u64, word: u64) -> u64 {
    let frame = entry << 12 >> 24;
    if entry & 0x21 != 0x21 || frame >= FRAMES {
        return word;
    }
    let write = if entry & 0x42 == 0x42 { 0x42 } else { 0 };
    ((MEMORY + frame * 4096) | 0x25 | write | entry & 1 << 63) ^ word
}
