// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Proves that the content of a plan makes sense, so that nothing behind it has to.
//!
//! The tool runs the same function on the host ("if it builds, it boots"). A rule is a line: a
//! table, what is wrong with a record that breaks it, and when it holds.
//!
//! Of the fence in space this proves, from the plan alone, that no partition maps
//! - kernel objects, page tables, guests' too, contexts, a vCPU page or memory that is another partition's;
//! - anything writable of the image, of the kernel's traces, or of what boot sets up of a device;
//! - the IOMMU, or a table of message interrupts;
//!
//! and that no device behind the IOMMU is of two partitions, or reaches more than its own.
//!
//! What needs a view of the whole board is proved by the tool when it has made a plan (`prove` of
//! config/resolve, by other means than those that made it): that every region is memory which the
//! plan knows or a device's registers, that none of these is RAM or the interrupt controller, and
//! that the kernel's own maps of a partition hold nothing of another's.

// Their paths are spelt out for those who compile this file under another path.
#[path = "check/devices.rs"]
mod devices;
#[path = "check/pool.rs"]
mod pool;

use crate::boot::Refusal;
use crate::ready::ReadySet;
use parzelle_abi::health::{Action, Mode};
use parzelle_abi::{MESSAGE_MAX, PAGE};
use parzelle_plan::*;
use pool::pool;

/// The most vCPUs in a time partition that has windows: each is told of its window.
const WINDOW_VCPUS: u32 = 16;
/// The most readers of a channel: a message tells them all.
const READERS: u32 = 8;
/// The most interrupt lines on a core: a window, a restart looks at them all.
const LINES: usize = 32;
/// The most vCPUs of a partition: they stop together.
const PARTITION_VCPUS: u32 = 8;
/// An event below this is a bit of the word; one from here on means "none".
const EVENTS: u32 = 64;

/// Memory of zeros is a partition that is idle: what boot makes is that.
const _: () = assert!(Mode::Idle as u32 == 0);

/// A table of the plan, by name.
struct Table<'a, T>(&'static str, &'a [T]);

impl<T> Table<'_, T> {
    /// Refuses the first record for which a rule does not hold.
    fn all(&self, what: &'static str, mut holds: impl FnMut(usize, &T) -> bool) -> Result<(), Refusal> {
        match self.1.iter().enumerate().position(|(index, record)| !holds(index, record)) {
            Some(index) => Err(Refusal { table: self.0, index: index as u32, what }),
            None => Ok(()),
        }
    }

    /// Refuses what is missing at the end, or too much there.
    fn ends(&self, what: &'static str, end: u64) -> Result<(), Refusal> {
        let whole = end == self.1.len() as u64;
        if whole { Ok(()) } else { Err(Refusal { table: self.0, index: end as u32, what }) }
    }
}

/// Whether an index leads into a table.
fn has<T>(table: &[T], index: u32) -> bool {
    (index as usize) < table.len()
}

/// Whether a span lies in a table.
fn within<T>(table: &[T], span: Span) -> bool {
    u64::from(span.first) + u64::from(span.count) <= table.len() as u64
}

/// Whether a span begins at `next`, which moves to its end.
fn follows(next: &mut u64, span: Span) -> bool {
    let follows = u64::from(span.first) == *next;
    *next += u64::from(span.count);
    follows
}

/// Whether two ranges of addresses (first, bytes) meet.
fn meet(a: (u64, u64), b: (u64, u64)) -> bool {
    a.1 > 0 && b.1 > 0 && a.0 < b.0.saturating_add(b.1) && b.0 < a.0.saturating_add(a.1)
}

/// Proves that the content of a plan makes sense: every index leads somewhere, every range lies
/// where it must.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(plan: &Plan<'_>) -> Result<(), Refusal> {
    let system = Table("system", core::slice::from_ref(plan.system));
    system.all("there is no first schedule", |_, system| has(plan.schedules(), system.first_schedule))?;
    system.all("there is no module health table", |_, system| has(plan.health(), system.module_health))?;
    system.all("there are no cores", |_, _| !plan.cores().is_empty())?;
    cores(plan)?;
    time(plan)?;
    vcpus(plan)?;
    partitions(plan)?;
    for (index, partition) in plan.partitions().iter().enumerate() {
        regions(plan, index, partition)?;
    }
    devices::devices(plan)?;
    channels(plan)?;
    events(plan)?;
    Table("health", plan.health()).all("there is no such action or schedule", |_, table| {
        table.actions.iter().chain([&table.give_up, &table.otherwise]).all(|record| {
            let action = Action::from_number(u64::from(record.action));
            action.is_some_and(|action| action != Action::Schedule || has(plan.schedules(), record.argument))
        })
    })
}

/// Cores, their queues and the vCPUs of those lie one behind the other.
fn cores(plan: &Plan<'_>) -> Result<(), Refusal> {
    let (mut queue, mut vcpu, mut queued) = (0, 0, 0);
    Table("cores", plan.cores()).all("its queues and vCPUs do not follow those of the core before", |_, core| {
        follows(&mut queue, core.queues) & follows(&mut vcpu, core.vcpus) && core.queues.count > 0
    })?;
    let queues = Table("queues", plan.queues());
    queues.ends("it belongs to no core", queue)?;
    Table("vcpus", plan.vcpus()).ends("it belongs to no core", vcpu)?;
    queues.all("its vCPUs do not follow those of the queue before", |_, record| follows(&mut queued, record.vcpus))?;
    Table("vcpus", plan.vcpus()).ends("it belongs to no queue", queued)?;
    let core = |record: &QueueRecord| plan.cores().get(record.core as usize).copied().unwrap_or_default();
    queues.all("it is on another core", |index, record| core(record).queues.range().contains(&index))?;
    queues.all("its vCPUs are on another core", |_, record| {
        let (own, outer) = (record.vcpus.range(), core(record).vcpus.range());
        outer.start <= own.start && own.end <= outer.end
    })?;
    queues.all("more than 4096 vCPUs", |_, record| record.vcpus.count as usize <= ReadySet::MAX)?;
    queues.all("more than 16 vCPUs share windows", |index, record| {
        index == core(record).queues.first as usize || record.vcpus.count <= WINDOW_VCPUS
    })
}

/// The windows of each timeline fill its schedule's frame.
fn time(plan: &Plan<'_>) -> Result<(), Refusal> {
    let cores = plan.cores();
    let timelines = Table("timelines", plan.timelines());
    timelines.ends("not one per schedule and core", plan.schedules().len() as u64 * cores.len() as u64)?;
    timelines.all("its windows are missing", |_, timeline| within(plan.windows(), timeline.windows))?;
    timelines.all("its windows do not fill the frame, each from the end of the one before", |number, timeline| {
        let mut end = 0;
        let windows = timeline.windows.of(plan.windows());
        windows.iter().all(|window| {
            let follows = window.start == end && window.duration > 0;
            end = window.start.saturating_add(window.duration);
            follows
        }) && plan.schedules().get(number / cores.len()).is_some_and(|schedule| schedule.frame == end)
    })?;
    timelines.all("a window's time partition is not on this core", |number, timeline| {
        let queues = cores.get(number % cores.len()).map_or(0, |core| core.queues.count);
        timeline.windows.of(plan.windows()).iter().all(|window| window.queue < queues)
    })?;
    Table("windows", plan.windows())
        .all("it begins with more than it lasts", |_, window| window.pad < window.duration)?;
    let schedules = Table("schedules", plan.schedules());
    schedules.all("its changes are missing", |_, schedule| within(plan.changes(), schedule.changes))?;
    schedules.all("more than 65536 schedules", |index, _| index < 1 << 16)?;
    Table("changes", plan.changes())
        .all("there is no such partition", |_, change| has(plan.partitions(), change.partition))
}

fn vcpus(plan: &Plan<'_>) -> Result<(), Refusal> {
    let vcpus = Table("vcpus", plan.vcpus());
    let queue = |vcpu: &VcpuRecord| plan.queues().get(vcpu.queue as usize).copied().unwrap_or_default();
    vcpus.all("its queue does not have it", |index, vcpu| {
        queue(vcpu).vcpus.range().contains(&index) && queue(vcpu).core == vcpu.core
    })?;
    vcpus.all("its partition does not have it", |index, vcpu| {
        let partition = plan.partitions().get(vcpu.partition as usize).copied().unwrap_or_default();
        partition.vcpus.of(plan.partition_vcpus()).get(vcpu.index as usize) == Some(&(index as u32))
    })?;
    vcpus.all("its queue is not sorted by priority", |index, vcpu| {
        let before = index.checked_sub(1).and_then(|before| plan.vcpus().get(before));
        before.is_none_or(|before| before.queue != vcpu.queue || before.priority >= vcpu.priority)
    })?;
    vcpus.all("its budget does not fit its period", |_, vcpu| {
        (vcpu.budget == 0) == (vcpu.period == 0) && vcpu.budget <= vcpu.period
    })?;
    vcpus.all("its pages are not at multiples of the page", |_, vcpu| {
        [vcpu.page, vcpu.page_virtual, vcpu.context].into_iter().all(|address| address % PAGE == 0)
    })?;
    vcpus.all("its context lies in a vCPU page, or in the context of another", |index, vcpu| {
        plan.vcpus().iter().enumerate().all(|(number, other)| {
            !meet(context(vcpu), (other.page, PAGE)) && (number == index || !meet(context(vcpu), context(other)))
        })
    })
}

fn partitions(plan: &Plan<'_>) -> Result<(), Refusal> {
    let all = Table("partitions", plan.partitions());
    all.all("something of it is missing", |_, partition| {
        within(plan.partition_vcpus(), partition.vcpus)
            && within(plan.regions(), partition.regions)
            && within(plan.ports(), partition.ports)
            && within(plan.doorbells(), partition.doorbells)
            && within(plan.lines(), partition.lines)
            && within(plan.rights(), partition.rights)
            && within(plan.peers(), partition.peers)
            && within(plan.quiesces(), partition.quiesces)
            && within(plan.streams(), partition.streams)
            && within(plan.kernel_maps(), partition.kernel_maps)
            && within(plan.io_ports(), partition.io_ports)
    })?;
    all.all("it needs 1 to 8 vCPUs", |_, partition| (1..=PARTITION_VCPUS).contains(&partition.vcpus.count))?;
    all.all("there is no such health table", |_, partition| has(plan.health(), partition.health))?;
    all.all("there is no partition to start next", |_, partition| {
        partition.start_next == NONE || has(plan.partitions(), partition.start_next)
    })?;
    all.all("its rights are not sorted", |_, partition| {
        partition.rights.of(plan.rights()).is_sorted_by_key(|right| (right.kind, right.target))
    })?;
    all.all("there is no such peer", |_, partition| {
        partition.peers.of(plan.peers()).iter().all(|&peer| has(plan.partitions(), peer))
    })?;
    let own = |vcpu: u32, index| plan.vcpus().get(vcpu as usize).is_some_and(|vcpu| vcpu.partition as usize == index);
    all.all("one of its vCPUs is another's", |index, partition| {
        partition.vcpus.of(plan.partition_vcpus()).iter().all(|&vcpu| own(vcpu, index))
    })?;
    all.all("another hears its ports", |index, partition| {
        partition.ports.of(plan.ports()).iter().all(|port| port.event >= EVENTS || own(port.vcpu, index))
    })?;
    all.all("another hears its lines", |index, partition| {
        partition.lines.of(plan.lines()).iter().all(|line| own(line.vcpu, index))
    })?;
    all.all("its guest has no table pool that is its own", |index, partition| pool(plan, index as u32, partition))?;
    Table("rights", plan.rights()).all("its target is missing", |_, right| match right.kind {
        RIGHT_SCHEDULE => has(plan.schedules(), right.target),
        RIGHT_MODULE => right.target < 2,
        _ => has(plan.partitions(), right.target),
    })
}

/// Bytes of a vCPU's contexts.
fn context(vcpu: &VcpuRecord) -> (u64, u64) {
    (vcpu.context, if vcpu.flags & VCPU_GUEST != 0 { 2 * PAGE } else { PAGE })
}

/// What a partition maps is in order, and nothing that would open its fence.
fn regions(plan: &Plan<'_>, partition: usize, record: &PartitionRecord) -> Result<(), Refusal> {
    let regions = Table("regions", record.regions.of(plan.regions()));
    let range = |region: &RegionRecord| (region.physical, region.bytes);
    let rule = |what, holds: &mut dyn FnMut(&RegionRecord) -> bool| {
        let found = regions.all(what, |_, region| holds(region));
        found.map_err(|refusal| Refusal { index: record.regions.first + refusal.index, ..refusal })
    };
    rule("it is not whole pages", &mut |region| {
        region.bytes > 0 && [region.address, region.physical, region.bytes].iter().all(|value| value % PAGE == 0)
    })?;
    rule("it ends beyond all addresses", &mut |region| {
        region.address.checked_add(region.bytes).is_some() && region.physical.checked_add(region.bytes).is_some()
    })?;
    let mut before = (SPACE_HOST, 0);
    rule("not sorted by space and address, or overlapping", &mut |region| {
        let ordered = before.0 < region.space || before.0 == region.space && before.1 <= region.address;
        before = (region.space, region.address + region.bytes);
        ordered
    })?;
    rule("writable and executable", &mut |region| {
        region.space == SPACE_GUEST || region.access & (WRITE | EXECUTE) != WRITE | EXECUTE
    })?;
    let system = plan.system;
    let objects = [(system.arena, system.arena_bytes), (system.tables, system.tables_bytes)];
    let pools = plan.partitions().iter().map(|partition| (partition.tables, partition.tables_bytes));
    let objects = objects.into_iter().chain(pools);
    rule("it holds kernel objects", &mut |region| !objects.clone().any(|other| meet(range(region), other)))?;
    let traces = plan.cores().iter().map(|core| (core.trace, core.trace_bytes));
    let kernels = traces.chain([(system.image, system.image_bytes)]);
    rule("it is the kernel's to write", &mut |region| {
        region.access & WRITE == 0 || !kernels.clone().any(|other| meet(range(region), other))
    })?;
    rule("it holds a vCPU that is not its own, or a context", &mut |region| {
        !plan.vcpus().iter().any(|vcpu| {
            let foreign = vcpu.partition as usize != partition && meet(range(region), (vcpu.page, PAGE));
            foreign || meet(range(region), context(vcpu))
        })
    })?;
    rule("it holds memory of another partition", &mut |region| {
        let mine = |memory: &MemoryRecord| memory.partition == NONE || memory.partition as usize == partition;
        plan.memory().iter().all(|memory| mine(memory) || !meet(range(region), (memory.address, memory.bytes)))
    })
}

fn channels(plan: &Plan<'_>) -> Result<(), Refusal> {
    let channels = Table("channels", plan.channels());
    channels.all("its depth does not fit its kind", |_, channel| {
        channel.depth > 0 && (channel.kind == QUEUING || channel.kind == SAMPLING && channel.depth == 1)
    })?;
    channels.all("messages of 1 to 2048 bytes", |_, channel| (1..=MESSAGE_MAX).contains(&channel.message_bytes))?;
    channels.all("its buffer is not at a multiple of 16", |_, channel| channel.buffer % 16 == 0)?;
    channels.all("its readers are missing", |_, channel| within(plan.channel_readers(), channel.readers))?;
    channels.all("more than 8 readers", |_, channel| channel.readers.count <= READERS)?;
    channels.all("a queue has one reader", |_, channel| channel.kind == SAMPLING || channel.readers.count == 1)?;
    channels.all("there is no such writer", |_, channel| has(plan.ports(), channel.writer))?;
    Table("channel_readers", plan.channel_readers())
        .all("there is no such port", |_, &reader| has(plan.ports(), reader))?;
    let ports = Table("ports", plan.ports());
    ports.all("there is no such channel", |_, port| has(plan.channels(), port.channel))?;
    ports.all("there is no such vCPU", |_, port| port.event >= EVENTS || has(plan.vcpus(), port.vcpu))
}

fn events(plan: &Plan<'_>) -> Result<(), Refusal> {
    let (what, vcpus) = ("there is no such vCPU or event", plan.vcpus());
    Table("doorbells", plan.doorbells()).all(what, |_, bell| has(vcpus, bell.vcpu) && bell.event < EVENTS)?;
    let lines = Table("lines", plan.lines());
    lines.all(what, |_, line| has(vcpus, line.vcpu) && line.event < EVENTS)?;
    lines.all("line numbers end at 8191", |_, line| line.line < 1 << 13)?;
    lines.all("it leads to two partitions", |_, line| {
        plan.lines().iter().filter(|other| other.line == line.line).count() == 1
    })?;
    Table("cores", plan.cores()).all("more than 32 interrupt lines lead there", |core, _| {
        let home = |vcpu: &VcpuRecord| vcpu.core as usize == core;
        let here = plan.lines().iter().filter(|line| vcpus.get(line.vcpu as usize).is_some_and(home));
        here.count() <= LINES
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    const OWN: u64 = 0x10_0000;
    const FOREIGN: u64 = 0x20_0000;
    const POOL: u64 = 0x30_0000;

    /// What is said of a region of partition 0; each of two partitions has four pages, first a
    /// context, then a vCPU page.
    fn verdict(physical: u64, access: u32) -> Result<(), &'static str> {
        let mut plan = PlanBuilder::default();
        (plan.system.image, plan.system.image_bytes) = (0x1000, 0x2000);
        (plan.system.arena, plan.system.arena_bytes) = (0x4000, 0x1000);
        plan.cores.push(CoreRecord { trace: 0x6000, trace_bytes: 0x1000, ..Default::default() });
        for (partition, address) in [(0, OWN), (1, FOREIGN)] {
            plan.memory.push(MemoryRecord { address, bytes: 4 * PAGE, partition, ..Default::default() });
            let page = address + PAGE;
            plan.vcpus.push(VcpuRecord { partition, context: address, page, ..Default::default() });
        }
        plan.regions.push(RegionRecord { address: PAGE, physical, bytes: PAGE, access, ..Default::default() });
        let span = Span { first: 0, count: 1 };
        let (tables, tables_bytes) = (POOL, PAGE);
        plan.partitions.push(PartitionRecord { regions: span, tables, tables_bytes, ..Default::default() });
        let blob = plan.write();
        let mut words = vec![0u64; blob.len().div_ceil(8)];
        words.as_mut_bytes()[..blob.len()].copy_from_slice(&blob);
        let plan = Plan::read(words.as_bytes()).unwrap();
        regions(&plan, 0, &plan.partitions()[0]).map_err(|refusal| refusal.what)
    }

    #[test]
    fn a_region_opens_no_fence() {
        for own in [OWN + PAGE, OWN + 2 * PAGE] {
            assert_eq!(verdict(own, READ | WRITE), Ok(()));
        }
        let kernels = Err("it is the kernel's to write");
        for shown in [0x1000, 0x6000] {
            assert_eq!(verdict(shown, READ), Ok(()));
            assert_eq!(verdict(shown, READ | WRITE), kernels);
        }
        for objects in [0x4000, POOL] {
            assert_eq!(verdict(objects, READ), Err("it holds kernel objects"));
        }
        let vcpu = Err("it holds a vCPU that is not its own, or a context");
        for context in [OWN, FOREIGN, FOREIGN + PAGE] {
            assert_eq!(verdict(context, READ), vcpu);
        }
        assert_eq!(verdict(FOREIGN + 2 * PAGE, READ), Err("it holds memory of another partition"));
        assert_eq!(verdict(OWN + 2 * PAGE, WRITE | EXECUTE), Err("writable and executable"));
    }
}
