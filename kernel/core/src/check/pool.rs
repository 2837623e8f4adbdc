// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The pools from which page tables of guests are taken whose kernel runs in user mode (x86-64).

use super::{context, meet};
use parzelle_abi::PAGE;
use parzelle_plan::*;

/// The most ranges of a guest's memory on x86-64.
const GUEST_REGIONS: usize = 8;

/// Whether a partition has a pool for its guest's page tables if and only if it needs one: whole pages that are one
/// record of its memory, and meet no other's; and whether the kernel finds there, and in the guest's memory, what it
/// walks.
pub(super) fn pool(plan: &Plan<'_>, index: u32, partition: &PartitionRecord) -> bool {
    let pool = (partition.tables, partition.tables_bytes);
    let mut own = plan.vcpus().iter().filter(|vcpu| vcpu.partition == index);
    let guests = own.clone().filter(|vcpu| vcpu.flags & VCPU_GUEST != 0).count();
    if plan.system.arch != ARCH_X86_64 || guests == 0 {
        return pool == (0, 0);
    }
    let maps = partition.kernel_maps.of(plan.kernel_maps());
    let mapped = |range: (u64, u64)| {
        maps.iter().any(|map| {
            map.address <= range.0 && range.0.saturating_add(range.1) <= map.address.saturating_add(map.bytes)
        })
    };
    let mut memory = plan.memory().iter().filter(|memory| meet(pool, (memory.address, memory.bytes)));
    let sole = memory.next().is_some_and(|it| it.partition == index && pool == (it.address, it.bytes));
    let regions = partition.regions.of(plan.regions()).iter().filter(|region| region.space == SPACE_GUEST);
    guests == own.clone().count()
        && (pool.0 | pool.1).is_multiple_of(PAGE)
        && !meet(pool, (plan.system.image, plan.system.image_bytes))
        && sole
        && memory.next().is_none()
        && mapped(pool)
        && own.all(|vcpu| mapped(context(vcpu)) && mapped((vcpu.page, PAGE)))
        && regions.clone().count() <= GUEST_REGIONS
        && regions.clone().all(|region| region.access & DEVICE == 0 && mapped((region.physical, region.bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    const OWN: u64 = 0x10_0000;
    const FOREIGN: u64 = 0x20_0000;
    const POOL: u64 = 0x30_0000;

    /// Whether a guest's pool of a page at this address is accepted; partition 1 has a page at
    /// `FOREIGN`, the guest's own partition one at `POOL`.
    fn pooled(arch: u32, tables: u64, tables_bytes: u64, more: &[u64], maps: u32) -> bool {
        let mut plan = PlanBuilder::default();
        plan.system.arch = arch;
        plan.vcpus.push(VcpuRecord { flags: VCPU_GUEST, context: OWN, page: OWN + 2 * PAGE, ..Default::default() });
        let map = |address, bytes| KernelMapRecord { address, bytes, ..Default::default() };
        plan.kernel_maps = vec![map(OWN, 4 * PAGE), map(POOL, PAGE), map(FOREIGN, PAGE)];
        let record = |address, partition| MemoryRecord { address, bytes: PAGE, partition, ..Default::default() };
        plan.memory = vec![record(FOREIGN, 1), record(POOL, 0)];
        plan.memory.extend(more.iter().map(|&address| record(address, NONE)));
        let blob = plan.write();
        let mut words = vec![0u64; blob.len().div_ceil(8)];
        words.as_mut_bytes()[..blob.len()].copy_from_slice(&blob);
        let kernel_maps = Span { first: 0, count: maps };
        let record = PartitionRecord { tables, tables_bytes, kernel_maps, ..Default::default() };
        pool(&Plan::read(words.as_bytes()).unwrap(), 0, &record)
    }

    #[test]
    fn a_guest_on_x86_64_has_tables_that_nobody_else_uses() {
        assert!(pooled(ARCH_X86_64, POOL, PAGE, &[], 3));
        assert!(pooled(ARCH_AARCH64, 0, 0, &[], 0));
        assert!(!pooled(ARCH_X86_64, POOL, PAGE, &[], 1), "the kernel would not find the pool");
        assert!(!pooled(ARCH_X86_64, POOL, PAGE, &[], 0), "nor the contexts");
        for (arch, tables, bytes) in [
            (ARCH_AARCH64, POOL, PAGE),
            (ARCH_X86_64, 0, 0),
            (ARCH_X86_64, FOREIGN, PAGE),
            (ARCH_X86_64, POOL, 2 * PAGE),
            (ARCH_X86_64, POOL, PAGE / 2),
        ] {
            assert!(!pooled(arch, tables, bytes, &[], 3), "{arch} {tables:#x}");
        }
        assert!(!pooled(ARCH_X86_64, POOL, PAGE, &[POOL + PAGE / 2], 3));
    }
}
