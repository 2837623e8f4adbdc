// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Making what a guest partition's vCPUs share, at boot.

use super::Guest;
use super::window::Window;
use crate::arena::Memory;
use crate::boot::{Features, Refusal, ensure};
use crate::instructions as cpu;
use crate::layout::{COMMON_SLOT, PAGE, common, private};
use crate::registers::cr4;
use core::sync::atomic::{AtomicU64, AtomicUsize};
use parzelle_core::machine::Arena as _;
use parzelle_paging::LongMode;
use parzelle_plan::{EXECUTE, PartitionRecord, Plan, SPACE_GUEST, WRITE};
use parzelle_tables::{Descriptor, KERNEL_SLOTS, Region, Setup, Tables, Tlb};
use spin::mutex::TicketMutex;

/// Makes it for a partition with a pool; `host` is its root, `boot` the one that is loaded.
///
/// # Errors
/// No room in the arena, or what the plan says of its memory and the pool doesn't fit together.
pub(crate) fn make(
    plan: &Plan<'_>,
    record: &PartitionRecord,
    features: &Features,
    [host, boot]: [u64; 2],
    arena: &mut Memory,
) -> Result<Option<&'static Guest>, Refusal> {
    if record.tables_bytes == 0 {
        return Ok(None);
    }
    let is_able = features.cr4 & cr4::FSGSBASE != 0;
    ensure(is_able, Refusal::Sentence("for a guest partition", "the processor has no FSGSBASE"))?;
    let room = || Refusal::room("a guest's page tables");
    let mut memory = record.regions.of(plan.regions()).iter().filter(|region| region.space == SPACE_GUEST);
    let end = memory.clone().map(|region| region.address.saturating_add(region.bytes)).max().unwrap_or(0);
    let regions = arena.take(memory.clone().count(), |_, _| {
        let region = memory.next()?;
        let [write, execute] = [WRITE, EXECUTE].map(|right| region.access & right != 0);
        Some(Region::new(region.address, region.bytes, region.physical, write, execute))
    });
    let frames = (record.tables_bytes / PAGE) as usize;
    let passed = arena.take(plan.cores().len(), |_, _| Some(AtomicU64::new(0))).ok_or_else(room)?;
    let tlb = arena.put(Tlb::new(passed)).ok_or_else(room)?;
    // What the kernel has in each root, and the shim in some.
    let slots = [LongMode::SHIM_SLOT + 1, LongMode::SHIM_SLOT].map(|end| {
        let mut slots = [0; KERNEL_SLOTS.end - KERNEL_SLOTS.start];
        for (word, slot) in slots.iter_mut().zip(COMMON_SLOT..end) {
            let entry = (common(host) as *const u64).wrapping_add(slot);
            // SAFETY: an entry of a root that boot has just made, in memory that its root maps.
            *word = unsafe { entry.read() };
        }
        slots
    });
    let setup = Setup {
        pool: record.tables,
        descriptors: arena.take(frames, |_, _| Some(Descriptor::default())).ok_or_else(room)?,
        names: arena.take((end / PAGE) as usize, |_, _| Some(0)).ok_or_else(room)?,
        regions: regions.ok_or_else(room)?,
        roots: arena.take(record.vcpus.count as usize, |_, _| Some([0; 2])).ok_or_else(room)?,
        slots,
        host,
        tlb,
    };
    // SAFETY: the plan has kernel maps for the pool and for the partition's memory, which are in `host`; the service is
    // used only while that or one of its own roots is loaded, by cores whose vCPU is the partition's.
    let window = unsafe { Window::new(record.tables, frames as u32) };
    // SAFETY: maps the kernel's image and arena as boot's root does.
    unsafe { cpu::write_cr3(host) };
    let tables = Tables::new(setup, window);
    // SAFETY: the root that was loaded before.
    unsafe { cpu::write_cr3(boot) };
    let tables =
        tables.map_err(|_| Refusal::Sentence("a guest's page tables:", "pool and memory do not fit together"))?;
    let numbers = record.vcpus.of(plan.partition_vcpus());
    let vcpus = arena.take(numbers.len(), |_, index| {
        let vcpu = plan.vcpus().get(*numbers.get(index)? as usize)?;
        Some((vcpu.core, private(vcpu.context)))
    });
    let guest = Guest {
        empty: tables.roots(usize::MAX)[1],
        tables: TicketMutex::new(tables),
        tlb,
        vcpus: vcpus.ok_or_else(room)?,
        life: AtomicU64::new(1),
        cleared: AtomicUsize::new(0),
    };
    arena.put(guest).map(|guest| Some(&*guest)).ok_or_else(room)
}
