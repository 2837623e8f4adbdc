// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the image says to people: values that the tool derived, each with its origin, and what
//! must be trusted. It lies behind the payload and is mapped nowhere.

use serde::{Deserialize, Serialize};

use super::Draft;
use super::cell::Cell;
use super::emit::Places;
use crate::model::{Derived, Partition, Program, System};

mod share;

/// A derived value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Of what: a partition, or the system.
    pub of: String,
    /// Which value.
    pub key: String,
    /// The value that holds.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
}

/// Memory that several partitions map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// What it is called.
    pub name: String,
    /// What it is for: `link`, `console rings`, `shared`.
    pub why: String,
    /// Physical address.
    pub start: u64,
    /// Bytes.
    pub bytes: u64,
    /// Who may write it, and read it.
    pub writers: Vec<String>,
    /// Who may only read it.
    pub readers: Vec<String>,
}

/// A virtual disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its name.
    pub name: String,
    /// The device, and where on it.
    pub lies: String,
    /// Its size and what is on it at first.
    pub holds: String,
    /// Who serves it.
    pub server: String,
    /// Partition and port of each client, and whether it may write.
    pub clients: Vec<(String, bool)>,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its way out.
    pub out: String,
    /// Who serves it.
    pub server: String,
    /// Partition and port of each member, its address, and where that comes from.
    pub members: Vec<(String, String, String)>,
}

/// A device that a partition owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Where it is.
    pub place: String,
    /// What it reaches by itself.
    pub dma: String,
}

/// What `inspect` shows beside the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Derived values.
    pub values: Vec<Entry>,
    /// What must be trusted, beside the kernel: who, and why.
    pub trusted: Vec<(String, String)>,
    /// Consoles: name, server, members.
    pub consoles: Vec<(String, String, Vec<String>)>,
    /// Virtual disks.
    pub disks: Vec<Disk>,
    /// Networks.
    pub networks: Vec<Network>,
    /// Devices with owners.
    pub devices: Vec<Device>,
    /// Memory of several partitions.
    pub shared: Vec<Shared>,
}

/// Collects it.
pub(crate) fn report(system: &System, draft: &Draft, places: &Places) -> Report {
    let mut report = Report {
        disks: share::disks(system),
        networks: share::networks(system),
        devices: share::devices(system),
        shared: share::shared(system, draft, places),
        ..Report::default()
    };
    let title = |index: usize| system.partitions.get(index).map_or(String::new(), |p| p.name.clone());
    let mut add = |of: &str, key: &str, value: String, origin: &str| {
        let (of, key, origin) = (of.to_owned(), key.to_owned(), origin.to_owned());
        report.values.push(Entry { of, key, value, origin });
    };
    derived(&mut add, "system", "name", &system.name, Clone::clone);
    derived(&mut add, "system", "trace", &system.trace, |bytes| super::findings::size(*bytes));
    let first = |index: &crate::model::ScheduleIndex| {
        system.schedules.get(index.0).map_or(String::new(), |schedule| schedule.name.clone())
    };
    derived(&mut add, "system", "schedule", &system.first_schedule, first);
    for (partition, cell) in system.partitions.iter().zip(&draft.cells) {
        let of = &partition.name;
        partition_values(&mut add, system, partition, cell);
        if cell.heap_bytes > 0 {
            let heap = super::findings::size(cell.heap_bytes);
            add(of, "heap", format!("{heap} at {:#x}", cell.heap), "what is left of its memory");
        }
        if let Some(limit) = partition.limit {
            add(of, "limit", format!("{} ns in {} ns", limit.time, limit.period), "written");
        }
        if let Some(promise) = partition.promise {
            add(of, "promise", format!("{} ns in {} ns", promise.time, promise.period), "written, proved");
        }
        let consoles = partition.console.and_then(|index| system.consoles.get(index.0));
        if let Some(console) = consoles {
            add(
                of,
                "console",
                console.name.clone(),
                if console.derived { "added by the tool" } else { "from the console tables" },
            );
        }
    }
    for partition in &system.partitions {
        for device in system.unfenced(partition) {
            let why = format!("its device `{}` reaches all memory: no IOMMU stands before it", device.name);
            report.trusted.push((partition.name.clone(), why));
        }
        let may = &partition.may;
        if !may.module.is_empty() {
            report.trusted.push((partition.name.clone(), "may stop or reset the module".to_owned()));
        }
        if !may.start_stop.is_empty() {
            let whom: Vec<String> = may.start_stop.iter().map(|index| title(index.0)).collect();
            report.trusted.push((partition.name.clone(), format!("may start and stop {}", whom.join(", "))));
        }
        if !may.switch_schedule.is_empty() {
            report.trusted.push((partition.name.clone(), "may switch the schedule".to_owned()));
        }
    }
    for console in &system.consoles {
        let members = console.members.iter().map(|member| title(member.0)).collect();
        report.consoles.push((console.name.clone(), title(console.server.0), members));
    }
    report
}

fn derived<T>(
    add: &mut impl FnMut(&str, &str, String, &str),
    of: &str,
    key: &str,
    value: &Derived<T>,
    show: impl Fn(&T) -> String,
) {
    add(of, key, show(&value.value), &value.origin.0);
}

fn partition_values(
    add: &mut impl FnMut(&str, &str, String, &str),
    system: &System,
    partition: &Partition,
    cell: &Cell,
) {
    let of = &partition.name;
    let bytes = |bytes: &u64| super::findings::size(*bytes);
    derived(add, of, "program", &partition.program, |program| match program {
        Program::Crate { package, .. } => package.clone(),
        Program::Elf { path } => path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned()),
    });
    derived(add, of, "fp", &partition.fp, bool::to_string);
    derived(add, of, "memory", &partition.memory, |value| bytes(&value.unwrap_or(cell.memory_bytes)));
    derived(add, of, "stack", &partition.stack, bytes);
    if partition.dma_memory.value > 0 {
        derived(add, of, "dma-memory", &partition.dma_memory, bytes);
    }
    if let Some(guest) = partition.guest.as_ref().filter(|_| cell.tables.is_some()) {
        derived(add, of, "page-tables", &guest.page_tables, bytes);
    }
    derived(add, of, "cores", &partition.vcpus, |vcpus| {
        let cores: Vec<String> = vcpus.iter().map(|vcpu| vcpu.core.to_string()).collect();
        cores.join(", ")
    });
    derived(add, of, "time partition", &partition.time_partition, |index| {
        system.time_partitions.get(index.0).map_or(String::new(), |tp| tp.name.clone())
    });
    derived(add, of, "priority", &partition.priority, u8::to_string);
    derived(add, of, "health", &partition.health, |index| {
        system.health.get(index.0).map_or(String::new(), |table| table.name.clone())
    });
}
