// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The validated system on one board: everything that follows from the description, the
//! board's file and the programs' metadata, and nothing that needs a built program.
//!
//! ```text
//!  description ─┐
//!  board.toml  ─┼─► check (schema + rules) ─► System ─► lowering ─► plan
//!  Cargo.toml  ─┘     no System if there is an error     + built programs
//! ```
//!
//! **For whoever lowers this into the plan.**
//!
//! - Objects are referred to by index types ([`PartitionIndex`] …) into the vectors of [`System`].
//!   All vectors are sorted by name (the order in the file means nothing), so indices are the
//!   same however the file is arranged. Exceptions: [`System::time_partitions`] begins with time
//!   partition 0, which has the name `0`; vCPUs are in the order of `cores`; windows are in the
//!   order of time; `start_order` is in the order of starting.
//! - All indices are in bounds, all cores are below [`System::cores`], all times are in
//!   nanoseconds, all sizes and addresses in bytes.
//! - Every window of a frame is there: repeated windows are expanded, gaps are windows of time
//!   partition 0. On each core the windows of a schedule are contiguous from 0 to the frame's end.
//! - Nothing has a physical or virtual address unless the user or the board gave one.
//! - A value that the user may leave out is [`Derived`]: it says where it came from, which is what
//!   `parzelle inspect` prints.

mod board;
mod link;
mod partition;
mod time;

pub use board::{
    Arch, Board, Bus, Device, Dma, IntervalSet, Msix, OptionValue, Pci, PciAddress, PciId, Quiesce, Region, Run,
};
pub use link::{
    Console, Disk, DiskClient, DiskPlace, Doorbell, Mac, Network, NetworkMember, Port, Queuing, Sampling, Shared,
    SharedPort,
};
pub use partition::{Guest, ModuleRight, Partition, Place, Places, Program, Rights, Start, Vcpu};
pub use time::{ChangeAction, ChangeRule, CoreSchedule, Rate, Schedule, TimePartition, Window};

mod health;
pub use health::{Action, Fault, HealthTable, Restarts};

use std::borrow::Cow;

macro_rules! index {
    ($(#[$doc:meta] $name:ident)*) => {$(
        #[$doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub usize);
    )*};
}

index! {
    /// A position in [`System::partitions`].
    PartitionIndex
    /// A position in [`System::time_partitions`]; 0 is time partition 0.
    TimePartitionIndex
    /// A position in [`System::schedules`].
    ScheduleIndex
    /// A position in [`System::health`].
    HealthIndex
    /// A position in [`Board::devices`].
    DeviceIndex
    /// A position in [`System::sampling`].
    SamplingIndex
    /// A position in [`System::queuing`].
    QueuingIndex
    /// A position in [`System::shared`].
    SharedIndex
    /// A position in [`System::consoles`].
    ConsoleIndex
}

impl TimePartitionIndex {
    /// Time partition 0: all partitions that no schedule names.
    pub const ZERO: Self = TimePartitionIndex(0);
}

/// Where a value comes from, in the few words that `parzelle inspect` prints beside it:
/// "written", "default", "from `cores`", "from the windows" …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(pub Cow<'static, str>);

impl Origin {
    /// The user wrote it in the description.
    pub const WRITTEN: Self = Origin(Cow::Borrowed("written"));
    /// Nobody wrote it; the language says what holds then.
    pub const DEFAULT: Self = Origin(Cow::Borrowed("default"));
    /// From `[package.metadata.parzelle]` of the program.
    pub const METADATA: Self = Origin(Cow::Borrowed("from the program's metadata"));
}

/// A value that may be written or follow from something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derived<T> {
    /// The value that holds.
    pub value: T,
    /// Why.
    pub origin: Origin,
}

impl<T> Derived<T> {
    /// A value that the user wrote.
    pub fn written(value: T) -> Self {
        Derived { value, origin: Origin::WRITTEN }
    }

    /// A default of the language.
    pub fn default(value: T) -> Self {
        Derived { value, origin: Origin::DEFAULT }
    }

    /// A value that follows from something; `why` is the text of its [`Origin`].
    pub fn from(value: T, why: impl Into<Cow<'static, str>>) -> Self {
        Derived { value, origin: Origin(why.into()) }
    }
}

/// A whole system on one board.
#[derive(Clone, Debug)]
pub struct System {
    /// `system.name`, or the file's name without `.toml`.
    pub name: Derived<String>,
    /// The board, with the values of its options chosen.
    pub board: Board,
    /// Number of cores that this system uses: 1 + the highest core of a vCPU or a window.
    pub cores: u32,
    /// Size of the kernel's trace ring, bytes per core.
    pub trace: Derived<u64>,
    /// All partitions, by name.
    pub partitions: Vec<Partition>,
    /// Time partition 0, then the others by name.
    pub time_partitions: Vec<TimePartition>,
    /// All schedules, by name. Without any in the file: one, called `default`, of 10 ms of
    /// time partition 0.
    pub schedules: Vec<Schedule>,
    /// The schedule that runs first.
    pub first_schedule: Derived<ScheduleIndex>,
    /// Each starts when the one before it is in NORMAL mode; those not listed start at once.
    pub start_order: Vec<PartitionIndex>,
    /// Sampling channels, by name.
    pub sampling: Vec<Sampling>,
    /// Queuing channels, by name.
    pub queuing: Vec<Queuing>,
    /// Shared memories, by name.
    pub shared: Vec<Shared>,
    /// Every doorbell: the ordered pairs of partitions that share some memory, sorted, each once.
    pub doorbells: Vec<Doorbell>,
    /// Virtual disks, by name.
    pub disks: Vec<Disk>,
    /// Networks, by name.
    pub networks: Vec<Network>,
    /// Consoles, by name.
    pub consoles: Vec<Console>,
    /// The health tables in use, by name. Always contains `default` and `module`.
    pub health: Vec<HealthTable>,
    /// The table for errors outside of any partition (`[health.module]`).
    pub module_health: HealthIndex,
}

impl System {
    /// The partition at an index; `None` only for an index of another system.
    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        self.partitions.get(index.0)
    }

    /// The devices by which a trusted partition could reach all memory.
    pub fn unfenced<'a>(&'a self, partition: &'a Partition) -> impl Iterator<Item = &'a Device> {
        let direct = |device: &&Device| match device.dma {
            Dma::Direct => true,
            Dma::Iommu => self.board.iommu.is_none(),
            Dma::None => false,
        };
        let devices = partition.devices.iter().filter_map(|index| self.board.devices.get(index.0));
        devices.filter(direct).filter(|_| partition.dma_trusted)
    }

    /// The index of the partition that is called `name`.
    pub fn find(&self, name: &str) -> Option<PartitionIndex> {
        self.partitions.iter().position(|p| p.name == name).map(PartitionIndex)
    }
}
