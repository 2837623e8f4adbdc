// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest with several vCPUs: starts, interrupts between them, and that nobody sleeps through
//! either. The vCPUs here do what those of the shim do: they consume what they were told with, look
//! at the board, and sleep only if it says so.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a test's verdict")]

mod common;

use common::{GICD, GICR, RAM, World};
use parzelle_shim_board::exit::instruction::Transfer;
use parzelle_shim_board::exit::{Exit, Mmio, SysReg, SysRegAccess};
use parzelle_shim_board::gic::{ListRegister, State};
use parzelle_shim_board::machine::{Next, Vmm};
use parzelle_shim_board::psci::Start;
use parzelle_shim_board::registers::Frame;
use parzelle_shim_board::sysreg::Features;
use proptest::prelude::*;

const ENTRY: u64 = RAM.start + 0x20_0000;
const CPU_ON: u64 = 0xc400_0003;
const CPU_OFF: u64 = 0x8400_0002;

/// Where a vCPU of the shim is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// In the guest, with these list registers.
    Guest(Vec<ListRegister>),
    /// In `wait`.
    Waiting,
    /// Off.
    Parked,
    /// The guest is over.
    Over,
}

/// A guest whose vCPUs are run by hand.
struct Cluster {
    vmm: Vmm,
    io: World,
    places: Vec<Place>,
    /// Who was told and has not noticed: the event that lies in the kernel.
    kicked: Vec<bool>,
    /// List registers that the processor has.
    room: usize,
}

impl Cluster {
    /// vCPU 0 has brought up the distributor, and SGIs of everybody's redistributor.
    fn new(vcpus: usize, room: usize) -> Self {
        let mut places = vec![Place::Parked; vcpus];
        places[0] = Place::Guest(Vec::new());
        let vmm = Vmm::new(vcpus, RAM, Features::default());
        let mut cluster = Self { vmm, io: World::default(), places, kicked: vec![false; vcpus], room };
        cluster.write(0, GICD, 0x12);
        for vcpu in 0..vcpus as u64 {
            cluster.write(0, GICR + vcpu * 0x2_0000 + 0x1_0080, 0xffff_ffff);
            cluster.write(0, GICR + vcpu * 0x2_0000 + 0x1_0100, 0xffff);
        }
        cluster
    }

    /// The vCPU leaves the guest for this reason, and the shim does what follows. Returns x0.
    fn exit(&mut self, vcpu: usize, exit: Exit, x: [u64; 4]) -> u64 {
        let Place::Guest(lists) = &self.places[vcpu] else { panic!("vCPU {vcpu} is not in the guest") };
        self.vmm.leave(vcpu, lists);
        if exit == Exit::Interrupted {
            self.kicked[vcpu] = false;
        }
        let mut frame = Frame::default();
        frame.x[..4].copy_from_slice(&x);
        match self.vmm.handle(vcpu, exit, &mut frame, &mut self.io) {
            Next::Resume | Next::Yield => self.enter(vcpu),
            Next::WaitForInterrupt { .. } => self.places[vcpu] = Place::Waiting,
            Next::Stop => self.places[vcpu] = Place::Parked,
            Next::Over => self.places = vec![Place::Over; self.places.len()],
            other => panic!("{other:?}"),
        }
        self.tell(vcpu);
        frame.x[0]
    }

    fn enter(&mut self, vcpu: usize) {
        let mut lists = vec![ListRegister::default(); self.room];
        if !self.vmm.enter_idle(vcpu) {
            self.vmm.enter(vcpu, &mut lists);
        }
        self.places[vcpu] = Place::Guest(lists);
    }

    fn tell(&mut self, vcpu: usize) {
        let mask = self.vmm.wake(vcpu);
        assert_eq!(mask >> vcpu & 1, 0, "nobody tells itself");
        for (n, kicked) in self.kicked.iter_mut().enumerate() {
            *kicked |= mask >> n & 1 == 1;
        }
    }

    /// The vCPU looks up, if it was told to.
    fn notice(&mut self, vcpu: usize) -> Option<Start> {
        if !self.kicked[vcpu] {
            return None;
        }
        match self.places[vcpu] {
            Place::Guest(_) => {
                self.exit(vcpu, Exit::Interrupted, [0; 4]);
            }
            Place::Waiting => {
                self.kicked[vcpu] = false;
                self.enter(vcpu);
                self.tell(vcpu);
            }
            Place::Parked => {
                self.kicked[vcpu] = false;
                let start = self.vmm.take_start(vcpu)?;
                self.enter(vcpu);
                self.tell(vcpu);
                return Some(start);
            }
            Place::Over => {}
        }
        None
    }

    fn write(&mut self, vcpu: usize, ipa: u64, value: u64) {
        let transfer = Transfer { width: 4, registers: [1, 31], elements: 1, write: true, ..Transfer::NONE };
        self.exit(vcpu, Exit::Mmio(Mmio { ipa, transfer }), [0, value, 0, 0]);
    }

    fn call(&mut self, vcpu: usize, x: [u64; 4]) -> i64 {
        self.exit(vcpu, Exit::Hvc { imm: 0 }, x) as i64
    }

    fn sgi(&mut self, vcpu: usize, value: u64) {
        let access = SysRegAccess { register: SysReg(3, 0, 12, 11, 5), rt: 1, write: true };
        self.exit(vcpu, Exit::SysReg(access), [0, value, 0, 0]);
    }

    fn wfi(&mut self, vcpu: usize) {
        self.exit(vcpu, Exit::Wfi, [0; 4]);
    }

    /// The guest takes and ends the most urgent interrupt that it sees; maintenance makes it leave.
    fn take(&mut self, vcpu: usize) -> Option<u32> {
        let Place::Guest(lists) = &mut self.places[vcpu] else { return None };
        let register = lists.iter_mut().find(|register| register.state == State::Pending)?;
        register.state = State::Invalid;
        let (intid, tell) = (register.intid, register.eoi_maintenance);
        if tell {
            self.exit(vcpu, Exit::Interrupted, [0; 4]);
        }
        Some(intid)
    }

    /// Switches on vCPU `n`.
    fn on(&mut self, n: usize) {
        assert_eq!(self.call(0, [CPU_ON, n as u64, ENTRY, 0]), 0);
        assert!(self.notice(n).is_some());
    }

    /// Whoever has something to do knows of it, or will leave the guest before long.
    fn check(&self) {
        for (vcpu, place) in self.places.iter().enumerate() {
            let will_leave = match place {
                Place::Guest(lists) => lists.iter().any(|one| one.state != State::Invalid && one.eoi_maintenance),
                Place::Over => continue,
                Place::Waiting | Place::Parked => false,
            };
            let knows = self.kicked[vcpu] || will_leave;
            assert!(knows || !self.vmm.is_awake(vcpu), "vCPU {vcpu} sleeps through it: {place:?}");
        }
    }
}

#[test]
fn a_vcpu_begins_where_it_was_told_to_and_is_told_once() {
    let mut cluster = Cluster::new(2, 4);
    assert_eq!(cluster.call(0, [CPU_ON, 1, ENTRY, 7]), 0);
    assert_eq!(cluster.kicked, [false, true]);
    cluster.kicked[1] = false;
    for _ in 0..100 {
        assert_eq!(cluster.call(0, [CPU_ON, 1, ENTRY + 4, 8]), -5);
    }
    assert_eq!(cluster.kicked, [false, false], "it was told");
    cluster.kicked[1] = true;
    assert_eq!(cluster.notice(1), Some(Start { entry: ENTRY, context: 7 }));
    assert_eq!(cluster.call(1, [CPU_ON, 0, ENTRY, 7]), -4);
    assert_eq!(cluster.kicked, [false, false]);
}

#[test]
fn interrupts_reach_those_that_they_name_and_nobody_else() {
    let mut cluster = Cluster::new(4, 4);
    (1..4).for_each(|n| cluster.on(n));
    // vCPU 1 sends; those who sleep and those who run are told.
    cluster.wfi(0);
    for (value, reached) in [
        (3 << 24 | 0b0101, 0b0101),
        (3 << 24 | 0b1111, 0b1111),
        (3 << 24 | 1 << 40, 0b1101),
        (3 << 24 | 1 << 40 | 0b0010, 0b1101),
        (3 << 24, 0),
        (3 << 24 | 0xfff0, 0),
        // Affinities 1, 2 and 3, and the range selector: somebody else's clusters.
        (3 << 24 | 0b1111 | 1 << 16, 0),
        (3 << 24 | 0b1111 | 1 << 32, 0),
        (3 << 24 | 0b1111 | 1 << 48, 0),
        (3 << 24 | 0b1111 | 1 << 44, 0),
    ] {
        cluster.sgi(1, value);
        let told = (0..4).filter(|n| cluster.kicked[*n]).fold(0, |mask, n| mask | 1 << n);
        assert_eq!(told, reached & !0b0010, "{value:#x}");
        for vcpu in 0..4 {
            cluster.notice(vcpu);
            let expected = (reached >> vcpu & 1 == 1).then_some(3);
            assert_eq!(cluster.take(vcpu), expected, "{value:#x} at vCPU {vcpu}");
            assert_eq!(cluster.take(vcpu), None);
        }
    }
}

#[test]
fn an_interrupt_that_comes_again_while_it_is_handled_is_told_of() {
    let mut cluster = Cluster::new(2, 4);
    cluster.on(1);
    cluster.sgi(0, 3 << 24 | 0b10);
    cluster.notice(1);
    let Place::Guest(lists) = &mut cluster.places[1] else { panic!() };
    lists[0].state = State::Active;
    cluster.sgi(0, 3 << 24 | 0b10);
    assert!(cluster.kicked[1]);
    cluster.notice(1);
    assert!(matches!(&cluster.places[1], Place::Guest(lists) if lists[0].state == State::PendingActive));
}

#[test]
fn who_is_off_hears_nothing_until_it_is_on() {
    let mut cluster = Cluster::new(2, 4);
    cluster.sgi(0, 5 << 24 | 0b10);
    assert_eq!(cluster.kicked, [false, false]);
    cluster.on(1);
    assert_eq!(cluster.take(1), Some(5));
    cluster.call(1, [CPU_OFF, 0, 0, 0]);
    assert_eq!(cluster.places[1], Place::Parked);
    cluster.sgi(0, 5 << 24 | 0b10);
    assert_eq!(cluster.kicked, [false, false]);
}

#[test]
fn what_a_leaving_vcpu_has_not_taken_is_left_for_others() {
    let mut cluster = Cluster::new(2, 4);
    cluster.on(1);
    // SPI 40 goes to vCPU 1, by hand.
    cluster.write(0, GICD + 0x84, 1 << 8);
    cluster.write(0, GICD + 0x104, 1 << 8);
    cluster.write(0, GICD + 0x6000 + 8 * 40, 1);
    cluster.write(0, GICD + 0x204, 1 << 8);
    cluster.notice(1);
    assert!(matches!(&cluster.places[1], Place::Guest(lists) if lists[0].intid == 40));
    cluster.call(1, [CPU_OFF, 0, 0, 0]);
    cluster.write(0, GICD + 0x6000 + 8 * 40, 0);
    assert_eq!(cluster.take(0), Some(40));
}

#[test]
fn the_last_one_to_leave_is_the_end() {
    let mut cluster = Cluster::new(2, 4);
    cluster.on(1);
    cluster.call(0, [CPU_OFF, 0, 0, 0]);
    assert_eq!(cluster.places[0], Place::Parked);
    cluster.call(1, [CPU_OFF, 0, 0, 0]);
    assert_eq!(cluster.places[1], Place::Over);
}

#[test]
fn a_single_vcpu_has_nobody_to_tell() {
    let mut cluster = Cluster::new(1, 4);
    cluster.sgi(0, 3 << 24 | 0xffff);
    assert_eq!(cluster.take(0), Some(3));
    assert_eq!(cluster.call(0, [CPU_ON, 1, ENTRY, 0]), -2);
}

/// Something that a vCPU does when it is its turn.
#[derive(Clone, Debug)]
enum Step {
    Notice(usize),
    Sgi(usize, u16, u32),
    Enable(usize, usize, bool, u32),
    ClearPending(usize, usize, u32),
    On(usize, usize),
    Off(usize),
    Wfi(usize),
    Take(usize),
    Timer(usize),
}

const VCPUS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let vcpu = || 0..VCPUS;
    prop_oneof![
        6 => vcpu().prop_map(Step::Notice),
        6 => (vcpu(), 0..8u16, 0..6u32).prop_map(|(v, t, i)| Step::Sgi(v, t, i)),
        2 => (vcpu(), vcpu(), any::<bool>(), 0..64u32).prop_map(|(v, t, on, b)| Step::Enable(v, t, on, b)),
        1 => (vcpu(), vcpu(), 0..64u32).prop_map(|(v, t, b)| Step::ClearPending(v, t, b)),
        3 => (vcpu(), vcpu()).prop_map(|(v, t)| Step::On(v, t)),
        1 => vcpu().prop_map(Step::Off),
        4 => vcpu().prop_map(Step::Wfi),
        4 => vcpu().prop_map(Step::Take),
        1 => vcpu().prop_map(Step::Timer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// In whatever order vCPUs run: an interrupt or a start that waits for one of them is known to
    /// it, and in the end everybody has seen what it was sent.
    #[test]
    fn nobody_sleeps_through_anything(steps in prop::collection::vec(step(), 1..300), room in 1..5usize) {
        let mut cluster = Cluster::new(VCPUS, room);
        // SGIs that were sent and not seen since, and those that are enabled, by vCPU.
        let (mut sent, mut enabled) = ([0u32; VCPUS], [0xffff_u32; VCPUS]);
        for step in steps {
            let (Step::Notice(vcpu) | Step::Sgi(vcpu, ..) | Step::Enable(vcpu, ..) | Step::ClearPending(vcpu, ..)
                | Step::On(vcpu, _) | Step::Off(vcpu) | Step::Wfi(vcpu) | Step::Take(vcpu) | Step::Timer(vcpu)) = step;
            if !matches!(cluster.places[vcpu], Place::Guest(_)) {
                cluster.notice(vcpu);
                cluster.check();
                continue;
            }
            let private = |target: usize| GICR + target as u64 * 0x2_0000 + 0x1_0000;
            match step {
                Step::Notice(vcpu) => drop(cluster.notice(vcpu)),
                Step::Sgi(vcpu, targets, intid) => {
                    for (n, sent) in sent.iter_mut().enumerate() {
                        *sent |= u32::from(targets >> n & 1) << intid;
                    }
                    cluster.sgi(vcpu, u64::from(intid) << 24 | u64::from(targets));
                }
                Step::Enable(vcpu, target, on, bits) => {
                    let old = enabled[target];
                    enabled[target] = if on { old | bits } else { old & !bits };
                    cluster.write(vcpu, private(target) + if on { 0x100 } else { 0x180 }, u64::from(bits));
                }
                Step::ClearPending(vcpu, target, bits) => {
                    sent[target] &= !bits;
                    cluster.write(vcpu, private(target) + 0x280, u64::from(bits));
                }
                Step::On(vcpu, target) => drop(cluster.call(vcpu, [CPU_ON, target as u64, ENTRY, 0])),
                Step::Off(vcpu) => drop(cluster.call(vcpu, [CPU_OFF, 0, 0, 0])),
                Step::Wfi(vcpu) => cluster.wfi(vcpu),
                Step::Take(vcpu) => {
                    let taken = cluster.take(vcpu);
                    sent[vcpu] &= !taken.map_or(0, |intid| 1 << intid);
                }
                Step::Timer(vcpu) => drop(cluster.exit(vcpu, Exit::VirtualTimer { linked: false }, [0; 4])),
            }
            cluster.check();
        }
        // Nobody leaves the guest any more but to look at what it was told, or at the end of what asks
        // for it.
        for _ in 0..100 {
            for (vcpu, sent) in sent.iter_mut().enumerate() {
                cluster.notice(vcpu);
                let taken = cluster.take(vcpu);
                *sent &= !taken.map_or(0, |intid| 1 << intid);
            }
        }
        for vcpu in 0..VCPUS {
            if matches!(cluster.places[vcpu], Place::Guest(_) | Place::Waiting) {
                prop_assert_eq!(sent[vcpu] & enabled[vcpu], 0, "vCPU {}", vcpu);
            }
        }
    }
}
