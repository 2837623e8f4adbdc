// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Partitions as they will be: what runs, when, with which memory, devices and rights.

use std::path::PathBuf;

use super::{
    ConsoleIndex, Derived, DeviceIndex, HealthIndex, PartitionIndex, Port, Rate, ScheduleIndex, SharedPort,
    TimePartitionIndex,
};

pub use parzelle_schema::source::Place;

/// One partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Its name, unique in the system.
    pub name: String,
    /// The tool added it (the console partition of a system that describes none).
    pub derived: bool,
    /// What runs in the host space: the program, or for a guest partition the shim.
    pub program: Derived<Program>,
    /// The operating system in the guest space, if this is a guest partition.
    pub guest: Option<Guest>,
    /// The free table `config` as TOML text, read-only for the program; empty if none is written.
    pub config: String,
    /// The kernel saves and restores FP/SIMD for it. `false`: built for a soft-float target.
    pub fp: Derived<bool>,
    /// RAM in bytes. `None`: what the program needs, which only the built program tells.
    pub memory: Derived<Option<u64>>,
    /// Stack in bytes, per vCPU.
    pub stack: Derived<u64>,
    /// Heap that the program's metadata asks for, in bytes, beyond its segments and stacks.
    pub heap: Derived<u64>,
    /// The part of its memory that its devices reach, in bytes; 0 for none.
    pub dma_memory: Derived<u64>,
    /// Where its memory has to lie, if the user cares.
    pub physical: Option<u64>,
    /// One entry per vCPU; the index is the vCPU's number.
    pub vcpus: Derived<Vec<Vcpu>>,
    /// The time partition whose windows it runs in.
    pub time_partition: Derived<TimePartitionIndex>,
    /// 0–255, larger goes first; among its time partition, and of time partition 0.
    pub priority: Derived<u8>,
    /// So much time in each period is proved by the checker.
    pub promise: Option<Rate>,
    /// At most so much time in each period, enforced by the kernel (time partition 0 only).
    pub limit: Option<Rate>,
    /// Its health table.
    pub health: Derived<HealthIndex>,
    /// Whether it starts by itself.
    pub start: Derived<Start>,
    /// What it may do to others.
    pub may: Rights,
    /// Devices that it owns, alone.
    pub devices: Vec<DeviceIndex>,
    /// Its devices may reach memory without an IOMMU: it belongs to what must be trusted.
    pub dma_trusted: bool,
    /// Its ports, by name.
    pub ports: Vec<Port>,
    /// The shared memories it sees, by name.
    pub shared: Vec<SharedPort>,
    /// The console to which its log goes. `None` only for the partition that serves a console
    /// and is in no other, and where a console leaves it out: the kernel's boot console then.
    pub console: Option<ConsoleIndex>,
    /// Where its facts are written, for findings that need the built programs.
    pub places: Places,
}

/// Where a partition's facts are written. All `None` for a derived partition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Places {
    /// The head of its table.
    pub head: Option<Place>,
    /// The value of `crate`, `elf` or `guest.kernel`.
    pub program: Option<Place>,
    /// The value of `memory`.
    pub memory: Option<Place>,
    /// The value of `stack`.
    pub stack: Option<Place>,
    /// The value of `dma-memory`.
    pub dma_memory: Option<Place>,
    /// The value of `physical`.
    pub physical: Option<Place>,
    /// The value of `guest.initrd`.
    pub initrd: Option<Place>,
}

/// What runs in a host space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// A binary of a Cargo package, to be built.
    Crate {
        /// The package's name.
        package: String,
        /// The binary's name.
        bin: String,
        /// Features to turn on.
        features: Vec<String>,
        /// The package's `Cargo.toml`.
        manifest: PathBuf,
    },
    /// An ELF file that was built elsewhere.
    Elf {
        /// The file, after `{arch}` and `{board}`.
        path: PathBuf,
    },
}

/// An operating system in a guest partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The kernel as the distribution ships it.
    pub kernel: PathBuf,
    /// The initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// Put after the `console=` that the tool adds.
    pub cmdline: String,
    /// x86-64: bytes of the pool for the guest's page tables.
    pub page_tables: Derived<u64>,
    /// x86-64: the shim may replace what a Linux kernel computes for nothing.
    pub tune: bool,
}

/// A virtual processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vcpu {
    /// The core to which it is fixed.
    pub core: u32,
}

/// Whether a partition starts by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At boot (or in its turn of the start order).
    Auto,
    /// When another partition starts it.
    Idle,
}

/// What a partition may do beyond itself; all lists are sorted and without repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Schedules it may switch to.
    pub switch_schedule: Vec<ScheduleIndex>,
    /// Partitions it may start, stop and restart.
    pub start_stop: Vec<PartitionIndex>,
    /// Partitions whose accounts it may read.
    pub statistics: Vec<PartitionIndex>,
    /// Partitions whose trace it may read.
    pub trace: Vec<PartitionIndex>,
    /// What it may do to the whole module.
    pub module: Vec<ModuleRight>,
}

/// A right over the whole module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModuleRight {
    /// Reset the machine.
    Reset,
    /// Stop the machine.
    Stop,
}
