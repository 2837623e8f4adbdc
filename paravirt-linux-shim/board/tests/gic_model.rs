// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The interrupt controller against a model so simple that it can be read: one struct per interrupt
//! and vCPU, lists made by sorting, nothing in bits. Guests take and end interrupts in their list
//! registers; devices, other vCPUs and register writes come at any moment.

#![allow(clippy::unwrap_used, reason = "a panic is a test's verdict")]

use parzelle_shim_board::gic::{Frame, Gic, ListRegister, State};
use proptest::prelude::*;

const VCPUS: usize = 3;

/// One interrupt as one vCPU sees it; shared ones are kept with vCPU 0.
#[derive(Clone, Copy, Debug, Default)]
struct Interrupt {
    enabled: bool,
    group1: bool,
    edge: bool,
    line: bool,
    latch: bool,
    linked: bool,
    active: bool,
    held: bool,
    /// Its end makes the guest leave.
    watched: bool,
    priority: u8,
    route: usize,
    owner: usize,
}

struct Model {
    enabled: bool,
    interrupts: Vec<[Interrupt; 96]>,
}

impl Model {
    fn new() -> Self {
        let mut model = Self { enabled: false, interrupts: vec![[Interrupt::default(); 96]; VCPUS] };
        for bank in &mut model.interrupts {
            bank[..16].iter_mut().for_each(|sgi| sgi.edge = true);
        }
        model
    }

    fn get(&mut self, vcpu: usize, intid: u32) -> &mut Interrupt {
        let home = if intid < 32 { vcpu } else { 0 };
        &mut self.interrupts[home][intid as usize]
    }

    fn set_line(&mut self, vcpu: usize, intid: u32, high: bool) {
        let one = self.get(vcpu, intid);
        one.latch |= one.edge && high && !one.line;
        one.line = high;
    }

    /// What `vcpu` should see if it had room for everything.
    fn wanted(&mut self, vcpu: usize) -> Vec<ListRegister> {
        let gate = self.enabled;
        let mut wanted = Vec::new();
        for intid in 0..96 {
            let one = *self.get(vcpu, intid);
            let private = intid < 32;
            let active = one.active && (private || one.owner == vcpu);
            let pending = one.latch || one.line && !one.edge;
            let may_be_pending = gate
                && one.enabled
                && one.group1
                && !one.held
                && (private || one.route == vcpu)
                && (!one.active || active && one.edge && !one.linked);
            let state = match (active, pending && may_be_pending) {
                (true, true) => State::PendingActive,
                (true, false) => State::Active,
                (false, true) => State::Pending,
                (false, false) => continue,
            };
            wanted.push(ListRegister {
                intid,
                priority: one.priority,
                state,
                hw: one.linked.then_some(intid),
                eoi_maintenance: (one.line || one.latch && one.active) && !one.edge && !one.linked,
            });
        }
        wanted.sort_by_key(|one| (one.state == State::Pending, one.priority, one.intid));
        wanted
    }

    /// Whether something that `vcpu` has in a list register happened once more since.
    fn again(&mut self, vcpu: usize) -> bool {
        let gate = self.enabled;
        (0..96).any(|intid| {
            let one = *self.get(vcpu, intid);
            let here = one.held && (intid < 32 || one.owner == vcpu);
            let once = one.edge || one.linked;
            let happened = if once { one.latch } else { one.line && !one.watched };
            gate && here && one.enabled && one.group1 && happened
        })
    }

    fn enter(&mut self, vcpu: usize, room: usize) -> Vec<ListRegister> {
        let mut lists = self.wanted(vcpu);
        let overflow = lists.len() > room;
        lists.truncate(room);
        for register in &mut lists {
            register.eoi_maintenance |= overflow && register.hw.is_none();
            let one = self.get(vcpu, register.intid);
            one.held = true;
            one.watched = register.eoi_maintenance;
            one.owner = vcpu;
            if register.state != State::Active && (one.edge || one.linked) {
                one.latch = false;
            }
        }
        lists
    }

    fn leave(&mut self, vcpu: usize, lists: &[ListRegister]) {
        for register in lists {
            let one = self.get(vcpu, register.intid);
            let given_pending = !one.active;
            let pending = matches!(register.state, State::Pending | State::PendingActive);
            one.held = false;
            one.active = matches!(register.state, State::Active | State::PendingActive);
            if one.edge || one.linked {
                one.latch |= pending;
            } else if given_pending && !pending {
                one.latch = false;
            }
            one.linked &= register.state != State::Invalid;
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Control(bool),
    Line(usize, u32, bool),
    Raise(usize, u32),
    Linked(usize),
    Sgi(usize, u16, u32),
    SgiOthers(usize, u32),
    /// A set or clear register: offset of its row, and the bits.
    Bits(usize, u64, usize, u32),
    Priority(usize, u32, u8),
    Config(usize, u32, bool),
    Route(u32, usize),
    Enter(usize, usize),
    Take(usize),
    End(usize, usize),
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    // Few interrupts, so that they meet.
    let private = prop_oneof![Just(3u32), Just(4), Just(20), Just(27)];
    let wired = prop_oneof![Just(20u32), Just(27), Just(33), Just(40), Just(64)];
    let known = prop_oneof![Just(3u32), Just(4), Just(20), Just(27), Just(33), Just(40), Just(64)];
    let vcpu = 0..VCPUS;
    let mask = Just(1u32 << 3 | 1 << 4 | 1 << 20 | 1 << 27 | 1 << 1 | 1 << 8 | 1);
    let bits = (any::<u32>(), mask).prop_map(|(bits, mask)| bits & mask);
    let row = prop_oneof![
        Just(0x80u64),
        Just(0x100),
        Just(0x100),
        Just(0x100),
        Just(0x180),
        Just(0x200),
        Just(0x280),
        Just(0x300),
        Just(0x380),
    ];
    prop_oneof![
        1 => (0..8).prop_map(|n| Step::Control(n != 0)),
        4 => (vcpu.clone(), wired, any::<bool>()).prop_map(|(v, i, h)| Step::Line(v, i, h)),
        2 => (vcpu.clone(), private).prop_map(|(v, i)| Step::Raise(v, i)),
        2 => vcpu.clone().prop_map(Step::Linked),
        2 => (vcpu.clone(), any::<u16>(), 3..5u32).prop_map(|(v, t, i)| Step::Sgi(v, t, i)),
        1 => (vcpu.clone(), 3..5u32).prop_map(|(v, i)| Step::SgiOthers(v, i)),
        6 => (vcpu.clone(), row, 0..3usize, bits).prop_map(|(v, r, w, b)| Step::Bits(v, r, w, b)),
        2 => (vcpu.clone(), known.clone(), any::<u8>()).prop_map(|(v, i, p)| Step::Priority(v, i, p)),
        2 => (vcpu.clone(), known, any::<bool>()).prop_map(|(v, i, e)| Step::Config(v, i, e)),
        1 => (prop_oneof![Just(33u32), Just(40), Just(64)], vcpu.clone()).prop_map(|(i, v)| Step::Route(i, v)),
        6 => (vcpu.clone(), 1..5usize).prop_map(|(v, n)| Step::Enter(v, n)),
        6 => vcpu.clone().prop_map(Step::Take),
        5 => (vcpu.clone(), 0..4usize).prop_map(|(v, n)| Step::End(v, n)),
        6 => vcpu.prop_map(Step::Leave),
    ]
}

/// The controller, the model, and the processors between them.
struct Both {
    gic: Gic,
    model: Model,
    inside: Vec<Option<Vec<ListRegister>>>,
}

impl Both {
    fn new() -> Self {
        let mut both = Self { gic: Gic::new(VCPUS), model: Model::new(), inside: vec![None; VCPUS] };
        both.control(true);
        for vcpu in 0..VCPUS {
            for word in 0..3 {
                both.bits(vcpu, 0x80, word, u32::MAX);
            }
        }
        both
    }

    fn control(&mut self, on: bool) {
        assert!(self.gic.write(Frame::Distributor, 0, 4, u64::from(on) << 1));
        self.model.enabled = on;
    }

    /// Finds the frame that has the registers of an interrupt.
    fn frame(vcpu: usize, word: usize) -> Frame {
        if word == 0 { Frame::Private(vcpu) } else { Frame::Distributor }
    }

    fn bits(&mut self, vcpu: usize, row: u64, word: usize, bits: u32) {
        let offset = row + 4 * word as u64;
        assert!(self.gic.write(Self::frame(vcpu, word), offset, 4, u64::from(bits)));
        for bit in 0..32 {
            let set = bits >> bit & 1 == 1;
            let one = self.model.get(vcpu, 32 * word as u32 + bit);
            match row {
                0x80 => one.group1 = set,
                0x100 => one.enabled |= set,
                0x180 => one.enabled &= !set,
                0x200 => one.latch |= set,
                0x280 => one.latch &= !set || one.linked,
                0x300 if set && !one.active => {
                    one.active = true;
                    if !one.held {
                        one.owner = if word == 0 { vcpu } else { one.route };
                    }
                }
                0x380 if set && one.active => (one.active, one.linked) = (false, false),
                _ => {}
            }
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Control(on) => self.control(on),
            Step::Line(vcpu, intid, high) => {
                if intid < 32 {
                    self.gic.set_private_line(vcpu, intid, high);
                } else {
                    self.gic.set_line(intid, high);
                }
                self.model.set_line(vcpu, intid, high);
            }
            Step::Raise(vcpu, intid) => {
                self.gic.raise(vcpu, intid);
                self.model.get(vcpu, intid).latch = true;
            }
            Step::Linked(vcpu) => {
                // The kernel takes the physical interrupt only when it is not active, and the guest
                // has left by then.
                let one = self.model.get(vcpu, 27);
                if !one.linked && !one.active && !one.held {
                    (one.linked, one.latch) = (true, true);
                    self.gic.raise_linked(vcpu, 27);
                }
            }
            Step::Sgi(vcpu, targets, intid) => {
                self.gic.send_sgi(vcpu, u64::from(targets) | u64::from(intid) << 24);
                for n in (0..VCPUS).filter(|n| targets >> n & 1 == 1) {
                    self.model.get(n, intid).latch = true;
                }
            }
            Step::SgiOthers(vcpu, intid) => {
                self.gic.send_sgi(vcpu, 1 << 40 | u64::from(intid) << 24);
                for n in (0..VCPUS).filter(|n| *n != vcpu) {
                    self.model.get(n, intid).latch = true;
                }
            }
            Step::Bits(vcpu, row, word, bits) => self.bits(vcpu, row, word, bits),
            Step::Priority(vcpu, intid, priority) => {
                let frame = Self::frame(vcpu, intid as usize / 32);
                assert!(self.gic.write(frame, 0x400 + u64::from(intid), 1, u64::from(priority)));
                self.model.get(vcpu, intid).priority = priority & 0xf8;
            }
            Step::Config(vcpu, intid, edge) => {
                let frame = Self::frame(vcpu, intid as usize / 32);
                let offset = 0xc00 + u64::from(intid / 16) * 4;
                let shift = intid % 16 * 2 + 1;
                let old = self.gic.read(frame, offset, 4).unwrap();
                assert!(self.gic.write(frame, offset, 4, old & !(1 << shift) | u64::from(edge) << shift));
                self.model.get(vcpu, intid).edge = edge || intid < 16;
            }
            Step::Route(intid, vcpu) => {
                assert!(self.gic.write(Frame::Distributor, 0x6000 + 8 * u64::from(intid), 8, vcpu as u64));
                self.model.get(0, intid).route = vcpu;
            }
            Step::Enter(vcpu, room) => self.enter(vcpu, room),
            Step::Take(vcpu) => {
                if let Some(lists) = &mut self.inside[vcpu] {
                    let pending = lists.iter_mut().filter(|one| one.state == State::Pending);
                    if let Some(one) = pending.min_by_key(|one| (one.priority, one.intid)) {
                        one.state = State::Active;
                    }
                }
            }
            Step::End(vcpu, n) => {
                if let Some(one) = self.inside[vcpu].as_mut().and_then(|lists| lists.get_mut(n)) {
                    one.state = match one.state {
                        State::Active => State::Invalid,
                        State::PendingActive => State::Pending,
                        other => other,
                    };
                }
            }
            Step::Leave(vcpu) => {
                if let Some(lists) = self.inside[vcpu].take() {
                    self.gic.fold(vcpu, &lists);
                    self.model.leave(vcpu, &lists);
                }
            }
        }
    }

    fn enter(&mut self, vcpu: usize, room: usize) {
        if self.inside[vcpu].is_some() {
            return;
        }
        let mut lists = vec![ListRegister { intid: 77, ..ListRegister::default() }; room];
        let idle = self.gic.is_idle(vcpu);
        let used = self.gic.fill(vcpu, &mut lists);
        assert!(!idle || used == 0, "the short way past `fill` loses nothing");
        let expected = self.model.enter(vcpu, room);
        assert_eq!(lists[..used], expected);
        assert!(lists[used..].iter().all(|rest| rest.state == State::Invalid));
        self.inside[vcpu] = Some(expected);
    }

    /// Compares all that the guest can read and the shim can ask.
    fn compare(&mut self) {
        for vcpu in 0..VCPUS {
            let waiting = self.model.wanted(vcpu).iter().any(|one| one.state != State::Active);
            assert_eq!(self.gic.is_deliverable(vcpu), waiting, "vCPU {vcpu}");
            assert_eq!(self.gic.has_news(vcpu), waiting || self.model.again(vcpu), "vCPU {vcpu}");
            for word in 0..3u32 {
                let read = |row| self.gic.read(Self::frame(vcpu, word as usize), row + 4 * u64::from(word), 4).unwrap();
                let (enabled, pending, active) = (read(0x100), read(0x200), read(0x300));
                assert_eq!((read(0x180), read(0x280), read(0x380)), (enabled, pending, active));
                for bit in 0..32 {
                    let one = *self.model.get(vcpu, 32 * word + bit);
                    assert_eq!(enabled >> bit & 1 == 1, one.enabled);
                    assert_eq!(pending >> bit & 1 == 1, one.latch || one.line && !one.edge);
                    assert_eq!(active >> bit & 1 == 1, one.active);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn does_what_the_model_does(steps in prop::collection::vec(step(), 1..300)) {
        let mut both = Both::new();
        for step in &steps {
            both.apply(step);
            both.compare();
        }
    }

    /// Whatever happened before: a guest that enables everything, takes and ends what it is given,
    /// sees each edge that was sent, and then has peace.
    #[test]
    fn nothing_is_lost_and_nothing_stays(steps in prop::collection::vec(step(), 0..200), room in 1..5usize) {
        let mut both = Both::new();
        for step in &steps {
            both.apply(step);
        }
        both.control(true);
        for vcpu in 0..VCPUS {
            both.apply(&Step::Leave(vcpu));
            for intid in [20, 27, 33, 40, 64] {
                both.apply(&Step::Line(vcpu, intid, false));
            }
            for word in 0..3 {
                both.bits(vcpu, 0x380, word, u32::MAX);
                both.bits(vcpu, 0x80, word, u32::MAX);
                both.bits(vcpu, 0x100, word, u32::MAX);
            }
        }
        for vcpu in 0..VCPUS {
            both.apply(&Step::Raise(vcpu, 3));
            let expected: Vec<u32> = both.model.wanted(vcpu).iter().map(|one| one.intid).collect();
            let mut taken = Vec::new();
            for _ in 0..100 {
                both.enter(vcpu, room);
                both.apply(&Step::Take(vcpu));
                let lists = both.inside[vcpu].as_ref().unwrap();
                let Some(n) = lists.iter().position(|one| one.state == State::Active) else { break };
                taken.push(lists[n].intid);
                both.apply(&Step::End(vcpu, n));
                both.apply(&Step::Leave(vcpu));
            }
            both.apply(&Step::Leave(vcpu));
            taken.sort_unstable();
            let mut expected = expected;
            expected.sort_unstable();
            prop_assert_eq!(taken, expected);
            prop_assert!(!both.gic.is_deliverable(vcpu));
        }
    }
}
