// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The core on the fake machine.

mod hostile;
mod life;
mod messages;
mod time;
mod windows;

use crate::machine::fake::{Context, Fake, Heap};
use crate::{CoreState, boot};
use parzelle_abi::Call;
use parzelle_abi::health::Action;
use parzelle_abi::info::Name;
use parzelle_plan::*;
use zerocopy::IntoBytes;

pub(crate) const MS: u64 = 1_000_000;
/// Every partition's memory: 64 KiB here (virtual), elsewhere for each (physical).
pub(crate) const MEMORY: u64 = 0x40_0000;
const MEMORY_BYTES: u64 = 0x1_0000;

/// A partition of a test system, with one vCPU.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cell {
    /// Its time partition; 0 = time partition 0.
    pub(crate) queue: u32,
    pub(crate) priority: u32,
    pub(crate) budget: (u64, u64),
    pub(crate) flags: u32,
    pub(crate) start_next: Option<u32>,
}

/// A test system on one core.
#[derive(Clone, Default)]
pub(crate) struct System {
    pub(crate) cells: Vec<Cell>,
    /// Queue and duration, in order; they make the frame.
    pub(crate) windows: Vec<(u32, u64)>,
    /// Of windows, by index: flags and pad.
    pub(crate) boundaries: Vec<(usize, u32, u64)>,
    /// The windows of a second schedule, in the same frame, and what changes when it begins.
    pub(crate) second: Vec<(u32, u64)>,
    pub(crate) changes: Vec<(u32, Action)>,
    /// Writer, readers, kind, depth, refresh.
    pub(crate) channels: Vec<(u32, Vec<u32>, u32, u32, u64)>,
    pub(crate) action: Option<Action>,
    pub(crate) restarts: u32,
    /// Holder, right, target.
    pub(crate) rights: Vec<(u32, u32, u32)>,
    /// Owner, line.
    pub(crate) lines: Vec<(u32, u32)>,
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
        let queues = self
            .windows
            .iter()
            .map(|w| w.0)
            .chain(self.second.iter().map(|w| w.0))
            .chain(self.cells.iter().map(|c| c.queue))
            .max()
            .unwrap_or(0)
            + 1;
        let mut order: Vec<usize> = (0..self.cells.len()).collect();
        order.sort_by_key(|&cell| (self.cells[cell].queue, u32::MAX - self.cells[cell].priority));
        let number = |cell: u32| order.iter().position(|&c| c == cell as usize).unwrap() as u32;
        for queue in 0..queues {
            let count = self.cells.iter().filter(|cell| cell.queue == queue).count() as u32;
            let first = plan.queues.last().map_or(0, |last: &QueueRecord| last.vcpus.first + last.vcpus.count);
            plan.queues.push(QueueRecord { vcpus: Span { first, count }, ..Default::default() });
        }
        for &cell in &order {
            let Cell { queue, priority, budget, .. } = self.cells[cell];
            plan.vcpus.push(VcpuRecord {
                partition: cell as u32,
                queue,
                priority,
                budget: budget.0,
                period: budget.1,
                stack: 0x7000,
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
                vcpus: span(&mut plan.partition_vcpus, [number(me)]),
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
                        flags: 0,
                    }),
                ),
                rights: span(&mut plan.rights, rights),
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
        let windows = if self.windows.is_empty() { vec![(0, 10 * MS)] } else { self.windows.clone() };
        let changes = self.changes.iter().map(|&(partition, to)| ChangeRecord { partition, action: to as u32 });
        let changes = span(&mut plan.changes, changes);
        for (windows, changes) in [(&windows, Span::default()), (&self.second, changes)] {
            let mut start = 0;
            let records = windows.iter().map(|&(queue, duration)| {
                start += duration;
                WindowRecord { start: start - duration, duration, queue, ..Default::default() }
            });
            let windows = span(&mut plan.windows, records.collect::<Vec<_>>());
            if start > 0 {
                plan.timelines.push(TimelineRecord { windows });
                plan.schedules.push(ScheduleRecord { frame: start, changes, ..Default::default() });
            }
        }
        for &(window, flags, pad) in &self.boundaries {
            (plan.windows[window].flags, plan.windows[window].pad) = (flags, pad);
        }
        plan.cores.push(CoreRecord {
            queues: Span { first: 0, count: queues },
            vcpus: Span { first: 0, count: self.cells.len() as u32 },
            trace: 0,
            trace_bytes: 4096,
        });
        plan.system.late_tolerance = 1400;
        plan.write()
    }

    /// Boots the system; the first frame begins at 1 ms.
    pub(crate) fn boot(&self) -> Sim {
        let bytes = self.plan();
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(&bytes);
        let plan = Plan::read(words.leak().as_bytes()).unwrap();
        let booted = boot(plan, &mut Heap::default()).unwrap();
        let mut core = CoreState::new(booted.shared, &mut booted.cores[0], Fake::new());
        core.machine.flush_takes = 777;
        core.start(MS);
        Sim { core, plan }
    }
}

/// A booted system.
pub(crate) struct Sim {
    pub(crate) core: CoreState<Fake>,
    pub(crate) plan: Plan<'static>,
}

impl Sim {
    /// Lets time pass until `time`; whoever runs computes.
    pub(crate) fn run_to(&mut self, time: u64) {
        while self.core.machine.armed <= time && self.core.machine.halted.is_none() {
            self.core.machine.time = self.core.machine.time.max(self.core.machine.armed);
            self.core.on_timer();
        }
        self.core.machine.time = self.core.machine.time.max(time);
    }

    /// The partition that runs.
    pub(crate) fn running(&self) -> Option<u32> {
        self.core.current().map(|vcpu| self.plan.vcpus()[vcpu as usize].partition)
    }

    /// A call of whoever runs; its status and value, if it has returned.
    pub(crate) fn call(&mut self, call: Call, arguments: &[u64]) -> Option<(u64, u64)> {
        let mut all = [0; 5];
        all[..arguments.len()].copy_from_slice(arguments);
        let vcpu = self.core.current().expect("somebody runs");
        let before = self.context(vcpu).results.len();
        self.core.on_call(call as u64, all);
        let results = &self.context(vcpu).results;
        (results.len() > before).then(|| results[results.len() - 1])
    }

    pub(crate) fn context(&mut self, vcpu: u32) -> &mut Context {
        self.core.machine.contexts.entry(vcpu).or_default()
    }

    /// The vCPU of a partition.
    pub(crate) fn vcpu(&self, partition: u32) -> u32 {
        self.plan.partition_vcpus()[self.plan.partitions()[partition as usize].vcpus.first as usize]
    }

    /// Lets whoever is ready wait for a moment until `partition` runs.
    pub(crate) fn until_runs(&mut self, partition: u32) {
        for _ in 0..1000 {
            if self.running() == Some(partition) {
                return;
            }
            match self.running() {
                Some(_) => {
                    let moment = self.core.machine.time + 1000;
                    self.call(Call::Wait, &[moment, 0]);
                }
                None => self.run_to(self.core.machine.armed),
            }
        }
        panic!("partition {partition} does not run");
    }
}
