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
const READERS: u32 = 32;
/// The most interrupt lines on a core: a window, a restart looks at them all.
const LINES: usize = 64;
/// The most vCPUs of a partition: they stop together.
const PARTITION_VCPUS: u32 = 16;

/// Refuses unless a condition holds.
fn require(holds: bool, table: &'static str, index: usize, what: &'static str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal { table, index: index as u32, what }) }
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
    require((system.first_schedule as usize) < plan.schedules().len(), "system", 0, "there is no first schedule")?;
    require((system.module_health as usize) < plan.health().len(), "system", 0, "there is no module health table")?;
    require(!plan.cores().is_empty(), "system", 0, "there are no cores")?;
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
        require(first, "cores", index, "its queues and vCPUs do not follow those of the core before")?;
        queue += core.queues.count;
        for number in core.queues.range() {
            let record = plan.queues().get(number).ok_or(Refusal {
                table: "cores",
                index: index as u32,
                what: "a queue is missing",
            })?;
            require(record.core as usize == index, "queues", number, "it is on another core")?;
            require(record.vcpus.first == vcpu, "queues", number, "its vCPUs do not follow those of the queue before")?;
            require(record.vcpus.count as usize <= ReadySet::MAX, "queues", number, "more than 4096 vCPUs")?;
            require(
                number == core.queues.first as usize || record.vcpus.count <= WINDOW_VCPUS,
                "queues",
                number,
                "more than 16 vCPUs share windows",
            )?;
            vcpu += record.vcpus.count;
        }
        require(core.vcpus.first + core.vcpus.count == vcpu, "cores", index, "vCPUs outside of its queues")?;
    }
    require(queue as usize == plan.queues().len(), "queues", queue as usize, "it belongs to no core")?;
    require(vcpu as usize == plan.vcpus().len(), "vcpus", vcpu as usize, "it belongs to no queue")
}

fn time(plan: &Plan<'_>) -> Result<(), Refusal> {
    let cores = plan.cores().len();
    require(plan.timelines().len() == plan.schedules().len() * cores, "timelines", 0, "not one per schedule and core")?;
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
            require(
                window.start == end && window.duration > 0,
                "windows",
                index,
                "it does not begin where the one before ends",
            )?;
            require(window.queue < core.queues.count, "windows", index, "its time partition is not on this core")?;
            end = window.start.saturating_add(window.duration);
        }
        require(end == schedule.frame, "timelines", number, "its windows do not fill the frame")?;
    }
    for (index, schedule) in plan.schedules().iter().enumerate() {
        require(within(schedule.changes, plan.changes().len()), "schedules", index, "its changes are missing")?;
        require(index < 1 << 16, "schedules", index, "more than 65536 schedules")?;
    }
    for (index, change) in plan.changes().iter().enumerate() {
        require((change.partition as usize) < plan.partitions().len(), "changes", index, "there is no such partition")?;
    }
    Ok(())
}

fn vcpus(plan: &Plan<'_>) -> Result<(), Refusal> {
    for (index, vcpu) in plan.vcpus().iter().enumerate() {
        let wrong = |what| Refusal { table: "vcpus", index: index as u32, what };
        let queue = plan.queues().get(vcpu.queue as usize).ok_or(wrong("there is no such queue"))?;
        require(
            queue.vcpus.range().contains(&index) && queue.core == vcpu.core,
            "vcpus",
            index,
            "its queue does not have it",
        )?;
        let partition = plan.partitions().get(vcpu.partition as usize).ok_or(wrong("there is no such partition"))?;
        let number = plan.partition_vcpus().get(partition.vcpus.range()).and_then(|list| list.get(vcpu.index as usize));
        require(number == Some(&(index as u32)), "vcpus", index, "its partition does not have it")?;
        let before = index.checked_sub(1).filter(|before| queue.vcpus.range().contains(before));
        let ordered =
            before.and_then(|before| plan.vcpus().get(before)).is_none_or(|before| before.priority >= vcpu.priority);
        require(ordered, "vcpus", index, "its queue is not sorted by priority")?;
        require(
            (vcpu.budget == 0) == (vcpu.period == 0) && vcpu.budget <= vcpu.period,
            "vcpus",
            index,
            "its budget does not fit its period",
        )?;
        for address in [vcpu.page, vcpu.page_virtual, vcpu.context] {
            require(address % PAGE == 0, "vcpus", index, "its pages are not at multiples of the page")?;
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
        require(
            spans.into_iter().all(|(span, length)| within(span, length)),
            "partitions",
            index,
            "something of it is missing",
        )?;
        require(
            partition.vcpus.count > 0 && partition.vcpus.count <= PARTITION_VCPUS,
            "partitions",
            index,
            "it needs 1 to 16 vCPUs",
        )?;
        require(
            (partition.health as usize) < plan.health().len(),
            "partitions",
            index,
            "there is no such health table",
        )?;
        require(
            partition.start_next == NONE || (partition.start_next as usize) < count,
            "partitions",
            index,
            "there is no partition to start next",
        )?;
        regions(plan, partition)?;
        let rights = plan.rights().get(partition.rights.range()).unwrap_or(&[]);
        require(
            rights.is_sorted_by_key(|right| (right.kind, right.target)),
            "partitions",
            index,
            "its rights are not sorted",
        )?;
        let peers = plan.peers().get(partition.peers.range()).unwrap_or(&[]);
        require(peers.iter().all(|&peer| (peer as usize) < count), "partitions", index, "there is no such peer")?;
        let vcpus = plan.partition_vcpus().get(partition.vcpus.range()).unwrap_or(&[]);
        require(
            vcpus.iter().all(|&vcpu| (vcpu as usize) < plan.vcpus().len()),
            "partitions",
            index,
            "there is no such vCPU",
        )?;
    }
    Ok(())
}

fn regions(plan: &Plan<'_>, partition: &PartitionRecord) -> Result<(), Refusal> {
    let regions = plan.regions().get(partition.regions.range()).unwrap_or(&[]);
    let mut before: Option<&RegionRecord> = None;
    for (offset, region) in regions.iter().enumerate() {
        let index = partition.regions.first as usize + offset;
        let aligned = [region.address, region.physical, region.bytes].into_iter().all(|value| value % PAGE == 0);
        require(aligned && region.bytes > 0, "regions", index, "it is not whole pages")?;
        let ends =
            region.address.checked_add(region.bytes).is_some() && region.physical.checked_add(region.bytes).is_some();
        require(ends, "regions", index, "it ends beyond all addresses")?;
        let guest = region.space == SPACE_GUEST;
        require(
            guest || region.access & (WRITE | EXECUTE) != WRITE | EXECUTE,
            "regions",
            index,
            "writable and executable",
        )?;
        let ordered = before.is_none_or(|last| {
            last.space < region.space || last.space == region.space && last.address + last.bytes <= region.address
        });
        require(ordered, "regions", index, "not sorted by space and address, or overlapping")?;
        before = Some(region);
    }
    Ok(())
}

fn links(plan: &Plan<'_>) -> Result<(), Refusal> {
    let vcpu = |number: u32| (number as usize) < plan.vcpus().len();
    for (index, channel) in plan.channels().iter().enumerate() {
        let form = channel.depth > 0 && (channel.kind == QUEUING || channel.kind == SAMPLING && channel.depth == 1);
        require(form, "channels", index, "its depth does not fit its kind")?;
        require(
            channel.message_bytes > 0 && channel.message_bytes <= MESSAGE_MAX,
            "channels",
            index,
            "messages of 1 to 2048 bytes",
        )?;
        require(channel.buffer % 16 == 0, "channels", index, "its buffer is not at a multiple of 16")?;
        require(within(channel.readers, plan.channel_readers().len()), "channels", index, "its readers are missing")?;
        require(channel.readers.count <= READERS, "channels", index, "more than 32 readers")?;
        require(channel.kind == SAMPLING || channel.readers.count == 1, "channels", index, "a queue has one reader")?;
        require((channel.writer as usize) < plan.ports().len(), "channels", index, "there is no such writer")?;
    }
    for &reader in plan.channel_readers() {
        require((reader as usize) < plan.ports().len(), "channel_readers", reader as usize, "there is no such port")?;
    }
    for (index, port) in plan.ports().iter().enumerate() {
        require((port.channel as usize) < plan.channels().len(), "ports", index, "there is no such channel")?;
        require(port.event >= 64 || vcpu(port.vcpu), "ports", index, "there is no such vCPU")?;
    }
    for (index, bell) in plan.doorbells().iter().enumerate() {
        require(vcpu(bell.vcpu) && bell.event < 64, "doorbells", index, "there is no such vCPU or event")?;
    }
    for core in 0..plan.cores().len() {
        let home =
            |line: &&LineRecord| plan.vcpus().get(line.vcpu as usize).is_some_and(|vcpu| vcpu.core as usize == core);
        require(
            plan.lines().iter().filter(home).count() <= LINES,
            "cores",
            core,
            "more than 64 interrupt lines lead there",
        )?;
    }
    for (index, line) in plan.lines().iter().enumerate() {
        require(vcpu(line.vcpu) && line.event < 64, "lines", index, "there is no such vCPU or event")?;
        require(line.line < 1 << 13, "lines", index, "line numbers end at 8191")?;
        let twice = plan.lines().iter().filter(|other| other.line == line.line).count() > 1;
        require(!twice, "lines", index, "it leads to two partitions")?;
    }
    Ok(())
}

fn health(plan: &Plan<'_>) -> Result<(), Refusal> {
    for (index, table) in plan.health().iter().enumerate() {
        for record in table.actions.iter().chain([&table.give_up, &table.otherwise]) {
            let action = Action::from_number(u64::from(record.action));
            let target = action != Some(Action::Schedule) || (record.argument as usize) < plan.schedules().len();
            require(action.is_some() && target, "health", index, "there is no such action or schedule")?;
        }
    }
    // The modes are what the code assumes them to be.
    require(Mode::Idle as u32 == 0, "system", 0, "mode 0 is not idle")
}
