// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Page tables: the kernel's own, and stage 2 of every space.

use crate::context::{Context, FP, GUEST, SHARED_VMID, SIBLINGS};
use crate::guest::GuestContext;
use crate::refusal::{Refusal, same};
use parzelle_abi::PAGE;
use parzelle_paging::{Access, Arena, El2, GuestStage2, MapError, Mapping, Memory, Pa, Stage2, Tables, map};
use parzelle_plan::{
    DEVICE, EXECUTE, KernelMapRecord, Plan, READ, RegionRecord, SPACE_GUEST, SPACE_HOST, VCPU_FP, VCPU_GUEST,
    VcpuRecord, WRITE,
};

/// Where the kernel's image lies, from the linker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    pub(crate) text: u64,
    pub(crate) rodata: u64,
    pub(crate) data: u64,
    pub(crate) end: u64,
}

/// A range that the kernel maps one to one.
fn identity(address: u64, bytes: u64, access: Access, memory: Memory) -> Mapping {
    let first = address / PAGE * PAGE;
    let len = (address - first + bytes).next_multiple_of(PAGE);
    Mapping { va: first, pa: Pa(first), len, access, memory }
}

/// Bytes of the GIC's parts: GICD; GICR per core, GICC, GICH.
const GICD_BYTES: u64 = 0x1_0000;
const GICR_BYTES: u64 = 0x2_0000;
const GICC_BYTES: u64 = 0x2000;
const GICH_BYTES: u64 = 0x1000;

/// Builds the kernel's map: its image, the arena, the devices that it drives, and what the plan
/// lists. Returns TTBR0_EL2.
pub(crate) fn kernel(tables: &mut Arena<'_>, plan: &Plan<'_>, image: Image, guards: &[u64]) -> Result<u64, Refusal> {
    let root = tables.alloc().ok_or(out_of_tables("the kernel's root"))?;
    let mut add = |what, mapping: Mapping| {
        if mapping.len == 0 {
            return Ok(());
        }
        let refused = |error| Refusal::Mapping { what, address: mapping.va, error };
        map::<El2>(tables, root, &mapping).map_err(refused)
    };
    let system = plan.system;
    let image_end = system.image.saturating_add(system.image_bytes);
    add("text", identity(image.text, image.rodata - image.text, Access::READ_EXECUTE, Memory::Normal))?;
    add("constants", identity(image.rodata, image.data - image.rodata, Access::READ, Memory::Normal))?;
    let mut from = image.data;
    for &guard in guards {
        add("data", identity(from, guard - from, Access::READ_WRITE, Memory::Normal))?;
        from = guard + PAGE;
    }
    add("data", identity(from, image.end - from, Access::READ_WRITE, Memory::Normal))?;
    add("plan and payload", identity(image.end, image_end - image.end, Access::READ, Memory::Normal))?;
    add("the arena", identity(system.arena, system.arena_bytes, Access::READ_WRITE, Memory::Normal))?;
    let device = |address, bytes| identity(address, bytes, Access::READ_WRITE, Memory::Device);
    add("the distributor", device(system.irqchip_base, GICD_BYTES))?;
    if system.irqchip == 2 {
        add("the CPU interface", device(system.irqchip_cpu, GICC_BYTES))?;
        add("the virtual interface", device(system.irqchip_hyp, GICH_BYTES))?;
    } else {
        let bytes = GICR_BYTES * plan.cores().len() as u64;
        add("the redistributors", device(system.irqchip_cpu, bytes))?;
    }
    add("the console", device(system.console, PAGE))?;
    for record in plan.kernel_maps() {
        let KernelMapRecord { address, bytes, access, .. } = *record;
        let memory = if access & DEVICE != 0 { Memory::Device } else { Memory::Normal };
        let access = if access & WRITE != 0 { Access::READ_WRITE } else { Access::READ };
        add("a range of the plan", identity(address, bytes, access, memory))?;
    }
    Ok(root.0)
}

fn out_of_tables(what: &'static str) -> Refusal {
    Refusal::Mapping { what, address: 0, error: MapError::OutOfTables }
}

/// What a region of the plan means.
fn mapping(region: &RegionRecord) -> Mapping {
    let access = Access {
        read: region.access & READ != 0,
        write: region.access & WRITE != 0,
        execute: region.access & EXECUTE != 0,
        user: true,
    };
    let memory = if region.access & DEVICE != 0 { Memory::Device } else { Memory::Normal };
    Mapping { va: region.address, pa: Pa(region.physical), len: region.bytes, access, memory }
}

/// VMIDs: one for each space; when there are more spaces than VMIDs, spaces share them in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Vmids {
    usable: u64,
    shared: bool,
}

impl Vmids {
    /// VMID 0 is left to nobody: registers start with it.
    const fn new(spaces: u64, wide: bool) -> Vmids {
        let usable = if wide { 0xffff } else { 0xff };
        Vmids { usable, shared: spaces > usable }
    }

    /// VTTBR_EL2 of the space with this number.
    const fn vttbr(self, space: u64, root: Pa) -> u64 {
        (1 + space % self.usable) << 48 | root.0
    }
}

/// Builds the spaces of all partitions and makes the contexts of their vCPUs.
///
/// # Safety
/// The contexts that the plan names are RAM that EL2 maps, and nothing runs yet.
pub(crate) unsafe fn partitions(tables: &mut Arena<'_>, plan: &Plan<'_>, wide_vmid: bool) -> Result<(), Refusal> {
    let vcpus = plan.vcpus();
    let mut space = 0;
    let with_guest = |regions: &[RegionRecord]| regions.iter().any(|region| region.space == SPACE_GUEST);
    let guests = plan.partitions().iter().filter(|partition| with_guest(partition.regions.of(plan.regions()))).count();
    let vmids = Vmids::new((plan.partitions().len() + guests) as u64, wide_vmid);
    for partition in plan.partitions() {
        let regions = partition.regions.of(plan.regions());
        let has_guest = with_guest(regions);
        let mut root = |wanted: u32| -> Result<u64, Refusal> {
            let root = tables.alloc().ok_or(out_of_tables("a space"))?;
            for region in regions.iter().filter(|region| region.space == wanted) {
                let asked = mapping(region);
                let map = if wanted == SPACE_GUEST { map::<GuestStage2> } else { map::<Stage2> };
                let refused = |error| Refusal::Mapping { what: "a region", address: asked.va, error };
                map(tables, root, &asked).map_err(refused)?;
            }
            space += 1;
            Ok(vmids.vttbr(space - 1, root))
        };
        let host = root(SPACE_HOST)?;
        let guest = if has_guest { root(SPACE_GUEST)? } else { 0 };
        for &number in partition.vcpus.of(plan.partition_vcpus()) {
            let vcpu = vcpus.get(number as usize).ok_or(Refusal::Missing("a vCPU of a partition"))?;
            let page = vcpu.context.next_multiple_of(PAGE).max(PAGE);
            same("the page of the context of vCPU", Some(number as usize), page, vcpu.context)?;
            let is_guest = vcpu.flags & VCPU_GUEST != 0 && has_guest;
            let second = vcpu.context + PAGE;
            let flag = |condition, flag| if condition { flag } else { 0 };
            let flags = flag(vcpu.flags & VCPU_FP != 0, FP) | flag(is_guest, GUEST) | flag(vmids.shared, SHARED_VMID);
            let is_sibling = |other: &&VcpuRecord| (other.partition, other.core) == (vcpu.partition, vcpu.core);
            let flags = flags | flag(is_guest && vcpus.iter().filter(is_sibling).count() > 1, SIBLINGS);
            let context = Context::new(host, flags, vcpu.page, flag(is_guest, second));
            // SAFETY: the caller's promise; the page is aligned.
            unsafe { (vcpu.context as *mut Context).write(context) };
            if is_guest {
                // SAFETY: as above: the page behind.
                unsafe { (second as *mut GuestContext).write(GuestContext::reset(guest)) };
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vmids_are_shared_only_when_there_are_too_few() {
        let few = Vmids::new(255, false);
        assert!(!few.shared);
        assert_eq!(few.vttbr(0, Pa(0x1000)), 1 << 48 | 0x1000);
        assert_eq!(few.vttbr(254, Pa(0)), 255 << 48);
        let many = Vmids::new(256, false);
        assert!(many.shared);
        assert_eq!(many.vttbr(255, Pa(0)), 1 << 48, "never 0");
        assert!(!Vmids::new(400, true).shared);
    }

    #[test]
    fn identity_maps_cover_whole_pages() {
        let mapping = identity(0x900_0004, 8, Access::READ_WRITE, Memory::Device);
        assert_eq!((mapping.va, mapping.pa, mapping.len), (0x900_0000, Pa(0x900_0000), 0x1000));
    }
}
