// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Proves that the content of a plan makes sense, so that nothing behind it has to.
//!
//! The tool runs the same function on the host ("if it builds, it boots").

use crate::boot::Refusal;
use crate::ready::ReadySet;
use parzelle_abi::health::{Action, Mode};
use parzelle_abi::{MESSAGE_MAX, PAGE};
use parzelle_plan::*;

/// The most vCPUs in a time partition that has windows: each is told of its window.
const WINDOW_VCPUS: u32 = 16;
/// The most readers of a channel: a message tells them all.
const READERS: u32 = 8;
/// The most interrupt lines on a core: a window, a restart looks at them all.
const LINES: usize = 32;
/// The most vCPUs of a partition: they stop together.
const PARTITION_VCPUS: u32 = 8;

/// A record that is looked at.
#[derive(Clone, Copy)]
struct At(&'static str, usize);

fn at(table: &'static str, index: usize) -> At {
    At(table, index)
}

impl At {
    /// Refuses the record unless a condition holds.
    fn require(self, holds: bool, what: &'static str) -> Result<(), Refusal> {
        if holds { Ok(()) } else { Err(self.refusal(what)) }
    }

    fn refusal(self, what: &'static str) -> Refusal {
        Refusal { table: self.0, index: self.1 as u32, what }
    }
}

/// Whether a span lies in a table of that length.
fn within(span: Span, length: usize) -> bool {
    u64::from(span.first) + u64::from(span.count) <= length as u64
}

/// Proves that the content of a plan makes sense: every index leads somewhere, every range lies
/// where it must.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(plan: &Plan<'_>) -> Result<(), Refusal> {
    let system = plan.system;
    at("system", 0).require((system.first_schedule as usize) < plan.schedules().len(), "there is no first schedule")?;
    at("system", 0)
        .require((system.module_health as usize) < plan.health().len(), "there is no module health table")?;
    at("system", 0).require(!plan.cores().is_empty(), "there are no cores")?;
    cores(plan)?;
    time(plan)?;
    vcpus(plan)?;
    partitions(plan)?;
    links(plan)?;
    health(plan)
}

fn cores(plan: &Plan<'_>) -> Result<(), Refusal> {
    let (mut queue, mut vcpu) = (0, 0);
    for (index, core) in plan.cores().iter().enumerate() {
        let first = core.queues.first == queue && core.vcpus.first == vcpu && core.queues.count > 0;
        at("cores", index).require(first, "its queues and vCPUs do not follow those of the core before")?;
        queue += core.queues.count;
        for number in core.queues.range() {
            let record = plan.queues().get(number).ok_or(Refusal {
                table: "cores",
                index: index as u32,
                what: "a queue is missing",
            })?;
            at("queues", number).require(record.core as usize == index, "it is on another core")?;
            at("queues", number)
                .require(record.vcpus.first == vcpu, "its vCPUs do not follow those of the queue before")?;
            at("queues", number).require(record.vcpus.count as usize <= ReadySet::MAX, "more than 4096 vCPUs")?;
            at("queues", number).require(
                number == core.queues.first as usize || record.vcpus.count <= WINDOW_VCPUS,
                "more than 16 vCPUs share windows",
            )?;
            vcpu += record.vcpus.count;
        }
        at("cores", index).require(core.vcpus.first + core.vcpus.count == vcpu, "vCPUs outside of its queues")?;
    }
    at("queues", queue as usize).require(queue as usize == plan.queues().len(), "it belongs to no core")?;
    at("vcpus", vcpu as usize).require(vcpu as usize == plan.vcpus().len(), "it belongs to no queue")
}

fn time(plan: &Plan<'_>) -> Result<(), Refusal> {
    let cores = plan.cores().len();
    at("timelines", 0)
        .require(plan.timelines().len() == plan.schedules().len() * cores, "not one per schedule and core")?;
    for (number, timeline) in plan.timelines().iter().enumerate() {
        let Some((schedule, core)) = plan.schedules().get(number / cores).zip(plan.cores().get(number % cores)) else {
            continue;
        };
        let windows = plan.windows().get(timeline.windows.range());
        let windows =
            windows.ok_or(Refusal { table: "timelines", index: number as u32, what: "its windows are missing" })?;
        let mut end = 0;
        for (offset, window) in windows.iter().enumerate() {
            let index = timeline.windows.first as usize + offset;
            at("windows", index)
                .require(window.start == end && window.duration > 0, "it does not begin where the one before ends")?;
            at("windows", index).require(window.queue < core.queues.count, "its time partition is not on this core")?;
            end = window.start.saturating_add(window.duration);
        }
        at("timelines", number).require(end == schedule.frame, "its windows do not fill the frame")?;
    }
    for (index, schedule) in plan.schedules().iter().enumerate() {
        at("schedules", index).require(within(schedule.changes, plan.changes().len()), "its changes are missing")?;
        at("schedules", index).require(index < 1 << 16, "more than 65536 schedules")?;
    }
    for (index, change) in plan.changes().iter().enumerate() {
        at("changes", index)
            .require((change.partition as usize) < plan.partitions().len(), "there is no such partition")?;
    }
    Ok(())
}

fn vcpus(plan: &Plan<'_>) -> Result<(), Refusal> {
    for (index, vcpu) in plan.vcpus().iter().enumerate() {
        let wrong = |what| Refusal { table: "vcpus", index: index as u32, what };
        let queue = plan.queues().get(vcpu.queue as usize).ok_or(wrong("there is no such queue"))?;
        at("vcpus", index)
            .require(queue.vcpus.range().contains(&index) && queue.core == vcpu.core, "its queue does not have it")?;
        let partition = plan.partitions().get(vcpu.partition as usize).ok_or(wrong("there is no such partition"))?;
        let number = plan.partition_vcpus().get(partition.vcpus.range()).and_then(|list| list.get(vcpu.index as usize));
        at("vcpus", index).require(number == Some(&(index as u32)), "its partition does not have it")?;
        let before = index.checked_sub(1).filter(|before| queue.vcpus.range().contains(before));
        let ordered =
            before.and_then(|before| plan.vcpus().get(before)).is_none_or(|before| before.priority >= vcpu.priority);
        at("vcpus", index).require(ordered, "its queue is not sorted by priority")?;
        at("vcpus", index).require(
            (vcpu.budget == 0) == (vcpu.period == 0) && vcpu.budget <= vcpu.period,
            "its budget does not fit its period",
        )?;
        for address in [vcpu.page, vcpu.page_virtual, vcpu.context] {
            at("vcpus", index).require(address % PAGE == 0, "its pages are not at multiples of the page")?;
        }
    }
    Ok(())
}

fn partitions(plan: &Plan<'_>) -> Result<(), Refusal> {
    let count = plan.partitions().len();
    for (index, partition) in plan.partitions().iter().enumerate() {
        let spans = [
            (partition.vcpus, plan.partition_vcpus().len()),
            (partition.regions, plan.regions().len()),
            (partition.ports, plan.ports().len()),
            (partition.doorbells, plan.doorbells().len()),
            (partition.lines, plan.lines().len()),
            (partition.rights, plan.rights().len()),
            (partition.peers, plan.peers().len()),
            (partition.quiesces, plan.quiesces().len()),
            (partition.kernel_maps, plan.kernel_maps().len()),
        ];
        at("partitions", index)
            .require(spans.into_iter().all(|(span, length)| within(span, length)), "something of it is missing")?;
        at("partitions", index)
            .require(partition.vcpus.count > 0 && partition.vcpus.count <= PARTITION_VCPUS, "it needs 1 to 8 vCPUs")?;
        at("partitions", index)
            .require((partition.health as usize) < plan.health().len(), "there is no such health table")?;
        at("partitions", index).require(
            partition.start_next == NONE || (partition.start_next as usize) < count,
            "there is no partition to start next",
        )?;
        regions(plan, partition)?;
        let rights = plan.rights().get(partition.rights.range()).unwrap_or(&[]);
        at("partitions", index)
            .require(rights.is_sorted_by_key(|right| (right.kind, right.target)), "its rights are not sorted")?;
        let peers = plan.peers().get(partition.peers.range()).unwrap_or(&[]);
        at("partitions", index).require(peers.iter().all(|&peer| (peer as usize) < count), "there is no such peer")?;
        let vcpus = plan.partition_vcpus().get(partition.vcpus.range()).unwrap_or(&[]);
        at("partitions", index)
            .require(vcpus.iter().all(|&vcpu| (vcpu as usize) < plan.vcpus().len()), "there is no such vCPU")?;
    }
    owners(plan)
}

/// Proves that rights lead somewhere, and that a partition's ports and lines are heard by itself.
fn owners(plan: &Plan<'_>) -> Result<(), Refusal> {
    for (index, right) in plan.rights().iter().enumerate() {
        let end = match right.kind {
            RIGHT_SCHEDULE => plan.schedules().len(),
            RIGHT_MODULE => 2,
            _ => plan.partitions().len(),
        };
        at("rights", index).require((right.target as usize) < end, "its target is missing")?;
    }
    for (index, partition) in plan.partitions().iter().enumerate() {
        let own = |vcpu: u32| plan.vcpus().get(vcpu as usize).is_some_and(|vcpu| vcpu.partition as usize == index);
        let ports = plan.ports().get(partition.ports.range()).unwrap_or(&[]);
        let heard = ports.iter().all(|port| port.event >= 64 || own(port.vcpu));
        at("partitions", index).require(heard, "another hears its ports")?;
        let lines = plan.lines().get(partition.lines.range()).unwrap_or(&[]);
        at("partitions", index).require(lines.iter().all(|line| own(line.vcpu)), "another hears its lines")?;
    }
    Ok(())
}

fn regions(plan: &Plan<'_>, partition: &PartitionRecord) -> Result<(), Refusal> {
    let regions = plan.regions().get(partition.regions.range()).unwrap_or(&[]);
    let mut before: Option<&RegionRecord> = None;
    for (offset, region) in regions.iter().enumerate() {
        let index = partition.regions.first as usize + offset;
        let aligned = [region.address, region.physical, region.bytes].into_iter().all(|value| value % PAGE == 0);
        at("regions", index).require(aligned && region.bytes > 0, "it is not whole pages")?;
        let ends =
            region.address.checked_add(region.bytes).is_some() && region.physical.checked_add(region.bytes).is_some();
        at("regions", index).require(ends, "it ends beyond all addresses")?;
        let outside =
            |start: u64, bytes: u64| region.physical + region.bytes <= start || start + bytes <= region.physical;
        let system = plan.system;
        let fenced = outside(system.arena, system.arena_bytes) && outside(system.tables, system.tables_bytes);
        at("regions", index).require(fenced, "it holds kernel objects")?;
        let guest = region.space == SPACE_GUEST;
        at("regions", index)
            .require(guest || region.access & (WRITE | EXECUTE) != WRITE | EXECUTE, "writable and executable")?;
        let ordered = before.is_none_or(|last| {
            last.space < region.space || last.space == region.space && last.address + last.bytes <= region.address
        });
        at("regions", index).require(ordered, "not sorted by space and address, or overlapping")?;
        before = Some(region);
    }
    Ok(())
}

fn links(plan: &Plan<'_>) -> Result<(), Refusal> {
    let vcpu = |number: u32| (number as usize) < plan.vcpus().len();
    for (index, channel) in plan.channels().iter().enumerate() {
        let form = channel.depth > 0 && (channel.kind == QUEUING || channel.kind == SAMPLING && channel.depth == 1);
        at("channels", index).require(form, "its depth does not fit its kind")?;
        at("channels", index).require(
            channel.message_bytes > 0 && channel.message_bytes <= MESSAGE_MAX,
            "messages of 1 to 2048 bytes",
        )?;
        at("channels", index).require(channel.buffer % 16 == 0, "its buffer is not at a multiple of 16")?;
        at("channels", index)
            .require(within(channel.readers, plan.channel_readers().len()), "its readers are missing")?;
        at("channels", index).require(channel.readers.count <= READERS, "more than 8 readers")?;
        at("channels", index)
            .require(channel.kind == SAMPLING || channel.readers.count == 1, "a queue has one reader")?;
        at("channels", index).require((channel.writer as usize) < plan.ports().len(), "there is no such writer")?;
    }
    for &reader in plan.channel_readers() {
        at("channel_readers", reader as usize)
            .require((reader as usize) < plan.ports().len(), "there is no such port")?;
    }
    for (index, port) in plan.ports().iter().enumerate() {
        at("ports", index).require((port.channel as usize) < plan.channels().len(), "there is no such channel")?;
        at("ports", index).require(port.event >= 64 || vcpu(port.vcpu), "there is no such vCPU")?;
    }
    for (index, bell) in plan.doorbells().iter().enumerate() {
        at("doorbells", index).require(vcpu(bell.vcpu) && bell.event < 64, "there is no such vCPU or event")?;
    }
    for core in 0..plan.cores().len() {
        let home =
            |line: &&LineRecord| plan.vcpus().get(line.vcpu as usize).is_some_and(|vcpu| vcpu.core as usize == core);
        at("cores", core)
            .require(plan.lines().iter().filter(home).count() <= LINES, "more than 32 interrupt lines lead there")?;
    }
    for (index, line) in plan.lines().iter().enumerate() {
        at("lines", index).require(vcpu(line.vcpu) && line.event < 64, "there is no such vCPU or event")?;
        at("lines", index).require(line.line < 1 << 13, "line numbers end at 8191")?;
        let twice = plan.lines().iter().filter(|other| other.line == line.line).count() > 1;
        at("lines", index).require(!twice, "it leads to two partitions")?;
    }
    Ok(())
}

fn health(plan: &Plan<'_>) -> Result<(), Refusal> {
    for (index, table) in plan.health().iter().enumerate() {
        for record in table.actions.iter().chain([&table.give_up, &table.otherwise]) {
            let action = Action::from_number(u64::from(record.action));
            let target = action != Some(Action::Schedule) || (record.argument as usize) < plan.schedules().len();
            at("health", index).require(action.is_some() && target, "there is no such action or schedule")?;
        }
    }
    // The modes are what the code assumes them to be.
    at("system", 0).require(Mode::Idle as u32 == 0, "mode 0 is not idle")
}
