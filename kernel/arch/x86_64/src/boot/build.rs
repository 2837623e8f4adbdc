// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From the plan to what the machine runs on: kernel objects, roots, the cores' blocks.

use super::acpi::Acpi;
use super::features::Features;
use super::image::{image, symbol};
use super::physical::BootWindow;
use super::{Refusal, ensure, find};
use crate::arena::Memory;
use crate::context::Context;
use crate::guest;
use crate::instructions as cpu;
use crate::iommu::{self, Iommu};
use crate::irqchip::IoApic;
use crate::layout::{COMMON, PAGE, common, physical};
use crate::machine::{Core, Module, Processor, Space};
use crate::mmio::Registers;
use crate::percore::{self, PerCore, STACKS_BYTES};
use crate::space;
use crate::timer::Timer;
use parzelle_core::CoreState;
use parzelle_core::machine::Arena as _;
use parzelle_paging::{Arena as Frames, Frame, Pa};
use parzelle_plan::{LineRecord, Plan};

/// What was built.
#[derive(Clone, Copy)]
pub(crate) struct System {
    /// What all cores share.
    pub(crate) module: &'static Module,
    /// The block of the core that boots.
    pub(crate) own: u64,
    /// The other cores' blocks.
    pub(crate) others: &'static [u64],
}

/// Builds.
pub(crate) fn build(
    plan: &Plan<'static>,
    memory: &BootWindow,
    acpi: &Acpi,
    timer: Timer,
    features: Features,
) -> Result<System, Refusal> {
    zero(plan, memory)?;
    let system = plan.system;
    let objects = percore::all_stacks(plan).end;
    let bytes = system.arena_bytes.saturating_sub(objects - system.arena);
    // SAFETY: the plan gives these ranges to the kernel alone; `check_memory` has seen that they
    // are RAM, and both the boot root and the kernel's map them. The stacks lie before.
    let mut arena = unsafe { Memory::new(objects, bytes, COMMON) };
    // The core that runs this has number 0.
    let boot_apic = timer.local.id();
    let others = acpi.apics().iter().copied().filter(|&apic| apic != boot_apic);
    let mut apics = core::iter::once(boot_apic).chain(others);
    let apics: &'static [u8] = arena.take(plan.cores().len(), |_, _| apics.next()).ok_or(Refusal::room("cores"))?;
    let io = io_apic(plan, apics, &mut arena)?;
    let sources = plan.lines().iter().filter_map(|record| {
        let source = if record.entry == 0 { acpi.iommu?.io_apic()? } else { record.source as u16 };
        Some((record, find::line(plan, apics, record.line)?.1, source))
    });
    let (root, spaces, iommu) = spaces(plan, &mut arena, &features, sources)?;
    let module = Module { spaces, none: Space { root, ports: &[], guest: None }, timer, io, iommu, apics, features };
    let module: &'static Module = arena.put(module).ok_or(Refusal::room("the module"))?;
    let (&own, others) = cores(plan, module, &mut arena)?.split_first().ok_or(Refusal::room("cores"))?;
    Ok(System { module, own, others })
}

/// Zeroes what the plan wants zero, and all contexts: the first switch to a vCPU restores from
/// there.
fn zero(plan: &Plan<'_>, memory: &BootWindow) -> Result<(), Refusal> {
    let ranges = plan.memory().iter().filter(|record| record.zero == 1);
    let ranges = ranges.map(|record| (record.name, record.address, record.bytes));
    let contexts = plan.vcpus().iter().map(|vcpu| (plan.system.name, vcpu.context, PAGE));
    for (name, address, bytes) in ranges.chain(contexts) {
        let at = memory.at(address, bytes).ok_or(Refusal::reach(name, address))?;
        // SAFETY: mapped; memory of partitions, none of which runs yet.
        unsafe { cpu::zero(at as *mut u64, (bytes / 8) as usize) };
    }
    Ok(())
}

/// Builds all tables: the kernel's root, those of the partitions, the IOMMU's.
fn spaces(
    plan: &Plan<'static>,
    arena: &mut Memory,
    features: &Features,
    sources: impl Iterator<Item = (&'static LineRecord, u8, u16)>,
) -> Result<(u64, &'static [Space], Option<Iommu>), Refusal> {
    let system = plan.system;
    let count = (system.tables_bytes / PAGE) as usize;
    let first = common(system.tables) as *const Frame;
    ensure(system.tables.is_multiple_of(PAGE), Refusal::room("page tables: it begins in the middle of a page"))?;
    // SAFETY: RAM that the plan gives to the kernel alone, aligned, mapped by the boot root. Any
    // bytes are a frame. The reference ends with boot; the roots stay.
    let frames = unsafe { core::slice::from_raw_parts(first, count) };
    let mut tables = Frames::new(frames, Pa(system.tables));
    let kernel = space::kernel(plan, &image(), &mut tables)?;
    let shared = space::shared(&tables, kernel)?;
    let mut refusal = Refusal::room("roots");
    let spaces = arena.take(plan.partitions().len(), |arena, index| {
        let record = plan.partitions().get(index)?;
        let root = space::partition(plan, index, shared, &mut tables).map_err(|found| refusal = found).ok()?.0;
        let guest = guest::make(plan, record, features, [root, physical(symbol::root())], arena);
        let guest = guest.map_err(|found| refusal = found).ok()?;
        // A guest's programs would have them, too.
        let ports = if guest.is_some() { &[] } else { record.io_ports.of(plan.io_ports()) };
        Some(Space { root, ports, guest })
    });
    let iommu = match system.iommu {
        0 => None,
        _ => Some(iommu::build(plan, kernel, &mut tables, sources)?),
    };
    Ok((kernel.0, spaces.ok_or(refusal)?, iommu))
}

fn io_apic(plan: &Plan<'_>, apics: &[u8], arena: &mut Memory) -> Result<IoApic, Refusal> {
    // SAFETY: the address was compared with the firmware's; boot's root and all later map it.
    let registers = unsafe { Registers::new(common(plan.system.irqchip_cpu)) };
    let count = IoApic::count(registers);
    let all = find::check_lines(plan, count)?;
    let lines = arena
        .take(all as usize, |_, line| Some(IoApic::line(find::line(plan, apics, line as u32))))
        .ok_or(Refusal::room("interrupt lines"))?;
    Ok(IoApic::new(registers, count, lines, plan.system.iommu != 0))
}

// What the tool adds to the arena for this crate: 64 KiB for a core, 64 bytes for a vCPU and for a
// partition.
const _: () = {
    assert!(STACKS_BYTES as usize + size_of::<PerCore>() + size_of::<Core>() + 1024 <= 64 << 10);
    assert!(size_of::<Space>() <= 64);
};

/// Makes the blocks and states of all cores.
fn cores(plan: &Plan<'static>, module: &'static Module, arena: &mut Memory) -> Result<&'static [u64], Refusal> {
    let booted = parzelle_core::boot(*plan, arena).map_err(Refusal::Core)?;
    let blocks = arena.take(booted.cores.len(), |_, _| Some(0u64)).ok_or(Refusal::room("cores"))?;
    for (number, (data, at)) in booted.cores.iter_mut().zip(blocks.iter_mut()).enumerate() {
        let block = arena.zeroed::<PerCore>().ok_or(Refusal::room("a core's block"))?;
        let stacks = common(plan.system.arena) + number as u64 * STACKS_BYTES;
        block.settle(stacks);
        let idle = arena.put(Context::default()).ok_or(Refusal::room("a core's context"))?;
        *at = core::ptr::from_mut(block) as u64;
        // The processor owns the block from here on; the entry reads and writes its first words,
        // between the processor's turns.
        let owned = *at as *mut PerCore;
        // SAFETY: taken from the arena just now; `block` isn't used any more.
        let processor = Processor::new(module, number as u32, unsafe { &mut *owned }, idle);
        let state = arena.put(CoreState::new(booted.shared, data, processor)).ok_or(Refusal::room("a core's state"))?;
        let state = core::ptr::from_mut(state) as u64;
        // SAFETY: no core uses the block yet; the processor keeps its reference asleep.
        unsafe { (*owned).core = state };
    }
    Ok(blocks)
}
