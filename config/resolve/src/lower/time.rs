// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Time: cores, queues, vCPUs, schedules.
//!
//! ```text
//!   core 0: queue 0 = time partition 0 │ queue 1 = a │ queue 2 = b │ core 1: queue 3 = …
//!           its vCPUs, by priority      its vCPUs
//! ```
//! vCPUs are numbered in exactly this order, so that a queue's are a range of the table.

use std::cmp::Reverse;
use std::collections::HashMap;

use parzelle_abi::health::Action as AbiAction;
use parzelle_plan::{
    ChangeRecord, PlanBuilder, QueueRecord, ScheduleRecord, Span, TimelineRecord, WINDOW_FLUSH, WINDOW_NO_SLACK,
    WindowRecord,
};

use super::names::name;
use crate::model::{ChangeAction, System, TimePartitionIndex};

/// A vCPU's place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) partition: usize,
    /// Its number in the partition.
    pub(crate) number: usize,
    pub(crate) core: u32,
    pub(crate) queue: u32,
    pub(crate) priority: u8,
}

/// Who runs where.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    pub(crate) queues: Vec<QueueRecord>,
    /// By core: its queues and its vCPUs.
    pub(crate) cores: Vec<(Span, Span)>,
    /// By number in the plan.
    pub(crate) vcpus: Vec<Slot>,
    /// By partition, by number there: the number in the plan.
    pub(crate) of: Vec<Vec<u32>>,
    queue_of: HashMap<(u32, TimePartitionIndex), u32>,
}

impl Order {
    /// Sorts a system's vCPUs.
    pub(crate) fn new(system: &System) -> Order {
        let mut order =
            Order { of: system.partitions.iter().map(|p| vec![0; p.vcpus.value.len()]).collect(), ..Order::default() };
        for core in 0..system.cores {
            let queues = order.queues.len() as u32;
            let vcpus = order.vcpus.len() as u32;
            for index in 0..system.time_partitions.len() {
                order.add_queue(system, core, TimePartitionIndex(index));
            }
            order.cores.push((
                Span { first: queues, count: order.queues.len() as u32 - queues },
                Span { first: vcpus, count: order.vcpus.len() as u32 - vcpus },
            ));
        }
        order
    }

    fn add_queue(&mut self, system: &System, core: u32, of: TimePartitionIndex) {
        let queue = self.queues.len() as u32;
        let mut slots: Vec<Slot> = Vec::new();
        for (partition, record) in system.partitions.iter().enumerate() {
            if record.time_partition.value != of {
                continue;
            }
            let here = record.vcpus.value.iter().enumerate().filter(|(_, vcpu)| vcpu.core == core);
            slots.extend(here.map(|(number, _)| Slot {
                partition,
                number,
                core,
                queue,
                priority: record.priority.value,
            }));
        }
        if slots.is_empty() && of != TimePartitionIndex::ZERO && !has_window(system, core, of) {
            return;
        }
        slots.sort_by_key(|slot| (Reverse(slot.priority), slot.partition, slot.number));
        let first = self.vcpus.len() as u32;
        for slot in slots {
            let number = self.vcpus.len() as u32;
            let entry = self.of.get_mut(slot.partition).and_then(|list| list.get_mut(slot.number));
            if let Some(entry) = entry {
                *entry = number;
            }
            self.vcpus.push(slot);
        }
        let title = system.time_partitions.get(of.0).map_or("", |tp| tp.name.as_str());
        self.queues.push(QueueRecord {
            name: name(title),
            vcpus: Span { first, count: self.vcpus.len() as u32 - first },
            core,
            ..QueueRecord::default()
        });
        self.queue_of.insert((core, of), queue);
    }

    /// The number in the plan of a partition's vCPU 0, which hears all that concerns it.
    pub(crate) fn first_vcpu(&self, partition: usize) -> u32 {
        self.of.get(partition).and_then(|list| list.first()).copied().unwrap_or(parzelle_plan::NONE)
    }

    /// The number on its core of a time partition's queue.
    fn queue_on(&self, core: u32, of: TimePartitionIndex) -> u32 {
        let first = self.cores.get(core as usize).map_or(0, |(queues, _)| queues.first);
        self.queue_of.get(&(core, of)).map_or(0, |queue| queue - first)
    }

    /// Writes schedules, timelines, windows and changes.
    pub(crate) fn put_schedules(&self, system: &System, plan: &mut PlanBuilder) {
        for schedule in &system.schedules {
            let first = plan.changes.len() as u32;
            plan.changes.extend(schedule.change_actions.iter().map(|rule| ChangeRecord {
                partition: rule.partition.0 as u32,
                action: match rule.action {
                    ChangeAction::WarmStart => AbiAction::WarmStart,
                    ChangeAction::ColdStart => AbiAction::ColdStart,
                    ChangeAction::Stop => AbiAction::Stop,
                } as u32,
            }));
            plan.schedules.push(ScheduleRecord {
                name: name(&schedule.name),
                frame: schedule.frame,
                changes: Span { first, count: plan.changes.len() as u32 - first },
            });
            for core in 0..system.cores {
                let first = plan.windows.len() as u32;
                let windows = schedule.cores.iter().filter(|entry| entry.core == core);
                plan.windows.extend(windows.flat_map(|entry| &entry.windows).map(|window| WindowRecord {
                    start: window.start,
                    duration: window.duration,
                    queue: self.queue_on(core, window.time_partition),
                    flags: if window.slack { 0 } else { WINDOW_NO_SLACK } | if window.flush { WINDOW_FLUSH } else { 0 },
                    pad: window.pad,
                }));
                let windows = Span { first, count: plan.windows.len() as u32 - first };
                plan.timelines.push(TimelineRecord { windows });
            }
        }
    }
}

fn has_window(system: &System, core: u32, of: TimePartitionIndex) -> bool {
    let entries = system.schedules.iter().flat_map(|schedule| &schedule.cores);
    entries
        .filter(|entry| entry.core == core)
        .any(|entry| entry.windows.iter().any(|window| window.time_partition == of))
}
