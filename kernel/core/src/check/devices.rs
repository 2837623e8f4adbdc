// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What boot sets up of devices, what silences them, and what they may reach.
//!
//! ```text
//!   setups, quiesces ─► registers: not memory, not the IOMMU, no table of messages
//!   lines' entries ──► tables of messages: mapped by no partition
//!   streams ────────► devices behind the IOMMU, each of one partition
//! ```

use super::{Table, follows, meet};
use crate::boot::Refusal;
use parzelle_abi::PAGE;
use parzelle_plan::*;

/// Requester ids have 16 bits, numbers of domains, too.
const IDS: u32 = 1 << 16;

/// Proves it.
pub(super) fn devices(plan: &Plan<'_>) -> Result<(), Refusal> {
    let system = plan.system;
    let x86 = system.arch == ARCH_X86_64;
    let memory = plan.memory().iter().map(|memory| (memory.address, memory.bytes));
    let memory = memory.chain([(system.image, system.image_bytes)]);
    let is_memory = |range| memory.clone().any(|other| meet(range, other));
    let iommu = (system.iommu, if system.iommu == 0 { 0 } else { PAGE });
    let sound = x86 && system.iommu.is_multiple_of(PAGE) && !is_memory(iommu);
    Table("system", core::slice::from_ref(system))
        .all("there can't be an IOMMU", |_, system| system.iommu == 0 || sound)?;

    let messages = plan.lines().iter().filter(|line| line.entry != 0);
    let tables = messages.clone().map(|line| (line.entry & !(PAGE - 1), PAGE));
    let kernels = tables.chain([iommu]);
    let is_kernels = |range| kernels.clone().any(|other| meet(range, other));
    Table("lines", plan.lines()).all("its message has no entry of its own", |_, line| {
        let sole = messages.clone().filter(|other| meet((line.entry, 16), (other.entry, 16))).count() == 1;
        line.entry == 0
            || x86 && sole && line.entry.is_multiple_of(16) && line.source < IDS && !is_memory((line.entry, 16))
    })?;

    let is_register = |access: &AccessRecord| {
        let range = (access.address, u64::from(access.width));
        matches!(range.1, 1 | 2 | 4) && range.0.is_multiple_of(range.1) && !is_memory(range) && !is_kernels(range)
    };
    Table("setups", plan.setups()).all("no register that boot can set up", |_, setup| match setup.access.what {
        ACCESS_WRITE => x86 && is_register(&setup.access),
        ACCESS_EXPECT => x86 && is_register(&setup.access) && setup.access.width == 4,
        _ => false,
    })?;
    let partitions = Table("partitions", plan.partitions());
    partitions.all("its devices can't be silenced so", |_, partition| {
        partition.quiesces.of(plan.quiesces()).iter().all(|access| match access.what & !ACCESS_AT_START {
            ACCESS_WRITE => is_register(access),
            ACCESS_STREAM => {
                access.width == 0
                    && partition.streams.of(plan.streams()).iter().any(|&own| u64::from(own) == access.address)
            }
            _ => false,
        })
    })?;

    let mut stream = 0;
    partitions.all("its devices do not follow those of the partition before", |_, partition| {
        follows(&mut stream, partition.streams)
    })?;
    let streams = Table("streams", plan.streams());
    streams.ends("it belongs to no partition", stream)?;
    streams.all("not one device behind an IOMMU", |_, &id| {
        system.iommu != 0 && id < IDS && plan.streams().iter().filter(|&&other| other == id).count() == 1
    })?;
    partitions.all("more than 65535 partitions have devices", |index, partition| {
        partition.streams.count == 0 || index + 1 < IDS as usize
    })?;

    let regions = Table("regions", plan.regions());
    let range = |region: &RegionRecord| (region.physical, region.bytes);
    regions.all("it holds registers of the kernel's", |_, region| !is_kernels(range(region)))?;
    regions.all("boot sets it up: it is not to be written", |_, region| {
        let set_up = |setup: &SetupRecord| meet(range(region), (setup.access.address, u64::from(setup.access.width)));
        region.access & WRITE == 0 || !plan.setups().iter().any(set_up)
    })?;
    regions.all("devices do not reach such memory", |_, region| {
        let plain = region.access & (READ | EXECUTE | DEVICE) == READ && region.space == SPACE_HOST;
        region.access & DMA == 0 || plain && !meet(range(region), (system.image, system.image_bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    const RAM: u64 = 0x10_0000;
    const CONFIG: u64 = 0xb001_8000;
    const BAR: u64 = 0xe000_0000;
    const TABLE: u64 = 0xe000_4000;
    const IOMMU: u64 = 0xfed9_0000;
    const STREAM: u32 = 0x18;

    fn access(address: u64, width: u32, what: u32) -> AccessRecord {
        AccessRecord { address, width, what, ..Default::default() }
    }

    /// A partition with a PCI function, as it should be, and what is made of it.
    fn verdict(change: impl FnOnce(&mut PlanBuilder)) -> Result<(), &'static str> {
        let mut plan = PlanBuilder::default();
        (plan.system.arch, plan.system.iommu) = (ARCH_X86_64, IOMMU);
        (plan.system.image, plan.system.image_bytes) = (0x1000, 0x2000);
        plan.memory.push(MemoryRecord { address: RAM, bytes: 4 * PAGE, ..Default::default() });
        let region = |physical, access| RegionRecord { physical, bytes: PAGE, access, ..Default::default() };
        plan.regions.push(region(CONFIG, READ | DEVICE));
        plan.regions.push(region(BAR, READ | WRITE | DEVICE));
        plan.regions.push(region(RAM, READ | WRITE | DMA));
        plan.lines.push(LineRecord { line: 64, entry: TABLE, source: STREAM, ..Default::default() });
        for (address, width, what) in [(CONFIG, 4, ACCESS_EXPECT), (CONFIG + 4, 2, ACCESS_WRITE)] {
            plan.setups.push(SetupRecord { access: access(address, width, what), ..Default::default() });
        }
        plan.quiesces.push(access(BAR + 20, 1, ACCESS_WRITE));
        plan.quiesces.push(access(u64::from(STREAM), 0, ACCESS_STREAM | ACCESS_AT_START));
        plan.streams.push(STREAM);
        let span = |first, count| Span { first, count };
        plan.partitions.push(PartitionRecord { quiesces: span(0, 2), streams: span(0, 1), ..Default::default() });
        plan.partitions.push(PartitionRecord { quiesces: span(2, 0), streams: span(1, 0), ..Default::default() });
        change(&mut plan);
        let blob = plan.write();
        let mut words = vec![0u64; blob.len().div_ceil(8)];
        words.as_mut_bytes()[..blob.len()].copy_from_slice(&blob);
        devices(&Plan::read(words.as_bytes()).unwrap()).map_err(|refusal| refusal.what)
    }

    #[test]
    fn a_function_behind_an_iommu_is_accepted() {
        assert_eq!(verdict(|_| ()), Ok(()));
    }

    #[test]
    fn registers_are_no_memory_and_not_the_kernels() {
        let setup = Err("no register that boot can set up");
        for address in [RAM, 0x1000, TABLE, IOMMU, CONFIG + 1] {
            assert_eq!(verdict(|plan| plan.setups[1].access.address = address), setup, "{address:#x}");
        }
        assert_eq!(verdict(|plan| plan.setups[0].access.width = 2), setup);
        assert_eq!(verdict(|plan| plan.setups[1].access.width = 8), setup);
        assert_eq!(verdict(|plan| plan.setups[1].access.what = ACCESS_STREAM), setup);
        let silenced = Err("its devices can't be silenced so");
        for address in [RAM, TABLE, IOMMU] {
            assert_eq!(verdict(|plan| plan.quiesces[0].address = address), silenced, "{address:#x}");
        }
        assert_eq!(verdict(|plan| plan.quiesces[0].what = ACCESS_EXPECT), silenced);
        assert_eq!(verdict(|plan| plan.quiesces[1].address += 1), silenced, "another's device");
        let iommu = Err("there can't be an IOMMU");
        assert_eq!(verdict(|plan| plan.system.iommu = RAM), iommu);
        assert_eq!(verdict(|plan| plan.system.arch = ARCH_AARCH64), iommu);
    }

    #[test]
    fn what_decides_over_devices_is_no_partitions() {
        let kernels = Err("it holds registers of the kernel's");
        for address in [TABLE, IOMMU] {
            assert_eq!(verdict(|plan| plan.regions[1].physical = address), kernels, "{address:#x}");
        }
        let written = Err("boot sets it up: it is not to be written");
        assert_eq!(verdict(|plan| plan.regions[0].access |= WRITE), written);
        let reached = Err("devices do not reach such memory");
        assert_eq!(verdict(|plan| plan.regions[1].access |= DMA), reached, "registers");
        assert_eq!(verdict(|plan| plan.regions[2].access = WRITE | DMA), reached);
        assert_eq!(verdict(|plan| plan.regions[2].space = SPACE_GUEST), reached);
        let image = |plan: &mut PlanBuilder| (plan.regions[2].physical, plan.regions[2].access) = (0x1000, READ | DMA);
        assert_eq!(verdict(image), reached);
    }

    #[test]
    fn a_message_has_an_entry_of_its_own() {
        let message = Err("its message has no entry of its own");
        assert_eq!(verdict(|plan| plan.lines.push(plan.lines[0])), message);
        assert_eq!(verdict(|plan| plan.lines[0].entry += 8), message);
        assert_eq!(verdict(|plan| plan.lines[0].entry = RAM), message);
        assert_eq!(verdict(|plan| plan.lines[0].source = IDS), message);
    }

    #[test]
    fn a_device_behind_the_iommu_is_of_one_partition() {
        let stream = Err("not one device behind an IOMMU");
        let shared = |plan: &mut PlanBuilder| {
            plan.streams.push(STREAM);
            plan.partitions[1].streams.count = 1;
        };
        assert_eq!(verdict(shared), stream);
        assert_eq!(verdict(|plan| plan.system.iommu = 0), stream);
        assert_eq!(verdict(|plan| plan.streams.push(1)), Err("it belongs to no partition"));
        let both = Err("its devices do not follow those of the partition before");
        assert_eq!(verdict(|plan| plan.partitions[1].streams.first = 0), both);
    }
}
