// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Small systems for tests, and their plans.

use crate::machine::fake::{Fake, Heap};
use crate::{CoreState, boot};
use parzelle_abi::health::Action;
use parzelle_abi::info::Name;
use parzelle_plan::*;
use zerocopy::IntoBytes;

pub(crate) const MS: u64 = 1_000_000;
/// Every partition's memory: 64 KiB here (virtual), elsewhere for each (physical).
pub(crate) const MEMORY: u64 = 0x40_0000;
const MEMORY_BYTES: u64 = 0x1_0000;

/// A partition of a test system, with one vCPU; [`System::more`] has further ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cell {
    /// The core of its vCPU.
    pub(crate) core: u32,
    /// Its time partition on that core; 0 = time partition 0.
    pub(crate) queue: u32,
    pub(crate) priority: u32,
    pub(crate) budget: (u64, u64),
    pub(crate) flags: u32,
    pub(crate) start_next: Option<u32>,
}

/// A test system.
#[derive(Clone, Debug, Default)]
pub(crate) struct System {
    pub(crate) cells: Vec<Cell>,
    /// Further vCPUs: partition, and the rest as for its first.
    pub(crate) more: Vec<(u32, Cell)>,
    /// One core, one schedule: queue and duration, in order; they make the frame.
    pub(crate) windows: Vec<(u32, u64)>,
    /// In its place: the same by schedule and core.
    pub(crate) schedules: Vec<Vec<Vec<(u32, u64)>>>,
    /// Of windows, by index in the plan: flags and pad.
    pub(crate) boundaries: Vec<(usize, u32, u64)>,
    /// Schedule that brings it, partition, action.
    pub(crate) changes: Vec<(u32, u32, Action)>,
    /// Writer, readers, kind, depth, refresh.
    pub(crate) channels: Vec<(u32, Vec<u32>, u32, u32, u64)>,
    pub(crate) action: Option<Action>,
    pub(crate) restarts: u32,
    /// Holder, right, target.
    pub(crate) rights: Vec<(u32, u32, u32)>,
    /// Owner, line.
    pub(crate) lines: Vec<(u32, u32)>,
    /// Whether each partition has a device to silence.
    pub(crate) devices: bool,
    /// Rings, rung.
    pub(crate) doorbells: Vec<(u32, u32)>,
}

fn span<T>(table: &mut Vec<T>, records: impl IntoIterator<Item = T>) -> Span {
    let first = table.len() as u32;
    table.extend(records);
    Span { first, count: table.len() as u32 - first }
}

impl System {
    /// The plan of the system. vCPU numbers: by queue, then priority, then cell.
    pub(crate) fn plan(&self) -> Vec<u8> {
        let mut plan = PlanBuilder::default();
        let schedules = match (self.schedules.is_empty(), self.windows.is_empty()) {
            (false, _) => self.schedules.clone(),
            (_, false) => vec![vec![self.windows.clone()]],
            _ => vec![vec![vec![(0, 10 * MS)]]],
        };
        let cores = schedules[0].len() as u32;
        // Every vCPU with its partition, in the plan's order.
        let first = self.cells.iter().enumerate().map(|(cell, vcpu)| (cell as u32, *vcpu));
        let all: Vec<(u32, Cell)> = first.chain(self.more.iter().copied()).collect();
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|&vcpu| (all[vcpu].1.core, all[vcpu].1.queue, u32::MAX - all[vcpu].1.priority));
        let place = |vcpu: usize| order.iter().position(|&other| other == vcpu).unwrap() as u32;
        let number = |cell: u32| place(cell as usize);
        for core in 0..cores {
            let windows = schedules.iter().flat_map(|schedule| &schedule[core as usize]).map(|window| window.0);
            let own = all.iter().filter(|vcpu| vcpu.1.core == core).map(|vcpu| vcpu.1.queue);
            let queues = windows.chain(own).max().unwrap_or(0) + 1;
            let first = plan.queues.last().map_or(0, |last: &QueueRecord| last.vcpus.first + last.vcpus.count);
            let (first_queue, mut next) = (plan.queues.len() as u32, first);
            for queue in 0..queues {
                let count = all.iter().filter(|vcpu| (vcpu.1.core, vcpu.1.queue) == (core, queue)).count() as u32;
                plan.queues.push(QueueRecord { vcpus: Span { first: next, count }, core, ..Default::default() });
                next += count;
            }
            plan.cores.push(CoreRecord {
                queues: Span { first: first_queue, count: queues },
                vcpus: Span { first, count: next - first },
                trace: 0,
                trace_bytes: 4096,
            });
        }
        for &vcpu in &order {
            let (partition, Cell { core, queue, priority, budget, .. }) = all[vcpu];
            let siblings = all[..vcpu].iter().filter(|other| other.0 == partition).count();
            let number = plan.vcpus.len() as u64;
            plan.vcpus.push(VcpuRecord {
                partition,
                index: siblings as u32,
                core,
                queue: plan.cores[core as usize].queues.first + queue,
                priority,
                budget: budget.0,
                period: budget.1,
                stack: MEMORY + 0x1_0000,
                page: 0x1000_0000 + 0x2000 * number,
                context: 0x1000_1000 + 0x2000 * number,
                ..Default::default()
            });
        }
        let action = |action: Action| ActionRecord { action: action as u32, argument: 0 };
        plan.health.push(HealthRecord {
            actions: [action(self.action.unwrap_or(Action::Stop)); 8],
            give_up: action(Action::Stop),
            otherwise: action(Action::Stop),
            restarts: self.restarts,
            restart_period: 10_000 * MS,
            reserved: 0,
        });
        for (index, (writer, readers, kind, depth, refresh)) in self.channels.iter().enumerate() {
            plan.channels.push(ChannelRecord {
                kind: *kind,
                message_bytes: 64,
                depth: *depth,
                refresh: *refresh,
                buffer: 0x9000_0000 + index as u64 * 0x1_0000,
                ..Default::default()
            });
            let _ = (writer, readers);
        }
        for (index, cell) in self.cells.iter().enumerate() {
            let me = index as u32;
            let mut ports = Vec::new();
            for (channel, (writer, readers, ..)) in self.channels.iter().enumerate() {
                let base = plan.ports.len() as u32;
                let port = |direction| PortRecord {
                    channel: channel as u32,
                    direction,
                    event: 8 + channel as u32,
                    vcpu: number(me),
                };
                if *writer == me {
                    plan.channels[channel].writer = base + ports.len() as u32;
                    ports.push(port(SOURCE));
                }
                if readers.contains(&me) {
                    ports.push(port(DESTINATION));
                }
            }
            let mine = |list: &[(u32, u32, u32)]| {
                list.iter()
                    .filter(|right| right.0 == me)
                    .map(|right| RightRecord { kind: right.1, target: right.2 })
                    .collect::<Vec<_>>()
            };
            let mut rights = mine(&self.rights);
            rights.sort_by_key(|right| (right.kind, right.target));
            let peers: Vec<u32> = self
                .channels
                .iter()
                .flat_map(|(writer, readers, ..)| {
                    if *writer == me {
                        readers.clone()
                    } else if readers.contains(&me) {
                        vec![*writer]
                    } else {
                        vec![]
                    }
                })
                .collect();
            let record = PartitionRecord {
                name: Name::new("cell").unwrap(),
                vcpus: span(&mut plan.partition_vcpus, (0..all.len()).filter(|&vcpu| all[vcpu].0 == me).map(place)),
                regions: span(
                    &mut plan.regions,
                    [RegionRecord {
                        address: MEMORY,
                        physical: 0x8000_0000 + index as u64 * MEMORY_BYTES,
                        bytes: MEMORY_BYTES,
                        access: READ | WRITE,
                        ..Default::default()
                    }],
                ),
                ports: span(&mut plan.ports, ports),
                doorbells: span(
                    &mut plan.doorbells,
                    self.doorbells
                        .iter()
                        .filter(|bell| bell.0 == me)
                        .map(|bell| DoorbellRecord { vcpu: number(bell.1), event: 20 }),
                ),
                lines: span(
                    &mut plan.lines,
                    self.lines.iter().filter(|line| line.0 == me).map(|line| LineRecord {
                        line: line.1,
                        vcpu: number(me),
                        event: 30,
                        ..Default::default()
                    }),
                ),
                rights: span(&mut plan.rights, rights),
                quiesces: span(
                    &mut plan.quiesces,
                    self.devices.then(|| AccessRecord { address: 4 * index as u64, width: 4, ..Default::default() }),
                ),
                peers: span(&mut plan.peers, peers),
                start_next: cell.start_next.unwrap_or(NONE),
                flags: cell.flags,
                entry: 0x10_0000,
                ..Default::default()
            };
            plan.partitions.push(record);
        }
        for (channel, (_, readers, ..)) in self.channels.iter().enumerate() {
            let at = |reader: &u32| {
                let ports = plan.partitions[*reader as usize].ports.range();
                ports
                    .into_iter()
                    .find(|&port| {
                        plan.ports[port].channel == channel as u32 && plan.ports[port].direction == DESTINATION
                    })
                    .unwrap() as u32
            };
            let found: Vec<u32> = readers.iter().map(at).collect();
            plan.channels[channel].readers = span(&mut plan.channel_readers, found);
        }
        for (schedule, cores) in schedules.iter().enumerate() {
            let mut frame = 0;
            for windows in cores {
                frame = 0;
                let records = windows.iter().map(|&(queue, duration)| {
                    let start = frame;
                    frame += duration;
                    WindowRecord { start, duration, queue, ..Default::default() }
                });
                let windows = span(&mut plan.windows, records);
                plan.timelines.push(TimelineRecord { windows });
            }
            let mine = self.changes.iter().filter(|change| change.0 as usize == schedule);
            let changes = mine.map(|change| ChangeRecord { partition: change.1, action: change.2 as u32 });
            let changes = span(&mut plan.changes, changes);
            plan.schedules.push(ScheduleRecord { frame, changes, ..Default::default() });
        }
        for &(window, flags, pad) in &self.boundaries {
            (plan.windows[window].flags, plan.windows[window].pad) = (flags, pad);
        }
        plan.system.late_tolerance = 1400;
        plan.write()
    }

    /// Boots it on as many machines as it has cores; the caller starts them.
    pub(crate) fn boot_cores(&self) -> (Plan<'static>, Vec<CoreState<Fake>>) {
        let bytes = self.plan();
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(&bytes);
        let plan = Plan::read(words.leak().as_bytes()).unwrap();
        let booted = boot(plan, &mut Heap::default()).unwrap();
        let core = |data| CoreState::new(booted.shared, data, Fake::new());
        (plan, booted.cores.iter_mut().map(core).collect())
    }
}
