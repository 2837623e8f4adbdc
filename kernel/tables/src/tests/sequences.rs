// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Random operations on the service and on the model: same answers, same translations. And processors
//! that remember every table they could reach since they last flushed.

use super::model::Model;
use super::world::{CORES, POOL, Page, World};
use crate::{Element, Progress};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Indices at which something may be: both ends, neighbours, the kernel's slots and theirs.
const INDEX: [usize; 10] = [0, 1, 7, 8, 9, 255, 256, 271, 272, 511];
/// Frames of tables; a frame is mostly of level `frame % 4 + 1`.
const FRAMES: u64 = 16;

/// An operation, and where its arguments come from.
type Op = (u8, u32, u32);

fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec((0..32u8, any::<u32>(), any::<u32>()), 1..800)
}

/// A core: whether it is in a root of the partition, and the tables it may know.
#[derive(Default)]
struct Core {
    inside: bool,
    known: BTreeSet<u32>,
}

struct Pair {
    world: World,
    model: Model,
    cores: [Core; CORES],
}

/// An entry for a table of this level: mostly one that fits.
fn entry(level: u64, a: u32) -> u64 {
    let (flags, to) = (a >> 16, u64::from(a >> 4) % 256);
    let bits = match flags % 16 {
        0 => 0,
        1 => 0x26,
        2 => 0x25,
        3 => 0x47,
        4 => 0x27,
        5 => 0xe7,
        6 => 1 << 63 | 0x67,
        7 => 0x7f0_0000_0000_0f7f & !0x80,
        _ => 0x67,
    };
    let fits = if level > 1 { to % (FRAMES / 4) * 4 + level - 2 } else { to % 72 };
    let frame = if flags >> 4 & 7 == 0 { to % 76 } else { fits };
    frame << 12 | bits
}

impl Pair {
    fn new() -> Pair {
        Pair { world: World::new(), model: Model::default(), cores: Default::default() }
    }

    fn level(&self, frame: u64) -> u64 {
        self.model.tables.get(&frame).map_or(frame % 4 + 1, |table| table.level)
    }

    /// Whatever a core's walker can find from its roots, it may have found.
    fn look(&mut self) {
        let number = |at: u64| at.checked_sub(POOL).map(|offset| (offset / 4096) as u32);
        for (vcpu, core) in self.cores.iter_mut().enumerate().filter(|(_, core)| core.inside) {
            let mut level: BTreeSet<u32> = self.world.tables.roots(vcpu).into_iter().filter_map(number).collect();
            for depth in 0..4 {
                core.known.extend(&level);
                let words = level.iter().flat_map(|table| INDEX.map(|at| self.world.memory.pool[*table as usize][at]));
                let words = words.filter(|word| depth < 3 && word & 5 == 5);
                level = words.filter_map(|word| number(word & 0x000f_ffff_ffff_f000)).collect();
            }
        }
    }

    fn pass(&mut self, core: usize) {
        self.world.tlb.pass(core, || self.cores[core].known.clear());
    }

    /// The lines of a table that are yet to be read.
    fn left(&self, frame: u64) -> u64 {
        let table = self.world.tables.live(frame).and_then(|number| self.world.tables.descriptor(number));
        table.map_or(0, |table| table.todo)
    }

    fn create(&mut self, frame: u64, level: u64, lines: u64) {
        let due = self.model.create(frame, level, lines);
        let mut got = self.world.create(frame, level, lines);
        if let Ok(Progress::Flush(generation)) = got {
            assert!(!self.world.tlb.all_passed(generation));
            for core in 0..CORES {
                if self.world.tlb.is_behind(core) {
                    assert!(self.cores[core].inside);
                    self.pass(core);
                }
            }
            got = self.world.create(frame, level, lines);
        }
        let left = self.left(frame);
        let due = due.and_then(|()| self.model.fill(frame, 0, &self.world.memory.guest[frame as usize], left));
        assert_eq!(got.map(|got| got == Progress::Done), due);
        if let Ok(number) = self.world.tables.named(frame)
            && due.is_ok()
        {
            assert!(self.cores.iter().all(|core| !core.known.contains(&number)), "reused too early");
        }
    }

    fn drain(&mut self, a: u32, b: u32) {
        let element = |a: u32| {
            let count = if a >> 20 & 15 == 0 { 512 } else { a as usize >> 20 & 3 };
            (u64::from(a) % FRAMES, INDEX[a as usize >> 8 & 7], count.max(1))
        };
        let elements = [element(a), element(b), element(a ^ b)];
        let mut page = Page::of(&elements.map(|(frame, index, count)| Element::new(frame, index, count).0));
        let mut refused = false;
        loop {
            match self.world.drain(&mut page) {
                Ok(Progress::Done) => break,
                Ok(_) => {}
                Err(_) => refused = true,
            }
        }
        // In another order, and some more than once.
        let mut due = false;
        for (frame, index, count) in elements {
            // Lines are read as a whole, but for one entry alone.
            let whole = index / 8 * 8..(index + count).min(512).next_multiple_of(8);
            for index in if count == 1 { index..index + 1 } else { whole } {
                let entry = self.world.memory.guest[frame as usize][index];
                let known = self.model.tables.contains_key(&frame);
                let result = self.model.read(frame, index, entry);
                due |= known && result.is_err() && result != Err(crate::Error::NoTable);
                due |= result == Err(crate::Error::NoTable) && self.world.tables.live(frame).is_ok();
            }
        }
        assert_eq!(refused, due);
    }

    fn step(&mut self, (op, a, b): Op) {
        let frame = u64::from(a) % FRAMES;
        let index = INDEX[(a as usize >> 4) % INDEX.len()];
        let lines = if b & 1 == 0 { !0 } else { 1 << (index / 8) };
        match op {
            0..6 => {
                let level = if b >> 8 & 15 == 0 { u64::from(b) % 6 } else { frame % 4 + 1 };
                self.create(if b >> 12 & 15 == 0 { u64::from(b) % 72 } else { frame }, level, lines);
            }
            6..10 => {
                let lines = if b >> 4 & 7 == 0 { lines } else { 0 };
                let got = self.world.fill(frame, lines).map(|got| got == Progress::Done);
                let left = self.left(frame);
                let due = self.model.fill(frame, lines, &self.world.memory.guest[frame as usize], left);
                assert_eq!(got, due);
            }
            10..16 => {
                let entry = entry(self.level(frame), b);
                let got = self.world.write(frame, index as u64, entry);
                assert_eq!(got, self.model.write(frame, index, entry));
            }
            16..20 => self.world.memory.guest[frame as usize][index] = entry(self.level(frame), b),
            20..23 => {
                let got = self.world.destroy(frame).map(|got| got == Progress::Done);
                assert_eq!(got, self.model.destroy(frame));
            }
            23..26 => {
                let root =
                    |a: u32| (a & 3 != 0).then_some(if a & 0x70 == 0 { frame } else { u64::from(a >> 8 & 3) * 4 + 3 });
                let (vcpu, roots) = (a as usize >> 4 & 1, [root(a), root(b)]);
                let got = self.world.set_roots(vcpu, roots).map(|_| ());
                assert_eq!(got, self.model.set_roots(vcpu, roots));
            }
            26..29 => self.drain(a, b),
            29 => self.pass_or_nothing(a as usize % CORES),
            30 => self.come_or_go(a as usize % CORES),
            _ if a % 64 == 0 => {
                for core in 0..CORES {
                    if self.cores[core].inside {
                        self.come_or_go(core);
                    }
                }
                while self.world.reset() == Progress::Again {}
                self.model = Model::default();
            }
            _ => {
                self.world.tlb.round();
            }
        }
    }

    fn pass_or_nothing(&mut self, core: usize) {
        if self.cores[core].inside {
            self.pass(core);
        }
    }

    fn come_or_go(&mut self, number: usize) {
        let core = &mut self.cores[number];
        core.inside = !core.inside;
        if core.inside {
            self.world.tlb.enter(number, || core.known.clear());
        } else {
            self.world.tlb.leave(number, || core.known.clear());
        }
    }

    /// Both roots of both vCPUs lead where the model says.
    fn compare(&self, random: u32) {
        for vcpu in 0..CORES {
            for (root, frame) in self.world.tables.roots(vcpu).into_iter().zip(self.model.roots[vcpu]) {
                for pick in 0..16u32 {
                    let random = random.wrapping_mul(pick * 2 + 1);
                    let part = |shift: u32| INDEX[(random >> shift) as usize % 5] as u64;
                    let address = part(0) << 39 | part(8) << 30 | part(16) << 21 | part(24) << 12;
                    assert_eq!(self.world.walk(root, address), self.model.walk(frame, address), "{address:#x}");
                }
            }
        }
    }
}

fn run(ops: &[Op]) {
    let mut pair = Pair::new();
    for (at, &op) in ops.iter().enumerate() {
        pair.step(op);
        pair.look();
        pair.compare(op.1);
        if at % 32 == 0 {
            pair.world.audit();
        }
    }
    pair.world.audit();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    #[test]
    fn the_service_is_as_its_model(ops in ops()) {
        run(&ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2600, ..ProptestConfig::default() })]
    #[test]
    #[ignore = "a million operations"]
    fn the_service_is_as_its_model_a_million_times(ops in ops()) {
        run(&ops);
    }
}
