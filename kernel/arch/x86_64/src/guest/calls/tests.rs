// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! All calls of guest partitions on the host, by a shim that means no good: any argument, any queue, any words
//! in the vCPU page, from two processors in turn.
//!
//! The host's memory plays the machine's: what lies at an address there has a "physical" one such that
//! the private window shows it where it is. Instructions do nothing ([`crate::instructions`]).

use super::*;
use crate::boot::Features;
use crate::context::Context;
use crate::guest::Guest;
use crate::guest::segments::GUESTS;
use crate::guest::sides::{FLAGS, LOCAL_TABLE};
use crate::guest::window::Window;
use crate::irqchip::{IoApic, Local};
use crate::layout::{PAGE, PRIVATE};
use crate::machine::{Module, Space};
use crate::mmio::Registers;
use crate::percore::PerCore;
use crate::registers::cr4;
use crate::timer::{Clock, Rate, Timer};
use core::sync::atomic::{AtomicU64, AtomicUsize};
use parzelle_abi::vcpu_page::{UpcallReason, VcpuHead};
use parzelle_core::machine::Upcall;
use parzelle_plan::{VCPU_FP, VCPU_GUEST, VcpuRecord};
use parzelle_tables::{Descriptor, QUEUE, Region, Setup, Tables, Tlb};
use proptest::prelude::*;
use spin::mutex::TicketMutex;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use zerocopy::FromZeros;

/// Frames of the pool, and of the guest's memory.
const POOL: usize = 14;
const FRAMES: usize = 48;
const CORES: usize = 2;
/// A core's: its context and LDT, its vCPU page.
const OWN: usize = 3;
/// The partition's root.
const ROOT: u64 = 0x7000;
const PAGES: usize = POOL + FRAMES + CORES * OWN;

#[repr(C, align(4096))]
#[derive(Clone, FromZeros)]
struct Page([u64; 512]);

/// The machine's memory: one for all cases, which take turns.
fn memory() -> MutexGuard<'static, Vec<Page>> {
    static MEMORY: OnceLock<Mutex<Vec<Page>>> = OnceLock::new();
    let memory = MEMORY.get_or_init(|| Mutex::new(vec![Page([0; 512]); PAGES]));
    let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
    memory.iter_mut().for_each(|page| page.0.fill(0));
    memory
}

/// Leaks what lives as long as the kernel; none of it is large.
fn keep<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

fn several<T>(count: usize, make: impl Fn() -> T) -> &'static mut [T] {
    Box::leak((0..count).map(|_| make()).collect::<Vec<_>>().into_boxed_slice())
}

/// A partition with two vCPUs, each on a core of its own.
struct World {
    /// Where the memory begins.
    base: u64,
    guest: &'static Guest,
    cores: [Processor; CORES],
    counts: Vec<u32>,
    // Last: it is unlocked when all else is gone.
    _memory: MutexGuard<'static, Vec<Page>>,
}

impl World {
    fn new() -> World {
        let memory = memory();
        let base = memory.as_ptr() as u64;
        let physical = |page: usize| (base + page as u64 * PAGE).wrapping_sub(PRIVATE);
        let tlb: &'static Tlb<'static> = keep(Tlb::new(several(CORES, || AtomicU64::new(0))));
        // The last of the guest's memory it may only read.
        let half = (FRAMES as u64 - 8) * PAGE;
        let regions = keep([
            Region::new(0, half, physical(POOL), true, true),
            Region::new(half, 8 * PAGE, physical(POOL) + half, false, false),
        ]);
        let setup = Setup {
            pool: physical(0),
            descriptors: several(POOL, Descriptor::default),
            names: several(FRAMES, || 0),
            regions,
            roots: several(CORES, || [0; 2]),
            slots: [[0x1063; 16], [0x2063; 16]],
            host: ROOT,
            tlb,
        };
        // SAFETY: the memory is the test's, and is used by nobody else while the world is there.
        let window = unsafe { Window::new(physical(0), POOL as u32) };
        let tables = Tables::new(setup, window).unwrap();
        let own = |number| base + (POOL + FRAMES + number * OWN) as u64 * PAGE;
        let guest: &'static Guest = keep(Guest {
            empty: tables.roots(usize::MAX)[1],
            tables: TicketMutex::new(tables),
            tlb,
            vcpus: keep([(0, own(0)), (1, own(1))]),
            life: AtomicU64::new(1),
            cleared: AtomicUsize::new(0),
        });
        let cores = core::array::from_fn(|number| processor(number, guest, own(number)));
        World { base, guest, cores, counts: vec![0; POOL], _memory: memory }
    }

    /// A word of the guest's memory.
    fn word(&mut self, frame: u64, index: u64) -> *mut u64 {
        let at = (POOL as u64 + frame % FRAMES as u64) * PAGE + index % 512 * 8;
        (self.base + at) as *mut u64
    }

    /// Checks what has to hold whatever was called.
    fn check(&mut self) {
        let tables = self.guest.tables.lock();
        tables.audit(&mut self.counts).unwrap();
        for (vcpu, core) in self.cores.iter_mut().enumerate() {
            assert_eq!(core.sides().roots, tables.roots(vcpu));
            let segments = GUESTS.map(|slot| core.block.gdt[slot % 16]);
            let local = (core.context + LOCAL_TABLE) as *const [u64; 512];
            // SAFETY: the page behind the context, of the test's memory.
            let local = unsafe { local.read() };
            for segment in segments.into_iter().chain(local) {
                assert_eq!(checked(segment), Some(segment), "{segment:#x}");
            }
            let &mut Context { cs, ss, rflags, .. } = core.registers();
            assert!(cs & 3 == 3 && ss & 3 == 3 && cs | ss < 1 << 16);
            assert_eq!(rflags & !FLAGS, sanitised(0));
        }
    }
}

fn processor(number: usize, guest: &'static Guest, own: u64) -> Processor {
    // SAFETY: nobody asks for a register: there is no line, and no other core that is interrupted.
    let registers = unsafe { Registers::new(0) };
    let clock = Clock::new(0, 1_000_000_000);
    let module = keep(Module {
        spaces: keep([Space { root: ROOT, ports: &[], guest: Some(guest) }]),
        none: Space { root: 0x3000, ports: &[], guest: None },
        timer: Timer { clock, rate: Rate::new(1_000_000_000), deadline: true, local: Local::new(registers) },
        io: IoApic::new(registers, 0, &[], false),
        iommu: None,
        apics: &[],
        features: Features { cr4: cr4::KERNEL | cr4::FSGSBASE, ibpb: false, l1d_flush: false, deadline: true },
    });
    let block = Box::leak(PerCore::new_box_zeroed().unwrap());
    let mut core = Processor::new(module, number as u32, block, keep(Context::default()));
    core.space = &module.spaces[0];
    core.context = own;
    core.page = (own + 2 * PAGE).wrapping_sub(PRIVATE);
    (core.page_virtual, core.index, core.flags) = (abi::SHIM + 0x8_0000, number as u32, VCPU_FP | VCPU_GUEST);
    guest.tlb.enter(number, || {});
    core.start(abi::VECTORS, 0, [0; 2], &VcpuHead::default());
    core
}

/// An operation, and where its arguments come from.
type Op = (u8, u64, u64, u64);

/// Numbers of which some are near something.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..16u64, 3 => 0..56u64, 1 => 250..280u64, 1 => 500..520u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec((0..64u8, number(), prop_oneof![number(), any::<u64>()], any::<u64>()), 1..most)
}

/// An entry that leads somewhere near, most often.
fn entry(c: u64) -> u64 {
    match c & 15 {
        0 => c >> 4,
        1 => (c >> 4 & 0xfff | 1 << 63) | (c >> 16 & 63) << 12,
        _ => 0x67 | ((c >> 16 & 63) % 50) << 12,
    }
}

impl World {
    fn step(&mut self, (op, a, b, c): Op) {
        let here = (c >> 62 & 1) as usize;
        let guest = self.guest;
        let core = &mut self.cores[here];
        match op {
            0..40 => {
                let own = [GuestCall::Create as u64 + u64::from(op) % 8, a, b, entry(c)];
                let [number, a, b, c] = match own[0] {
                    64 if op < 32 => [64, a, a % 4 + 1, b],
                    69 => [69, if a == 15 { NO_ROOT } else { a }, if b == 14 { NO_ROOT } else { b }, 0],
                    71 => [71, if c & 1 == 0 { a } else { 1 << 16 | a }, if op < 32 { segment(b, c) } else { b }, 0],
                    _ => own,
                };
                self.call(here, number, [a, b, c, 0, 0]);
            }
            40 => self.call(here, RESUME_FAST, [a, b, c, 0, 0]),
            41 => self.call(here, RESUME_FULL, [a, b, c, 0, 0]),
            42 => self.call(here, c, [a, b, c, 0, 0]),
            43..50 => {
                // SAFETY: a word of the test's memory.
                unsafe { self.word(a, b).write(entry(c)) };
            }
            50..54 => {
                let mut page = core.vcpu_page();
                use parzelle_tables::Queue;
                page.set_element(
                    a as usize % QUEUE,
                    if c & 1 == 0 { b } else { (b % 48) << 12 | ((c >> 8) % 512) << 3 },
                );
                page.set_count(if c & 0x70 == 0 { c >> 8 } else { a % 66 });
            }
            // Anything in what the shim has of the guest.
            54..57 => core.vcpu_page().set_guest((a as usize % 16) * 8, c),
            57 => {
                core.save_sides();
                assert!(GUESTS.iter().all(|&slot| core.block.gdt[slot % 16] == 0));
                core.sides().selectors = [a as u16, b as u16, c as u16, (c >> 16) as u16];
                core.load_sides();
            }
            58 => {
                // As the kernel's core has it: foreign code is told of, the shim is not.
                core.registers().rip = if c & 1 == 0 { a << 32 } else { c };
                if !core.shim_is_busy() {
                    core.reflect(&Upcall { entry: 1, stack: b, reason: UpcallReason::Events, events: a, fault: None });
                    assert!((abi::VECTORS..abi::VECTORS + abi::vector::END).contains(&core.registers().rip));
                }
            }
            59 => {
                core.registers().rip = abi::VECTORS + b % 0x1000;
                let guarded = (abi::vector::GUARDED..abi::vector::END).contains(&(b % 0x1000));
                assert_eq!(core.repair(c), guarded);
            }
            60 | 61 => self.cores[here].forget(),
            62 => guest.tlb.enter(here, || {}),
            _ if a == 1 => {
                // As at a restart: all vCPUs stop, all is taken from them, they start.
                for core in &mut self.cores {
                    let vcpu = VcpuRecord { context: core.context.wrapping_sub(PRIVATE), ..VcpuRecord::new_zeroed() };
                    core.stopped(&vcpu);
                }
                while self.cores[here].reset(0) {}
                for core in &mut self.cores {
                    core.start(abi::VECTORS, 0, [0; 2], &VcpuHead::default());
                }
            }
            _ => _ = guest.tlb.round(),
        }
    }

    fn call(&mut self, here: usize, number: u64, arguments: [u64; 5]) {
        let guest = self.guest;
        let core = &mut self.cores[here];
        // The answer is one of the interface's.
        match core.guest_call(guest, number, arguments) {
            Ok(None) => assert!(number >= RESUME_FULL),
            Ok(Some(value)) => assert!(value <= 2 || number == GuestCall::Flush as u64),
            Err(status) => assert!((1..=10).contains(&status) || (32..44).contains(&status)),
        }
    }
}

/// A descriptor near those that programs have.
fn segment(b: u64, c: u64) -> u64 {
    let flat = [0x00cf_fb00_0000_ffff, 0x00cf_f300_0000_ffff, 0x0000_ec00_0033_0000, 0x0000_8200_0000_0fff];
    flat[b as usize % 4] ^ 1 << (c >> 40 & 63)
}

fn attack(ops: &[Op], audit: usize) {
    let mut world = World::new();
    for (at, &op) in ops.iter().enumerate() {
        world.step(op);
        if at % audit == 0 {
            world.check();
        }
    }
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn whatever_a_shim_calls_the_invariants_hold(ops in ops(400)) {
        attack(&ops, 8);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2600, ..ProptestConfig::default() })]
    #[test]
    #[ignore = "a million calls"]
    fn whatever_a_shim_calls_the_invariants_hold_a_million_times(ops in ops(800)) {
        attack(&ops, 32);
    }
}

#[test]
fn a_table_that_is_said_to_be_made_is_there() {
    let mut world = World::new();
    let guest = world.guest;
    let number = |which: GuestCall| which as u64;
    // The other processor has nothing to flush.
    guest.tlb.leave(1, || {});
    // Three times through the pool: who comes again has to wait for a flush.
    for frame in (0..8).cycle().take(3 * POOL) {
        let made = (0..8).find_map(|_| {
            let answer = world.cores[0].guest_call(guest, number(GuestCall::Create), [frame, 1, 0, 0, 0]);
            (answer != Ok(Some(LATER))).then_some(answer)
        });
        assert_eq!(made, Some(Ok(Some(0))));
        assert_eq!(world.cores[0].guest_call(guest, number(GuestCall::Fill), [frame, 1, 0, 0, 0]), Ok(Some(0)));
        assert_eq!(world.cores[0].guest_call(guest, number(GuestCall::Destroy), [frame, 0, 0, 0, 0]), Ok(Some(0)));
    }
    world.check();
}
