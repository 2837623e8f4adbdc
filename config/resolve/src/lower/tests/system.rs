// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Small systems, made by hand.

use crate::model::*;
use parzelle_schema::source::{FileId, Place};

const NOWHERE: Place = Place { file: FileId(0), start: 0, end: 0 };

/// What may differ.
#[derive(Default)]
pub(super) struct Parts {
    /// Devices of the console partition.
    pub(super) devices: Vec<DeviceIndex>,
}

fn partition(name: &str, parts: &Parts) -> Partition {
    let console = name == "console";
    Partition {
        name: name.into(),
        derived: console,
        program: Derived::written(Program::Elf { path: "x".into() }),
        guest: None,
        config: "a = 1".into(),
        fp: Derived::default(true),
        memory: Derived::default(None),
        stack: Derived::default(16 << 10),
        heap: Derived::default(0),
        dma_memory: Derived::default(0),
        physical: None,
        vcpus: Derived::default(vec![Vcpu { core: 0 }]),
        time_partition: Derived::default(TimePartitionIndex::ZERO),
        priority: Derived::default(100),
        promise: None,
        limit: None,
        health: Derived::default(HealthIndex(0)),
        start: Derived::default(Start::Auto),
        may: Rights::default(),
        devices: if console { parts.devices.clone() } else { Vec::new() },
        dma_trusted: false,
        ports: Vec::new(),
        shared: Vec::new(),
        console: (!console).then_some(ConsoleIndex(0)),
        places: Places::default(),
    }
}

/// A console, `one` and `two`.
pub(super) fn small(arch: Arch, parts: Parts) -> System {
    let arm = arch == Arch::Aarch64;
    let base = if arm { 0x4000_0000 } else { 0 };
    let table = |name: &str| HealthTable {
        name: name.into(),
        actions: [Action::Stop; 8],
        otherwise: Action::Stop,
        restarts: Restarts { count: 5, within: 1_000_000_000 },
        give_up: Action::Stop,
    };
    let frame = 10_000_000;
    let window = Window {
        start: 0,
        duration: frame,
        time_partition: TimePartitionIndex::ZERO,
        slack: true,
        flush: false,
        pad: 0,
        written: None,
    };
    System {
        name: Derived::written("small".into()),
        board: Board {
            name: "board".into(),
            folder: "board".into(),
            arch,
            cores: 1,
            ram: vec![Region { start: base, size: 1 << 30 }],
            reserved: vec![Region { start: base, size: 2 << 20 }],
            tick: 1000,
            shortest_window: 1000,
            iommu: None,
            buses: Vec::new(),
            console: None,
            options: Default::default(),
            kernel_load: base + 0x20_0000,
            irqchip: Default::default(),
            devices: Vec::new(),
            run: None,
            ram_place: None,
        },
        cores: 1,
        trace: Derived::default(64 << 10),
        partitions: ["console", "one", "two"].map(|name| partition(name, &parts)).into(),
        time_partitions: vec![TimePartition { name: "0".into(), members: [0, 1, 2].map(PartitionIndex).into() }],
        schedules: vec![Schedule {
            name: "default".into(),
            derived: true,
            frame,
            cores: vec![CoreSchedule { core: 0, windows: vec![window] }],
            change_actions: Vec::new(),
            head: None,
        }],
        first_schedule: Derived::default(ScheduleIndex(0)),
        start_order: Vec::new(),
        sampling: Vec::new(),
        queuing: Vec::new(),
        shared: Vec::new(),
        doorbells: Vec::new(),
        disks: Vec::new(),
        networks: Vec::new(),
        consoles: vec![Console {
            name: "console".into(),
            derived: true,
            device: DeviceIndex(0),
            server: PartitionIndex(0),
            members: vec![PartitionIndex(1), PartitionIndex(2)],
            ports: Vec::new(),
        }],
        health: vec![table("default"), table("module")],
        module_health: HealthIndex(1),
    }
}

/// A sampling channel.
pub(super) fn sampling(name: &str, from: usize, to: Vec<usize>) -> Sampling {
    Sampling {
        name: name.into(),
        from: PartitionIndex(from),
        to: to.into_iter().map(PartitionIndex).collect(),
        message_size: 40,
        refresh_period: 1_000_000,
        head: NOWHERE,
    }
}

/// A queuing channel.
pub(super) fn queuing(name: &str, from: usize, to: usize) -> Queuing {
    Queuing {
        name: name.into(),
        from: PartitionIndex(from),
        to: PartitionIndex(to),
        message_size: 8,
        max_messages: 4,
        head: NOWHERE,
    }
}

/// A shared memory.
pub(super) fn shared(name: &str, writers: Vec<usize>, readers: Vec<usize>) -> Shared {
    Shared {
        name: name.into(),
        size: 8192,
        writers: writers.into_iter().map(PartitionIndex).collect(),
        readers: readers.into_iter().map(PartitionIndex).collect(),
        physical: None,
        physical_place: None,
        head: NOWHERE,
    }
}
