// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! How much memory the kernel needs for a plan: measured by letting the kernel do its work, on the
//! host. If this passes, the kernel boots; what it would refuse is found here.

use parzelle_abi::PAGE;
use parzelle_core::Refusal;
use parzelle_core::machine::fake::Heap;
use parzelle_paging::{
    Access, Counting, El2, Format, GuestStage2, LongMode, MapError, Mapping, Memory, Pa, SecondLevel, Stage2, Tables,
    map,
};
use parzelle_plan::*;
use zerocopy::IntoBytes;

/// What boot takes.
pub(crate) struct Measured {
    pub(crate) arena: u64,
    pub(crate) tables: u64,
}

/// What an architecture takes of the arena for a core: on x86-64 its stacks (one ordinary, four for
/// exceptions that come at any time) and its map of 65,536 I/O ports.
const CORE_BYTES: u64 = 64 << 10;
/// The same for a vCPU: where its context and root are.
const VCPU_BYTES: u64 = 128;
/// The same for a partition: its roots.
const PARTITION_BYTES: u64 = 32;
/// The same for a guest partition on x86-64 that has a table pool.
const TABLES_BYTES: u64 = 4 << 10;
/// … for each frame of the guest's memory: the number of its table,
const NAME_BYTES: u64 = 4;
/// … for each frame of the pool: what is known of it,
const DESCRIPTOR_BYTES: u64 = 64;
/// … and for each core: its generations.
const GENERATION_BYTES: u64 = 64;
/// Why a plan does not boot.
pub(crate) enum Obstacle {
    /// The kernel refuses it: a bound of the kernel's, or a bug of lowering.
    Refused(Refusal),
    /// A bug of lowering.
    Bug(String),
}

/// Tables that are given beside what was counted: for registers that an architecture maps at boot,
/// and what an IOMMU has besides what devices reach.
const SPARE_TABLES: u64 = 24;

/// Boots a plan on the host.
pub(crate) fn measure(plan: &[u8]) -> Result<Measured, Obstacle> {
    let mut words = vec![0u64; plan.len().div_ceil(8)];
    if let Some(bytes) = words.as_mut_bytes().get_mut(..plan.len()) {
        bytes.copy_from_slice(plan);
    }
    // The kernel keeps its plan for good; so does this, for the short life of the tool.
    let plan =
        Plan::read(Box::leak(words.into_boxed_slice()).as_bytes()).map_err(|error| Obstacle::Bug(error.to_string()))?;
    let mut heap = Heap::default();
    parzelle_core::boot(plan, &mut heap).map_err(Obstacle::Refused)?;
    super::prove::fence(&plan).map_err(Obstacle::Bug)?;
    let tables = tables(&plan).map_err(Obstacle::Bug)?;
    let machine = CORE_BYTES * plan.cores().len() as u64
        + VCPU_BYTES * plan.vcpus().len() as u64
        + PARTITION_BYTES * plan.partitions().len() as u64
        + plan.partitions().iter().map(|partition| table_service(&plan, partition)).sum::<u64>();
    Ok(Measured {
        arena: with_reserve(heap.bytes as u64 + machine + PAGE),
        tables: with_reserve((tables + SPARE_TABLES) * PAGE),
    })
}

/// What the service of page tables takes for a partition.
fn table_service(plan: &Plan<'_>, partition: &PartitionRecord) -> u64 {
    if partition.tables_bytes == 0 {
        return 0;
    }
    let regions = plan.regions().get(partition.regions.range()).unwrap_or(&[]);
    let guest = regions.iter().filter(|region| region.space == SPACE_GUEST);
    let frames: u64 = guest.map(|region| region.bytes / PAGE).sum();
    NAME_BYTES * frames
        + DESCRIPTOR_BYTES * (partition.tables_bytes / PAGE)
        + GENERATION_BYTES * plan.cores().len() as u64
        + TABLES_BYTES
}

/// 5 % more, in whole pages.
fn with_reserve(bytes: u64) -> u64 {
    (bytes + bytes / 20).next_multiple_of(PAGE)
}

/// Counts the tables of all roots.
fn tables(plan: &Plan<'_>) -> Result<u64, String> {
    let mut count = 0;
    for partition in plan.partitions() {
        let say = |error: MapError| format!("the spaces of `{}`: {error:?}", partition.name.as_str());
        let regions = plan.regions().get(partition.regions.range()).unwrap_or(&[]);
        let space = |space: u32| {
            let here = regions.iter().filter(move |region| region.space == space);
            here.map(|r| mapping(r.address, r.physical, r.bytes, r.access, true))
        };
        if plan.system.arch == ARCH_AARCH64 {
            count += needed::<Stage2>(space(SPACE_HOST)).map_err(say)?;
            if regions.iter().any(|region| region.space == SPACE_GUEST) {
                count += needed::<GuestStage2>(space(SPACE_GUEST)).map_err(say)?;
            }
        } else {
            let maps = plan.kernel_maps().get(partition.kernel_maps.range()).unwrap_or(&[]);
            let private = maps.iter().map(|m| mapping(PRIVATE + m.address, m.address, m.bytes, m.access, false));
            count += needed::<LongMode>(space(SPACE_HOST).chain(private)).map_err(say)?;
            let reached = regions.iter().filter(|region| region.access & DMA != 0);
            let reached = reached.map(|r| mapping(r.physical, r.physical, r.bytes, r.access & !DMA, true));
            let buses = u64::from(partition.streams.count);
            count += buses + needed::<SecondLevel>(reached).map_err(say)?;
        }
    }
    let common = if plan.system.arch == ARCH_AARCH64 {
        needed::<El2>(kernel(plan, 0))
    } else {
        needed::<LongMode>(kernel(plan, COMMON))
    };
    Ok(count + common.map_err(|error| format!("the kernel's own space: {error:?}"))?)
}

/// Where x86-64 shows physical memory to all roots, and to one (the `layout` of its crate).
const COMMON: u64 = 0xffff_8000_0000_0000;
/// See [`COMMON`].
const PRIVATE: u64 = 0xffff_8080_0000_0000;

/// What the kernel maps for itself: image, arenas, and its maps; page by page, as the image's parts
/// have different rights.
fn kernel(plan: &Plan<'_>, offset: u64) -> impl Iterator<Item = Mapping> {
    let system = plan.system;
    let fixed =
        [(system.image, system.image_bytes), (system.arena, system.arena_bytes), (system.tables, system.tables_bytes)];
    let fixed = fixed.into_iter().flat_map(move |(start, bytes)| {
        (start..start + bytes).step_by(PAGE as usize).map(move |at| mapping(offset + at, at, PAGE, READ, false))
    });
    let one_map = system.arch == ARCH_AARCH64;
    let maps = plan.kernel_maps().iter().filter(move |map| one_map || map.partition == NONE);
    let maps = maps.map(move |m| mapping(offset + m.address, m.address, m.bytes, m.access, false));
    let maps: Vec<Mapping> = maps.collect();
    fixed.chain(maps)
}

fn mapping(va: u64, pa: u64, len: u64, access: u32, user: bool) -> Mapping {
    Mapping {
        va,
        pa: Pa(pa),
        len,
        access: Access { read: access & READ != 0, write: access & WRITE != 0, execute: access & EXECUTE != 0, user },
        memory: if access & DEVICE != 0 { Memory::Device } else { Memory::Normal },
    }
}

fn needed<F: Format>(mappings: impl Iterator<Item = Mapping>) -> Result<u64, MapError> {
    let mut tables = Counting::default();
    let root = tables.alloc().ok_or(MapError::OutOfTables)?;
    for mapping in mappings {
        map::<F>(&mut tables, root, &mapping)?;
    }
    Ok(tables.used() as u64)
}
