// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A second look at the finished plan: the fence in space, proved from the records alone, by other
//! means than those that made them.
//!
//! - what a partition maps is its own memory, memory without an owner (links, traces), the image, or
//!   a device's registers;
//! - the image, and the kernel's traces, are written by nobody;
//! - contexts, arena and page tables are mapped by nobody;
//! - the interrupt controller is nobody's device, and RAM is not called a device;
//! - what the kernel maps for a partition is that partition's in the same sense.

use parzelle_plan::*;

use super::report::Shared;

/// Some addresses: the first one, and how many.
type Range = (u64, u64);

fn meet(a: Range, b: Range) -> bool {
    a.1 > 0 && b.1 > 0 && a.0 < b.0.saturating_add(b.1) && b.0 < a.0.saturating_add(a.1)
}

fn inside(inner: Range, outer: Range) -> bool {
    outer.0 <= inner.0 && inner.0.saturating_add(inner.1) <= outer.0.saturating_add(outer.1)
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Regions that partitions map.
    pub regions: usize,
    /// Those of them that others map, too, and that one of them writes.
    pub shared: usize,
    /// Those of them that devices behind an IOMMU reach.
    pub reached: usize,
}

/// Proves the fence, and that memory of several partitions is mapped by those that `shared` names
/// and by nobody else, and written only by its writers.
///
/// # Errors
/// The first hole.
pub fn prove(plan: &Plan<'_>, shared: &[Shared]) -> Result<Proof, String> {
    fence(plan)?;
    let mut proof = Proof::default();
    let traces: Vec<Range> = plan.cores().iter().map(|core| (core.trace, core.trace_bytes)).collect();
    for (index, partition) in plan.partitions().iter().enumerate() {
        let who = partition.name.as_str();
        for region in plan.regions().get(partition.regions.range()).unwrap_or(&[]) {
            proof.regions += 1;
            proof.reached += usize::from(region.access & DMA != 0);
            let range = (region.physical, region.bytes);
            let image = inside(range, (plan.system.image, plan.system.image_bytes));
            let own = plan.memory().iter().filter(|record| record.partition as usize == index);
            let own = own.into_iter().any(|record| meet(range, (record.address, record.bytes)));
            if region.access & DEVICE != 0 || image || own || traces.iter().any(|trace| inside(range, *trace)) {
                continue;
            }
            let hole = |what: &str| format!("`{who}` maps `{}` at {:#x}: {what}", region.name.as_str(), range.0);
            let known = shared.iter().find(|shared| inside(range, (shared.start, shared.bytes)));
            let known = known.ok_or_else(|| hole("nobody shares this with it"))?;
            let named = |list: &[String]| list.iter().any(|name| name == who);
            match (named(&known.writers), named(&known.readers), region.access & WRITE != 0) {
                (true, ..) | (_, true, false) => proof.shared += 1,
                (false, true, true) => return Err(hole("it may only read this")),
                (false, false, _) => return Err(hole("this is shared by others")),
            }
        }
    }
    Ok(proof)
}

/// Proves the fence.
///
/// # Errors
/// What is wrong: a bug of lowering.
pub(crate) fn fence(plan: &Plan<'_>) -> Result<(), String> {
    let mut end = 0;
    for record in plan.memory() {
        if record.address < end {
            return Err(format!("memory `{}` overlaps what lies before it", record.name.as_str()));
        }
        end = record.address.saturating_add(record.bytes);
    }
    let private = private(plan);
    for (index, partition) in plan.partitions().iter().enumerate() {
        let say = |what: &str, region: &RegionRecord| {
            let (who, name) = (partition.name.as_str(), region.name.as_str());
            format!("`{who}` maps `{name}` at {:#x}: {what}", region.physical)
        };
        for region in plan.regions().get(partition.regions.range()).unwrap_or(&[]) {
            let range = (region.physical, region.bytes);
            let legal = if region.access & DEVICE != 0 {
                device(plan, region.space, range)
            } else {
                owned(plan, index, range, region.access & WRITE != 0)
            };
            legal.map_err(|what| say(what, region))?;
            if private.iter().any(|&other| meet(range, other)) {
                return Err(say("the kernel's alone", region));
            }
        }
        for map in plan.kernel_maps().get(partition.kernel_maps.range()).unwrap_or(&[]) {
            // Neighbouring parts are one map: each has to be this partition's.
            let range = (map.address, map.bytes);
            let foreign = plan.memory().iter().find(|record| {
                meet(range, (record.address, record.bytes))
                    && record.partition != NONE
                    && record.partition != index as u32
            });
            if foreign.is_some() || map.partition != index as u32 {
                let who = partition.name.as_str();
                return Err(format!("the kernel maps {:#x} for `{who}`: another's", map.address));
            }
        }
    }
    Ok(())
}

/// What no partition may see.
fn private(plan: &Plan<'_>) -> Vec<Range> {
    let system = plan.system;
    let mut all = vec![(system.arena, system.arena_bytes), (system.tables, system.tables_bytes)];
    let pages = |flags: u32| if flags & VCPU_GUEST != 0 { 2 } else { 1 };
    all.extend(plan.partitions().iter().map(|partition| (partition.tables, partition.tables_bytes)));
    all.extend(plan.vcpus().iter().map(|vcpu| (vcpu.context, pages(vcpu.flags) * parzelle_abi::PAGE)));
    all
}

/// Registers: outside of RAM, and not the kernel's.
fn device(plan: &Plan<'_>, space: u32, range: Range) -> Result<(), &'static str> {
    let system = plan.system;
    let ram = plan.memory().iter().any(|record| meet(range, (record.address, record.bytes)));
    if ram || meet(range, (system.image, system.image_bytes)) {
        return Err("RAM is not a device");
    }
    // The virtual CPU interface of a GICv2 is made for guests.
    let guests = space == SPACE_GUEST && system.irqchip == 2 && range.0 == system.irqchip_vcpu;
    let chip = [system.irqchip_base, system.irqchip_cpu, system.irqchip_hyp, system.irqchip_vcpu];
    let chip = chip.iter().any(|&base| base != 0 && meet(range, (base, parzelle_abi::PAGE)));
    if chip && !guests { Err("the interrupt controller") } else { Ok(()) }
}

/// Memory: the partition's own, of a link, or (not to be written) of the image.
fn owned(plan: &Plan<'_>, partition: usize, range: Range, write: bool) -> Result<(), &'static str> {
    let system = plan.system;
    let image = (system.image, system.image_bytes);
    if meet(range, image) {
        return match (inside(range, image), write) {
            (true, false) => Ok(()),
            (true, true) => Err("the image is not written"),
            (false, _) => Err("it leaves the image"),
        };
    }
    let first = plan.memory().partition_point(|record| record.address + record.bytes <= range.0);
    let mut at = range.0;
    for record in plan.memory().get(first..).unwrap_or(&[]) {
        if record.address > at || at >= range.0 + range.1 {
            break;
        }
        if record.partition != NONE && record.partition as usize != partition {
            return Err("another's memory");
        }
        at = record.address + record.bytes;
    }
    if at < range.0 + range.1 {
        return Err("memory that the plan does not know");
    }
    let traces = plan.cores().iter().any(|core| meet(range, (core.trace, core.trace_bytes)));
    if traces && write { Err("traces are not written") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parzelle_abi::info::Name;
    use zerocopy::IntoBytes;

    /// Two partitions of a page each, the image below, a link above, one region for the first.
    fn verdict(region: RegionRecord) -> Result<(), String> {
        let mut plan = PlanBuilder::default();
        plan.system.image = 0x1000;
        plan.system.image_bytes = 0x1000;
        plan.system.arena = 0x9000;
        plan.system.arena_bytes = 0x1000;
        plan.system.irqchip_base = 0xf000;
        let memory = |address, partition| MemoryRecord { address, bytes: 0x1000, partition, ..MemoryRecord::default() };
        plan.memory = vec![
            memory(0x4000, 0),
            memory(0x5000, 1),
            memory(0x6000, NONE),
            memory(0x7000, NONE),
            memory(0x9000, NONE),
        ];
        plan.cores.push(CoreRecord { trace: 0x7000, trace_bytes: 0x1000, ..CoreRecord::default() });
        plan.vcpus.push(VcpuRecord { context: 0x4000, ..VcpuRecord::default() });
        plan.regions.push(region);
        for name in ["a", "b"] {
            let count = u32::from(name == "a");
            plan.partitions.push(PartitionRecord {
                name: Name::new(name).unwrap(),
                regions: Span { first: 0, count },
                ..PartitionRecord::default()
            });
        }
        plan.memory.insert(0, memory(0x3000, 0));
        let blob = plan.write();
        let mut words = vec![0u64; blob.len().div_ceil(8)];
        words.as_mut_bytes()[..blob.len()].copy_from_slice(&blob);
        fence(&Plan::read(words.as_bytes()).unwrap())
    }

    fn at(physical: u64, bytes: u64, access: u32) -> Result<(), String> {
        verdict(RegionRecord { physical, bytes, access, ..RegionRecord::default() })
    }

    #[test]
    fn holes_in_the_fence_are_found() {
        assert_eq!(at(0x3000, 0x1000, READ | WRITE), Ok(()), "its own");
        assert_eq!(at(0x6000, 0x1000, READ | WRITE), Ok(()), "a link");
        assert_eq!(at(0x7000, 0x1000, READ), Ok(()), "a trace");
        assert_eq!(at(0x1000, 0x1000, READ | EXECUTE), Ok(()), "the image");
        assert_eq!(at(0x1_0000, 0x1000, READ | WRITE | DEVICE), Ok(()), "registers");
        let holes = [
            (0x5000, 0x1000, READ, "another's"),
            (0x6000, 0x4000, READ, "memory that the plan"),
            (0x1000, 0x1000, WRITE, "image is not written"),
            (0x1000, 0x2000, READ, "leaves the image"),
            (0x7000, 0x1000, WRITE, "traces"),
            (0x4000, 0x1000, READ, "kernel's alone"),
            (0x9000, 0x1000, READ, "kernel's alone"),
            (0x5000, 0x1000, DEVICE, "not a device"),
            (0xf000, 0x1000, DEVICE, "interrupt controller"),
        ];
        for (physical, bytes, access, what) in holes {
            let said = at(physical, bytes, access).unwrap_err();
            assert!(said.contains(what), "{physical:#x}: {said}");
        }
    }
}
