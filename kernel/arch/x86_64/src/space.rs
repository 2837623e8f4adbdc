// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Roots: one without a partition, one for each partition.
//!
//! ```text
//!   the kernel's root        a partition's root
//!    [256] ─► image            [0–255] ─► its regions (host space); a guest partition's: [258]
//!             plan, payload    [256] = the kernel's, linked
//!             arena            [257] ─► its private kernel maps
//!             irq chip
//!             common maps
//! ```

use crate::boot::{Refusal, ensure};
use crate::layout::{COMMON_SLOT, PAGE, WINDOW, common, private};
use crate::percore::{self, STACKS_BYTES};
use core::ops::Range;
use parzelle_abi::names::layout::END;
use parzelle_abi::names::{NAME, Name};
use parzelle_abi::x86_64::SHIM;
use parzelle_paging::{Access, LongMode, Mapping, Memory, Pa, Subtree, Tables, link, map, subtree, translate};
use parzelle_plan::{DEVICE, EXECUTE, NONE, Plan, SPACE_HOST, WRITE};

/// The parts of the kernel's image, as physical ranges that begin and end at pages.
#[derive(Clone, Debug)]
pub struct Image {
    /// Code.
    pub text: Range<u64>,
    /// Constants.
    pub constants: Range<u64>,
    /// Data, zeros included; it ends where the plan begins.
    pub data: Range<u64>,
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap_or(Name([0; NAME]))
}

/// What may be done with a range, and how the caches see it.
pub(crate) type Rights = (Access, Memory);

const READ: Rights = (Access::READ, Memory::Normal);
const READ_EXECUTE: Rights = (Access::READ_EXECUTE, Memory::Normal);
const READ_WRITE: Rights = (Access::READ_WRITE, Memory::Normal);
pub(crate) const REGISTERS: Rights = (Access::READ_WRITE, Memory::Device);

/// Maps a physical range at `va`.
pub(crate) fn put(
    t: &mut impl Tables,
    root: Pa,
    what: Name,
    va: u64,
    pa: Range<u64>,
    rights: Rights,
) -> Result<(), Refusal> {
    ensure(pa.end <= WINDOW, Refusal::reach(what, pa.start))?;
    let (access, memory) = rights;
    let mapping = Mapping { va, pa: Pa(pa.start), len: pa.end.saturating_sub(pa.start), access, memory };
    if mapping.len == 0 {
        Ok(())
    } else {
        map::<LongMode>(t, root, &mapping).map_err(|error| Refusal::Map(what, error))
    }
}

/// Maps what the plan wants the kernel to see: of `partition` through the private window, or, with
/// [`NONE`], of all through the common one.
fn put_kernel_maps(tables: &mut impl Tables, root: Pa, plan: &Plan<'_>, partition: u32) -> Result<(), Refusal> {
    for record in plan.kernel_maps().iter().filter(|record| record.partition == partition) {
        let at = if partition == NONE { common(record.address) } else { private(record.address) };
        let rights = rights(record.access & !EXECUTE);
        put(tables, root, name("kernel map"), at, range(record.address, record.bytes), rights)?;
    }
    Ok(())
}

fn range(address: u64, bytes: u64) -> Range<u64> {
    address..address.saturating_add(bytes)
}

fn rights(access: u32) -> Rights {
    let rights = Access { read: true, write: access & WRITE != 0, execute: access & EXECUTE != 0, user: false };
    (rights, if access & DEVICE != 0 { Memory::Device } else { Memory::Normal })
}

/// Builds the root without a partition.
///
/// # Errors
/// A mapping that is refused.
pub fn kernel(plan: &Plan<'_>, image: &Image, tables: &mut impl Tables) -> Result<Pa, Refusal> {
    let root = tables.alloc().ok_or(Refusal::room("the kernel's root"))?;
    let system = plan.system;
    let rest = image.data.end..system.image.saturating_add(system.image_bytes).next_multiple_of(PAGE);
    // The arena begins with the cores' stacks, between pages that are never mapped.
    let stacks = percore::all_stacks(plan);
    let own = [
        ("kernel code", image.text.clone(), READ_EXECUTE),
        ("kernel constants", image.constants.clone(), READ),
        ("kernel data", image.data.clone(), READ_WRITE),
        ("plan and programs", rest, READ),
        ("kernel objects", stacks.end..system.arena.saturating_add(system.arena_bytes), READ_WRITE),
        ("local APIC", range(system.irqchip_base, PAGE), REGISTERS),
        ("IO-APIC", range(system.irqchip_cpu, PAGE), REGISTERS),
        ("IOMMU", range(system.iommu, if system.iommu == 0 { 0 } else { PAGE }), REGISTERS),
    ];
    let stacks = stacks.step_by(STACKS_BYTES as usize).flat_map(percore::stacks);
    let stacks = stacks.map(|stack| ("kernel stack", stack, READ_WRITE));
    for (what, range, rights) in own.into_iter().chain(stacks) {
        put(tables, root, name(what), common(range.start), range, rights)?;
    }
    put_kernel_maps(tables, root, plan, NONE)?;
    // What boot sets up and what silences a device must be reachable whoever is current.
    let accesses = plan.setups().iter().map(|setup| &setup.access).chain(plan.quiesces());
    let registers = accesses.filter(|access| access.width != 0).map(|access| access.address);
    for address in registers.chain(plan.lines().iter().map(|line| line.entry).filter(|&entry| entry != 0)) {
        let is_there = translate::<LongMode>(tables, root, common(address)).is_some();
        ensure(is_there, Refusal::Named(name("a device's register"), address, "has no common kernel map"))?;
    }
    Ok(root)
}

/// Finds the subtree that all roots share.
///
/// # Errors
/// When `root` was not built by [`kernel`].
pub fn shared(tables: &impl Tables, root: Pa) -> Result<Subtree, Refusal> {
    subtree::<LongMode>(tables, root, COMMON_SLOT).ok_or(Refusal::room("the kernel's half"))
}

/// Builds the root of partition `index`.
///
/// # Errors
/// A mapping that is refused.
pub fn partition(plan: &Plan<'_>, index: usize, kernel: Subtree, tables: &mut impl Tables) -> Result<Pa, Refusal> {
    let root = tables.alloc().ok_or(Refusal::room("a partition's root"))?;
    link::<LongMode>(tables, root, kernel).map_err(|error| Refusal::Map(name("the kernel's half"), error))?;
    let Some(record) = plan.partitions().get(index) else {
        return Ok(root);
    };
    let base = if record.tables_bytes == 0 { 0 } else { SHIM };
    for region in record.regions.of(plan.regions()).iter().filter(|region| region.space == SPACE_HOST) {
        let inside = base <= region.address && range(region.address, region.bytes).end <= base + END;
        ensure(inside, Refusal::reach(region.name, region.address))?;
        let (access, memory) = rights(region.access);
        let physical = range(region.physical, region.bytes);
        put(tables, root, region.name, region.address, physical, (Access { user: true, ..access }, memory))?;
    }
    put_kernel_maps(tables, root, plan, index as u32)?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parzelle_paging::{Arena, Frame, audit, leaves};
    use parzelle_plan::{CoreRecord, KernelMapRecord, PartitionRecord, PlanBuilder, READ, RegionRecord, Span};
    use zerocopy::IntoBytes;

    const IMAGE: u64 = 0x20_0000;

    fn image() -> Image {
        Image {
            text: IMAGE..IMAGE + 0x3000,
            constants: IMAGE + 0x3000..IMAGE + 0x4000,
            data: IMAGE + 0x4000..IMAGE + 0x8000,
        }
    }

    fn builder() -> PlanBuilder {
        let mut builder = PlanBuilder::default();
        builder.system.image = IMAGE;
        builder.system.image_bytes = 0x2_0000;
        builder.system.arena = 0x100_0000;
        builder.system.arena_bytes = 0x20_0000;
        builder.system.irqchip_base = 0xfee0_0000;
        builder.system.irqchip_cpu = 0xfec0_0000;
        for index in 0..2u64 {
            builder.partitions.push(PartitionRecord {
                regions: Span { first: index as u32, count: 1 },
                kernel_maps: Span { first: index as u32, count: 1 },
                ..Default::default()
            });
            builder.regions.push(RegionRecord {
                address: 0x40_0000,
                physical: 0x200_0000 + index * 0x10_0000,
                bytes: 0x4000,
                access: READ | WRITE,
                ..Default::default()
            });
            builder.kernel_maps.push(KernelMapRecord {
                address: 0x200_0000 + index * 0x10_0000,
                bytes: 0x1_0000,
                access: READ | WRITE,
                partition: index as u32,
            });
        }
        builder
    }

    fn with_plan(builder: &PlanBuilder, test: impl FnOnce(&Plan<'_>, &mut Arena<'_>)) {
        let blob = builder.write();
        let mut words = vec![0u64; blob.len().div_ceil(8)];
        words.as_mut_bytes()[..blob.len()].copy_from_slice(&blob);
        let plan = Plan::read(words.as_bytes()).unwrap();
        let frames: Vec<Frame> = (0..64).map(|_| Frame::new()).collect();
        test(&plan, &mut Arena::new(&frames, Pa(0x5000_0000)));
    }

    #[test]
    fn a_partition_sees_its_own_and_the_kernel_nothing_of_it_elsewhere() {
        with_plan(&builder(), |plan, tables| {
            let root = kernel(plan, &image(), tables).unwrap();
            let tree = shared(tables, root).unwrap();
            let first = partition(plan, 0, tree, tables).unwrap();
            let second = partition(plan, 1, tree, tables).unwrap();
            for (root, own) in [(first, 0x200_0000u64), (second, 0x210_0000)] {
                let range = own..own + 0x10_0000;
                audit::<LongMode>(tables, root, |leaf| {
                    let kernel_half = leaf.va >> 63 == 1;
                    let shared = (common(0)..private(0)).contains(&leaf.va);
                    leaf.access.user != kernel_half
                        && (shared || range.contains(&leaf.pa.0))
                        && !(shared && (0x200_0000..0x220_0000).contains(&leaf.pa.0))
                })
                .unwrap();
                assert!(translate::<LongMode>(tables, root, private(own)).is_some());
            }
            assert_eq!(
                leaves::<LongMode, _>(tables, root).filter(|leaf| leaf.is_ok_and(|leaf| leaf.access.user)).count(),
                0
            );
        });
    }

    #[test]
    fn the_kernel_is_not_writable_where_it_executes() {
        with_plan(&builder(), |plan, tables| {
            let root = kernel(plan, &image(), tables).unwrap();
            let at = |pa: u64| translate::<LongMode>(tables, root, common(pa)).unwrap().access;
            assert_eq!(at(IMAGE), Access::READ_EXECUTE);
            assert_eq!(at(IMAGE + 0x3000), Access::READ);
            assert_eq!(at(IMAGE + 0x4000), Access::READ_WRITE);
            assert_eq!(at(IMAGE + 0x8000), Access::READ, "the plan");
            assert!(translate::<LongMode>(tables, root, common(IMAGE + 0x2_0000)).is_none());
        });
    }

    #[test]
    fn below_each_stack_nothing_is_mapped() {
        let mut two = builder();
        two.cores = vec![CoreRecord::default(); 2];
        with_plan(&two, |plan, tables| {
            let root = kernel(plan, &image(), tables).unwrap();
            let mapped = |pa: u64| translate::<LongMode>(tables, root, common(pa)).is_some();
            for core in 0..2 {
                for stack in percore::stacks(0x100_0000 + core * STACKS_BYTES) {
                    assert!(!mapped(stack.start - 1) && !mapped(stack.start - PAGE));
                    assert!(mapped(stack.start) && mapped(stack.end - 1));
                }
            }
            assert!(mapped(0x100_0000 + 2 * STACKS_BYTES), "kernel objects");
        });
    }

    #[test]
    fn what_lies_too_high_is_refused() {
        let mut high = builder();
        high.regions[1].address = END;
        with_plan(&high, |plan, tables| {
            let root = kernel(plan, &image(), tables).unwrap();
            let tree = shared(tables, root).unwrap();
            assert!(matches!(partition(plan, 1, tree, tables), Err(Refusal::Named(..))));
        });
        let mut far = builder();
        far.kernel_maps[0].address = WINDOW;
        with_plan(&far, |plan, tables| {
            let root = kernel(plan, &image(), tables).unwrap();
            let tree = shared(tables, root).unwrap();
            assert!(matches!(partition(plan, 0, tree, tables), Err(Refusal::Named(..))));
        });
    }
}
