// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From a description without errors to the [`System`]: looks names up, chooses defaults, expands
//! windows. It has no findings of its own; `None` stands for a mistake that the rules found.

mod board;
mod health;
mod links;
mod partition;
mod share;
mod time;

use crate::model::*;
use crate::rules::{Ctx, facts::time_partition_name};

/// The order in which everything gets its index: by name.
pub(crate) struct Order {
    /// Names of partitions, with `console` if the tool adds one.
    partitions: Vec<String>,
    schedules: Vec<String>,
    time_partitions: Vec<String>,
    health: Vec<String>,
    devices: Vec<String>,
    sampling: Vec<String>,
    queuing: Vec<String>,
    shared: Vec<String>,
    /// The UART of the console partition that the tool adds.
    added_console: Option<String>,
}

impl Order {
    fn partition(&self, name: &str) -> Option<PartitionIndex> {
        self.partitions.binary_search_by(|p| p.as_str().cmp(name)).ok().map(PartitionIndex)
    }

    fn schedule(&self, name: &str) -> Option<ScheduleIndex> {
        self.schedules.binary_search_by(|p| p.as_str().cmp(name)).ok().map(ScheduleIndex)
    }

    fn device(&self, name: &str) -> Option<DeviceIndex> {
        self.devices.binary_search_by(|p| p.as_str().cmp(name)).ok().map(DeviceIndex)
    }

    fn health(&self, name: &str) -> Option<HealthIndex> {
        self.health.binary_search_by(|p| p.as_str().cmp(name)).ok().map(HealthIndex)
    }

    fn time(&self, name: &str) -> Option<TimePartitionIndex> {
        self.time_partitions.iter().position(|p| p == name).map(TimePartitionIndex)
    }

    /// All partitions for `*`, else the one of that name.
    fn named(&self, name: &str) -> Vec<PartitionIndex> {
        if name == "*" {
            (0..self.partitions.len()).map(PartitionIndex).collect()
        } else {
            self.partition(name).into_iter().collect()
        }
    }
}

fn sorted<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<String> = names.cloned().collect();
    names.sort();
    names.dedup();
    names
}

/// The UART that a derived console partition would own: no console is described, and nobody
/// owns the UART on which the kernel prints.
fn added_console(cx: &Ctx<'_>) -> Option<String> {
    let uart = &cx.board.console.good()?.value.text;
    let owned =
        cx.d.partitions.iter().any(|p| p.devices.good().is_some_and(|l| l.value.iter().any(|d| d.value.text == *uart)));
    let named = cx.d.partitions.iter().any(|p| p.name.value == "console");
    (cx.d.consoles.is_empty() && !owned && !named).then(|| uart.clone())
}

/// Derives the system; `None` if the rules found errors that leave something open.
/// `own_name`: its name, if the description gives none.
pub(crate) fn system(cx: &Ctx<'_>, own_name: &Derived<String>) -> Option<System> {
    let d = cx.d;
    let added = added_console(cx);
    let added_name = "console".to_owned();
    let mut time_partitions: Vec<String> = vec!["0".to_owned()];
    time_partitions.extend(sorted(cx.facts.time_partition.iter().flatten()));
    let default_schedule = "default".to_owned();
    let tables = ["default".to_owned(), "module".to_owned()];
    let order = Order {
        partitions: sorted(d.partitions.iter().map(|p| &p.name.value).chain(added.iter().map(|_| &added_name))),
        schedules: if d.schedules.is_empty() {
            vec![default_schedule]
        } else {
            sorted(d.schedules.iter().map(|s| &s.name.value))
        },
        time_partitions,
        health: sorted(d.health.iter().map(|h| &h.name.value).chain(&tables)),
        devices: sorted(d.devices.iter().chain(&cx.board.devices).map(|d| &d.name.value)),
        sampling: sorted(d.channels.iter().filter(|c| c.sampling).map(|c| &c.name.value)),
        queuing: sorted(d.channels.iter().filter(|c| !c.sampling).map(|c| &c.name.value)),
        shared: sorted(d.shared.iter().map(|s| &s.name.value)),
        added_console: added,
    };
    let mut partitions = Vec::new();
    for name in &order.partitions {
        partitions.push(match cx.partition(name) {
            Some((at, p)) => partition::derive(cx, &order, at, p)?,
            None => partition::console(cx, &order)?,
        });
    }
    let cores = partitions
        .iter()
        .flat_map(|p| p.vcpus.value.iter().map(|v| v.core))
        .chain(cx.facts.schedules.iter().flat_map(|s| s.cores.iter().map(|c| c.core)))
        .max()
        .unwrap_or(0)
        .checked_add(1)?;
    let members = |name: &str| -> Vec<PartitionIndex> {
        let of = |p: &Partition| order.time_partitions.get(p.time_partition.value.0).is_some_and(|t| t == name);
        partitions.iter().enumerate().filter(|(_, p)| of(p)).map(|(at, _)| PartitionIndex(at)).collect()
    };
    let time_partitions =
        order.time_partitions.iter().map(|name| TimePartition { name: name.clone(), members: members(name) }).collect();
    let schedules = time::schedules(cx, &order, cores)?;
    let first_schedule = match d.system.schedule.good() {
        Some(name) => Derived::written(order.schedule(&name.value.text)?),
        None if d.schedules.is_empty() => Derived::from(ScheduleIndex(0), "no schedule is written"),
        None => Derived::from(ScheduleIndex(0), "the only schedule"),
    };
    let start_order = d
        .system
        .start_order
        .good()
        .map(|l| l.value.iter().map(|n| order.partition(&n.value.text)).collect::<Option<Vec<_>>>())
        .unwrap_or(Some(Vec::new()))?;
    let (sampling, queuing) = links::channels(cx, &order)?;
    let shared = links::shared(cx, &order)?;
    let consoles = share::consoles(cx, &order)?;
    let disks = share::disks(cx, &order)?;
    let networks = share::networks(cx, &order)?;
    let mut board = board::derive(cx, &order)?;
    for (at, p) in partitions.iter_mut().enumerate() {
        links::ports(cx, &order, p);
        p.console = consoles.iter().position(|c| c.members.contains(&PartitionIndex(at))).map(ConsoleIndex);
        for device in &p.devices {
            if let Some(device) = board.devices.get_mut(device.0) {
                device.owner = Some(PartitionIndex(at));
            }
        }
    }
    board::fill_in(&mut board, cores);
    Some(System {
        name: match d.system.name.good() {
            Some(name) => Derived::written(name.value.text.clone()),
            None => own_name.clone(),
        },
        doorbells: links::doorbells(&shared),
        module_health: order.health("module")?,
        health: health::tables(cx, &order)?,
        trace: d.system.trace.good().map_or(Derived::default(64 << 10), |t| Derived::written(t.value)),
        board,
        cores,
        partitions,
        time_partitions,
        schedules,
        first_schedule,
        start_order,
        sampling,
        queuing,
        shared,
        disks,
        networks,
        consoles,
    })
}

/// The time partition of a partition of the description.
fn time_of(cx: &Ctx<'_>, order: &Order, at: usize) -> Option<Derived<TimePartitionIndex>> {
    let p = cx.d.partitions.get(at)?;
    match cx.facts.time_partition.get(at)? {
        None => Some(Derived::from(TimePartitionIndex::ZERO, "no schedule names it")),
        Some(_) if p.time_partition.is_written() => Some(Derived::written(order.time(&time_partition_name(p))?)),
        Some(name) => Some(Derived::from(order.time(name)?, "its own name")),
    }
}
