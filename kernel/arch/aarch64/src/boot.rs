// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From the boot loader to the first window: checks, then objects, then tables, then cores.
//!
//! Nothing is started before everything was checked; what can't be honoured is named.

use crate::arena::Carver;
use crate::core_block::{BLOCK, CORES_MAX, Core, PAGE, block, core_of};
use crate::devicetree;
use crate::gicv3::AFFINITY;
use crate::irqchip::{FIRST_LINE, IrqChip, SPECIAL};
use crate::machine::Processor;
use crate::mmio::Mmio;
use crate::refusal::{Refusal, same};
use crate::registers::{clean_to_memory, dsb_sy, flush_all, isb};
use crate::space::{self, Image};
use crate::timer::Clock;
use crate::{console, control, cores, memory};
use aarch64_cpu::registers::{MPIDR_EL1, Readable, TTBR0_EL2, Writeable};
use core::fmt::Arguments;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use parzelle_core::CoreState;
use parzelle_core::machine::Halt;
use parzelle_paging::{Frame, Pa};
use parzelle_plan::{ARCH_AARCH64, LINE_EDGE, Plan, REVISION};

/// What a board is to this crate.
pub struct Board {
    /// Its name in plans.
    pub name: &'static str,
    /// How it prints.
    pub print: fn(Arguments<'_>),
}

/// The largest plan that is looked at, in bytes.
const PLAN_MAX: u64 = 64 << 20;
/// Bytes of an entry of the early table.
const GIB: u64 = 1 << 30;

/// The table with which the MMU is first on: blocks of 1 GiB. The board exports its own for boot.S,
/// as `parzelle_early_table`.
#[repr(C, align(4096))]
pub struct EarlyTable([AtomicU64; 512]);

impl EarlyTable {
    /// Device memory in the first GiB, and RAM in the one where the board's image lies.
    pub const fn new(image: u64) -> EarlyTable {
        let mut entries = [const { AtomicU64::new(0) }; 512];
        entries[0] = AtomicU64::new(crate::EARLY_DEVICE);
        entries[(image / GIB) as usize] = AtomicU64::new((image / GIB * GIB) | crate::EARLY_NORMAL);
        EarlyTable(entries)
    }
}

unsafe extern "C" {
    /// The board's.
    static parzelle_early_table: EarlyTable;
    /// Where the parts of the image begin (kernel.ld).
    static _start: u8;
    static __rodata_start: u8;
    static __data_start: u8;
    static __image_end: u8;
}

/// Where the image lies.
fn image() -> Image {
    Image {
        text: &raw const _start as u64,
        rodata: &raw const __rodata_start as u64,
        data: &raw const __data_start as u64,
        end: &raw const __image_end as u64,
    }
}

/// Lets the early table cover a range of RAM.
fn reach(address: u64, bytes: u64) {
    for gib in address / GIB..=address.saturating_add(bytes.max(1) - 1) / GIB {
        // SAFETY: the board has made the table; entries are words that the walker reads as a whole.
        let table = unsafe { &parzelle_early_table };
        if let Some(entry) = table.0.get(gib as usize)
            && entry.load(Relaxed) == 0
        {
            entry.store((gib * GIB) | crate::EARLY_NORMAL, Relaxed);
        }
    }
    dsb_sy();
    isb();
}

/// Boots; called by the board, on the boot core, with the device tree's address.
pub fn boot(board: &Board, device_tree: u64) -> ! {
    console::set(board.print);
    match prepare(board, device_tree) {
        // SAFETY: `prepare` has prepared this core, and nothing is needed from its stack.
        Ok(epoch) => unsafe { cores::run(core_of(0) as u64, epoch) },
        Err(refused) => refuse(refused),
    }
}

/// Everything before the first window. Returns the epoch.
fn prepare(board: &Board, device_tree: u64) -> Result<u64, Refusal> {
    let image = image();
    let (plan, digest) = find_plan(image.end)?;
    let system = plan.system;
    same("the plan's architecture", None, u64::from(ARCH_AARCH64), u64::from(system.arch))?;
    if system.board.as_str() != board.name {
        return Err(Refusal::Board(board.name));
    }
    let image_end = system.image.saturating_add(system.image_bytes);
    same("where the plan's image begins", None, image.text, system.image)?;
    same("where the plan's image ends", None, image_end.max(image.end), image_end)?;
    let clock = Clock::start().ok_or(Refusal::Missing("a frequency of the counter (CNTFRQ_EL0)"))?;
    let affinities = check_board(&plan, device_tree)?;
    check_segments(&plan)?;
    for record in plan.memory() {
        reach(record.address, record.bytes);
        if record.zero == 1 {
            memory::zero(record.address, record.bytes);
            // A guest whose MMU is off reads past the caches. (Its own RAM is not zeroed here: the
            // shim prepares and cleans what it loads there.)
            clean_to_memory(record.address, record.bytes);
        }
    }

    // SAFETY: the device tree has confirmed that the arena is RAM; the plan gives it to the kernel.
    let mut arena = unsafe { Carver::new(system.arena, system.arena_bytes) };
    let booted = parzelle_core::boot(plan, &mut arena).map_err(Refusal::Core)?;
    let ttbr = tables(&plan, image)?;

    // SAFETY: the device tree has confirmed that the controller is there; the kernel's table maps
    // it, no partition has it (a rule of the plan's resolver).
    let part = |base| unsafe { Mmio::new(base) };
    let parts = [system.irqchip_base, system.irqchip_cpu, system.irqchip_hyp];
    let chip = IrqChip::new(system.irqchip == 2, parts.map(part));
    chip.init_distributor();
    for (index, line) in plan.lines().iter().enumerate() {
        let nearest = line.line.clamp(FIRST_LINE, SPECIAL - 1);
        same("the number of the shared line", Some(index), u64::from(nearest), u64::from(line.line))?;
        chip.configure(line.line, line.flags & LINE_EDGE != 0);
    }
    for (number, data) in booted.cores.iter_mut().enumerate() {
        let state = CoreState::new(booted.shared, data, Processor::new(number, clock, chip));
        // SAFETY: no core but this one runs, and this one not from its block yet.
        unsafe { Core::prepare(number, state) };
    }
    // SAFETY: just prepared, and not in use yet.
    init_core(unsafe { &mut *core_of(0) })?;
    let others = plan.cores().len() - 1;
    for (number, affinity) in affinities.iter().enumerate().skip(1).take(others) {
        cores::start(number, *affinity, ttbr)?;
    }
    console::print(format_args!(
        "parzelle: {} on {}, partitions: {}, cores: {}, plan digest {digest:016x} (format {REVISION})\n",
        system.name.as_str(),
        board.name,
        plan.partitions().len(),
        plan.cores().len(),
    ));
    cores::agree(others, &clock)
}

/// Finds the plan behind the image.
fn find_plan(address: u64) -> Result<(Plan<'static>, u64), Refusal> {
    let bytes = |length: u64| {
        // SAFETY: what lies behind the image is RAM that the early table maps, and only read.
        unsafe { core::slice::from_raw_parts(address as *const u8, length as usize) }
    };
    let head = bytes(Plan::HEADER_BYTES as u64);
    let length = Plan::total_bytes(head).map_err(Refusal::Plan)?;
    let plan = Plan::read(bytes(length.min(PLAN_MAX))).map_err(Refusal::Plan)?;
    Ok((plan, memory::read_word(address + 8)))
}

/// Holds the plan against the device tree, and takes the cores' affinities from there.
fn check_board(plan: &Plan<'_>, address: u64) -> Result<[u64; CORES_MAX], Refusal> {
    const MISSING: Refusal = Refusal::Missing("a device tree: x0 should hold its address");
    if address == 0 || !address.is_multiple_of(8) {
        return Err(MISSING);
    }
    reach(address, 4096);
    let head = memory::read_word(address);
    let length = devicetree::total_bytes(head as u32, (head >> 32) as u32).ok_or(MISSING)?;
    reach(address, length as u64);
    // SAFETY: the boot loader has left the tree there; it is only read, and not kept.
    let words = unsafe { core::slice::from_raw_parts(address as *const u32, length / 4) };
    let affinities = devicetree::check(words, plan)?;
    let [first, ..] = affinities;
    same("the device tree's first core, which should be the one that boots,", None, MPIDR_EL1.get() & AFFINITY, first)?;
    Ok(affinities)
}

/// Proves that no part of the image was changed.
fn check_segments(plan: &Plan<'_>) -> Result<(), Refusal> {
    let system = plan.system;
    let image = system.image..system.image.saturating_add(system.image_bytes);
    reach(system.image, system.image_bytes);
    for (index, segment) in plan.segments().iter().enumerate() {
        let end = segment.address.saturating_add(segment.bytes);
        let inside = image.contains(&segment.address) && end <= image.end;
        same("images that hold segment", Some(index), 1, u64::from(inside))?;
        // SAFETY: within the image, which is RAM that the early table maps, and only read.
        let bytes = unsafe { core::slice::from_raw_parts(segment.address as *const u8, segment.bytes as usize) };
        same("the digest of segment", Some(index), segment.digest, parzelle_plan::digest(bytes))?;
    }
    Ok(())
}

/// Builds all page tables and switches to the kernel's own. Returns TTBR0_EL2.
fn tables(plan: &Plan<'_>, image: Image) -> Result<u64, Refusal> {
    let system = plan.system;
    let count = system.tables_bytes as usize / PAGE;
    // SAFETY: the device tree has confirmed that this is RAM, the early table maps it, and the plan
    // gives it to the kernel for tables; `Frame` is words of any value.
    let frames = unsafe { core::slice::from_raw_parts(system.tables as *const Frame, count) };
    let mut arena = parzelle_paging::Arena::new(frames, Pa(system.tables));
    let guards: [u64; CORES_MAX] = core::array::from_fn(|core| block(core) as u64);
    let ttbr = space::kernel(&mut arena, plan, image, &guards)?;
    let wide_vmid = control::Features::read().wide_vmid;
    // SAFETY: contexts are RAM of the plan, which the early table maps; nothing runs.
    unsafe { space::partitions(&mut arena, plan, wide_vmid) }?;
    dsb_sy();
    TTBR0_EL2.set(ttbr);
    isb();
    flush_all();
    Ok(ttbr)
}

/// Sets up what is this core's own.
fn init_core(core: &mut Core) -> Result<(), Refusal> {
    control::init();
    let is_there = core.state.machine.chip.init_core(core.number);
    same("parts of the interrupt controller for core", Some(core.number), 1, u64::from(is_there))
}

/// Says why, and ends the module.
fn refuse(refused: Refusal) -> ! {
    console::print(format_args!("parzelle: refused: {refused}\n"));
    console::halt(Halt::Fail)
}

/// A secondary core, from boot.S.
///
/// # Safety
/// Only for boot.S: this is `core`, which the boot core has prepared and is done with.
#[unsafe(export_name = "parzelle_secondary_boot")]
unsafe extern "C" fn secondary(core: *mut Core) -> ! {
    // SAFETY: the caller's promise.
    match init_core(unsafe { &mut *core }) {
        // SAFETY: prepared by the boot core; nothing is needed from this stack.
        Ok(()) => unsafe { cores::run(core as u64, cores::join()) },
        Err(refused) => refuse(refused),
    }
}

const _: () = assert!(BLOCK.is_multiple_of(PAGE));
