// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Random operations of a guest that keeps the rules: it writes tables in use only by
//! hypercalls and stores. What is a table, and what is mapped, is compared with what its memory says.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Fault, Mode, WRITE_FAULT};
use super::world::{FRAMES, VCPUS, World};
use crate::abi::mmu::{MmuUpdate, MmuextOp};
use crate::instruction::Width;

/// Indices at which something may be: both ends, neighbours, the kernel's slots and theirs.
pub(super) const INDEX: [u64; 9] = [0, 1, 8, 9, 255, 256, 271, 272, 511];

/// An operation, and where its arguments come from.
pub(super) type Op = (u8, u32, u32);

pub(super) fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec((0..32u8, any::<u32>(), any::<u32>()), 1..300)
}

/// What is a table, by frame: level.
type Types = BTreeMap<u64, u8>;

struct Pair {
    world: World,
    pinned: BTreeMap<u64, u8>,
    /// Of roots: 0 kernel, 1 user.
    kinds: BTreeMap<u64, usize>,
}

/// An entry for a table of this level: mostly one that fits.
pub(super) fn entry(level: u64, a: u32) -> u64 {
    let (flags, to) = (a >> 16, u64::from(a >> 4) % 256);
    let bits = match flags % 16 {
        0 | 1 => 0,
        2 => 0x26,
        3 => 0x25,
        4 => 0x47,
        5 => 0x27,
        6 => 0xe7,
        7 | 8 => 0x63,
        9 => 1 << 63 | 0x67,
        10 => 0x07,
        _ => 0x67,
    };
    let fits = if level > 1 { to % (FRAMES / 4) * 4 + level - 2 } else { to % FRAMES };
    let frame = if flags >> 4 & 7 == 0 { to % (FRAMES + 2) } else { fits };
    frame << 12 | bits
}

impl Pair {
    fn new() -> Pair {
        Pair { world: World::new(FRAMES as usize + 1), pinned: BTreeMap::new(), kinds: BTreeMap::new() }
    }

    fn children(&self, frame: u64, level: u8) -> Vec<u64> {
        let mine = |index: &u64| level != 4 || !(256..272).contains(index);
        let entries = (0..512).filter(mine).map(|index| self.world.entry(frame, index));
        entries.filter(|entry| entry & 1 != 0).collect()
    }

    /// Makes a frame a table of this level, as Xen's rules say; false: it can't be.
    fn take(&self, types: &mut Types, frame: u64, level: u8) -> bool {
        if frame >= FRAMES {
            return false;
        }
        match types.get(&frame) {
            Some(is) if *is == level => return true,
            Some(_) => return false,
            None => {}
        }
        if level > 1 {
            for entry in self.children(frame, level) {
                if entry & 0x80 != 0 || !self.take(types, entry << 12 >> 24, level - 1) {
                    return false;
                }
            }
        }
        types.insert(frame, level).is_none()
    }

    /// All that is a table.
    fn types(&self) -> Types {
        let mut types = Types::new();
        let roots = self.world.vcpus.iter().flat_map(|vcpu| [vcpu.root(Mode::Kernel), vcpu.root(Mode::User)]);
        let kept = self.pinned.clone().into_iter().chain(roots.flatten().map(|root| (root, 4)));
        for (frame, level) in kept {
            assert!(self.take(&mut types, frame, level), "{frame} is no table of level {level}");
        }
        types
    }

    fn could(&self, frame: u64, level: u8) -> bool {
        self.take(&mut self.types(), frame, level)
    }

    /// Whether an entry may be written.
    fn may(&self, frame: u64, index: u64, new: u64) -> bool {
        let level = self.types().get(&frame).copied().unwrap_or(0);
        let to = new << 12 >> 24;
        match level {
            _ if frame >= FRAMES => false,
            0 => true,
            _ if new & 1 == 0 => true,
            1 => to < FRAMES,
            4 if (256..272).contains(&index) => false,
            // What it replaces still counts.
            _ => new & 0x80 == 0 && self.could(to, level - 1),
        }
    }

    fn apply(&mut self, (kind, a, b): Op) {
        let vcpu = (b >> 31) as usize % VCPUS;
        let frame = u64::from(a) % FRAMES;
        let index = INDEX[(b >> 8) as usize % INDEX.len()];
        let level = (frame % 4 + 1) as u8;
        let new = entry(level.into(), b);
        let at = frame * 4096 + index * 8;
        match kind {
            // Memory that is no table.
            0..=6 => {
                if !self.types().contains_key(&frame) {
                    self.world.set_entry(frame, index, new);
                }
            }
            7..=13 => {
                let keep = if b & 1 == 0 { 0 } else { 2 };
                let old = self.world.entry(frame, index);
                let val = if keep == 2 { new | old & 0x60 } else { new };
                let expected = self.may(frame, index, val);
                let result = self.world.turn(vcpu).update(&MmuUpdate { ptr: at | keep, val: new });
                assert_eq!(result.is_ok(), expected, "update {frame} {index} {val:#x}: {result:?}");
                assert_eq!(self.world.entry(frame, index), if expected { val } else { old });
            }
            14..=16 => {
                let (width, cut) = if b & 1 == 0 { (Width::Quad, u64::MAX) } else { (Width::Long, 0xffff_ffff) };
                let old = self.world.entry(frame, index);
                let val = old & !cut | new & cut;
                let expected = self.may(frame, index, val);
                let result = self.world.turn(vcpu).store(at, width, |_| Some(new & cut));
                assert_eq!(result.is_ok(), expected);
                assert_eq!(self.world.entry(frame, index), if expected { val } else { old });
            }
            17..=19 => {
                let level = if b % 8 == 0 { (b >> 4) as u8 % 4 + 1 } else { level };
                let expected = !self.pinned.contains_key(&frame) && self.could(frame, level);
                let result = self.ext(vcpu, u32::from(level) - 1, frame);
                assert_eq!(result, expected, "pin {frame} {level}");
                if expected {
                    self.pinned.insert(frame, level);
                }
            }
            20 | 21 => {
                let expected = self.pinned.remove(&frame).is_some();
                assert_eq!(self.ext(vcpu, 4, frame), expected);
            }
            22 | 23 => self.set_root(vcpu, frame | 3, b),
            24..=29 => self.access(vcpu, a, b),
            30 => assert!(self.ext(vcpu, 6 + (b % 2) * 4, 0)),
            _ => self.world.turn(vcpu).drain(),
        }
        if !(22..24).contains(&kind) {
            assert_eq!(self.world.turn(vcpu).commit(), Ok(()));
        }
    }

    fn ext(&mut self, vcpu: usize, cmd: u32, arg1: u64) -> bool {
        let World { mmu, vcpus, calls, memory, arguments, .. } = &mut self.world;
        let mut turn = mmu.turn(&mut vcpus[vcpu], &mut calls[vcpu], memory);
        turn.extended(&MmuextOp { cmd, arg1, ..MmuextOp::default() }, arguments).is_ok()
    }

    /// Sets one root or both.
    fn set_root(&mut self, vcpu: usize, frame: u64, b: u32) {
        let mut roots = [Mode::Kernel, Mode::User].map(|mode| self.world.vcpus[vcpu].root(mode));
        let old = roots;
        let (which, frame) = (b as usize % 2, if b & 6 == 6 { 3 } else { frame });
        let could = self.could(frame, 4);
        assert_eq!(self.ext(vcpu, if which == 0 { 5 } else { 15 }, frame), could);
        if could {
            roots[which] = Some(frame);
        }
        if b & 8 != 0 {
            assert!(self.ext(vcpu, 15, 0));
            roots[1] = None;
        }
        let fits = |which: usize| roots[which].is_none_or(|root| self.kinds.get(&root).is_none_or(|is| *is == which));
        let expected = fits(0) && fits(1) && (roots[0].is_none() || roots[0] != roots[1]);
        let result = self.world.turn(vcpu).commit();
        assert_eq!(result.is_ok(), expected, "{roots:?} {:?}", self.kinds);
        let now = [Mode::Kernel, Mode::User].map(|mode| self.world.vcpus[vcpu].root(mode));
        assert_eq!(now, if expected { roots } else { old });
        if expected && (could || b & 8 != 0) {
            for which in [0, 1] {
                now[which].map(|root| self.kinds.insert(root, which));
            }
            // What anybody took away is gone.
            for mode in [Mode::Kernel, Mode::User] {
                self.world.compare(vcpu, mode, &mut |entry, wrong| {
                    let absent = entry & 1 == 0 || entry & 0x20 == 0;
                    assert!(!absent || wrong == 0, "left over: {entry:#x} {wrong:#x}");
                });
            }
        }
    }

    /// Walks the guest's tables: frame, writable, for user programs.
    fn software(&self, root: u64, address: u64) -> Option<(u64, bool, bool, u64)> {
        let (mut table, mut write, mut user) = (root, true, true);
        for level in (1..=4).rev() {
            let index = address >> (3 + 9 * level) & 511;
            let entry = self.world.entry(table, index);
            if entry & 1 == 0 || level == 4 && (256..272).contains(&index) {
                return None;
            }
            (write, user) = (write && entry & 2 != 0, user && entry & 4 != 0);
            if level == 1 {
                return Some((entry << 12 >> 24, write, user, table * 4096 + index * 8));
            }
            table = entry << 12 >> 24;
        }
        None
    }

    /// A processor touches an address until that works or the guest is told.
    fn access(&mut self, vcpu: usize, a: u32, b: u32) {
        let pick = |shift: u32| INDEX[(a >> shift) as usize % INDEX.len()];
        let address = pick(0) << 39 | pick(8) << 30 | pick(16) << 21 | pick(24) << 12 | u64::from(b & 0xfff);
        let address = (address << 16).cast_signed() >> 16;
        let address = address.cast_unsigned();
        let mode = if b >> 12 & 1 == 0 { Mode::Kernel } else { Mode::User };
        let write = b >> 13 & 1 != 0;
        let Some(root) = self.world.vcpus[vcpu].root(mode) else {
            assert_eq!(self.world.turn(vcpu).fault(mode, address, 0), Fault::Guest);
            return;
        };
        let may = self.software(root, address);
        let error = if write { WRITE_FAULT } else { 0 };
        for _ in 0..4 {
            if let Some((frame, writable)) = self.world.hardware(vcpu, mode, address)
                && (writable || !write)
            {
                // A stale leaf is the guest's own affair, until it flushes.
                let (_, _, _, at) = may.map_or((0, false, false, 0), |may| may);
                let entry = self.world.entry(at / 4096, at % 4096 / 8);
                if may.is_some_and(|may| may.0 == frame) && self.world.calls.iter().all(|calls| calls.is_idle()) {
                    assert_eq!(entry & 0x20, 0x20);
                    assert!(!write || entry & 0x40 != 0);
                }
                return;
            }
            match self.world.turn(vcpu).fault(mode, address, error) {
                Fault::Mended => {}
                Fault::Guest => {
                    let fine = may.is_some_and(|(frame, writable, user, _)| {
                        frame < FRAMES && (writable || !write) && (user || mode == Mode::Kernel)
                    });
                    assert!(!fine, "a fault for nothing at {address:#x}");
                    return;
                }
                Fault::Store(at) => {
                    let (frame, writable, ..) = may.unwrap();
                    assert!(write && !writable && mode == Mode::Kernel && self.types().contains_key(&frame));
                    assert_eq!(at, frame * 4096 + address % 4096);
                    return;
                }
            }
        }
        panic!("it faults for ever at {address:#x}");
    }

    fn check(&mut self) {
        self.world.audit();
        let types = self.types();
        self.kinds.retain(|frame, _| types.contains_key(frame));
        for frame in 0..FRAMES {
            let is = types.get(&frame).copied().unwrap_or(0);
            assert_eq!(self.world.mmu.table(frame).0, is, "frame {frame}");
        }
        assert_eq!(self.world.mmu.tables().0 as usize, types.len());
        // What the guest's kernel was given is there, as far as references are.
        let queued = || self.world.calls.iter().flat_map(|calls| calls.tables());
        if queued().any(|frame| self.world.mmu.table(frame).0 > 1) {
            return;
        }
        for (vcpu, mode) in [(0, Mode::Kernel), (1, Mode::Kernel)] {
            self.world.compare(vcpu, mode, &mut |entry, wrong| {
                assert!(entry & 0x25 != 0x21 || wrong & 1 == 0, "{entry:#x} {wrong:#x}");
            });
        }
    }

    fn check_all(&mut self) {
        (0..VCPUS).for_each(|vcpu| self.world.turn(vcpu).drain());
        for vcpu in 0..VCPUS {
            for mode in [Mode::Kernel, Mode::User] {
                self.world.compare(vcpu, mode, &mut |entry, wrong| assert_eq!(wrong, 0, "{entry:#x}"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_has_what_the_guest_says(ops in ops()) {
        let mut pair = Pair::new();
        for op in ops {
            pair.apply(op);
            pair.check();
        }
        pair.check_all();
    }
}
