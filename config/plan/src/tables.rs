// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The one list of tables, and the header that leads to them.

use crate::records::*;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A range of records in some table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Span {
    /// Index of the first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Span {
    /// The indices, as a range; empty when the sum overflows.
    pub fn range(self) -> core::ops::Range<usize> {
        let first = self.first as usize;
        first..first.saturating_add(self.count as usize)
    }

    /// The records of a table that it names; none, if it leads beyond the table.
    pub fn of<T>(self, table: &[T]) -> &[T] {
        table.get(self.range()).unwrap_or(&[])
    }
}

/// Declares the tables of the format: field, record type, what they hold.
macro_rules! tables {
    ($($(#[$doc:meta])* $field:ident: $record:ty,)+) => {
        /// Where the tables lie: byte offset from the start of the blob, and record count.
        #[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct Tables { $($(#[$doc])* pub $field: Span,)+ }

        /// A plan whose form has been proved: every table lies in the blob, the digest is right.
        #[derive(Clone, Copy)]
        pub struct Plan<'a> {
            /// The fixed part.
            pub system: &'a SystemRecord,
            $($field: &'a [$record],)+
        }

        impl<'a> Plan<'a> {
            $($(#[$doc])* #[inline(always)] pub fn $field(&self) -> &'a [$record] { self.$field })+

            /// Finds every table in the blob.
            pub(crate) fn locate(bytes: &'a [u8], header: &'a Header) -> Result<Plan<'a>, crate::PlanError> {
                let (system, tables) = (&header.system, &header.tables);
                Ok(Plan { system, $($field: crate::read::table(bytes, stringify!($field), tables.$field)?,)+ })
            }
        }

        /// Collects the records of a plan, then writes the blob.
        #[cfg(any(test, feature = "write"))]
        #[derive(Default)]
        pub struct PlanBuilder {
            /// The fixed part.
            pub system: SystemRecord,
            $($(#[$doc])* pub $field: alloc::vec::Vec<$record>,)+
        }

        #[cfg(any(test, feature = "write"))]
        impl PlanBuilder {
            /// Appends every table behind `blob` and returns where they lie.
            pub(crate) fn put_tables(&self, blob: &mut alloc::vec::Vec<u8>) -> Tables {
                Tables { $($field: crate::write::put(blob, &self.$field),)+ }
            }
        }
    };
}

#[cfg(any(test, feature = "write"))]
extern crate alloc;

tables! {
    /// The cores, by number.
    cores: CoreRecord,
    /// The schedules; the first one that runs is named in [`SystemRecord`].
    schedules: ScheduleRecord,
    /// The windows of a schedule on a core: index = schedule × cores + core.
    timelines: TimelineRecord,
    /// All windows; a timeline's windows cover its frame without gaps, in order.
    windows: WindowRecord,
    /// The time partitions on each core, each with its vCPUs: see [`QueueRecord`].
    queues: QueueRecord,
    /// The vCPUs, sorted by core, then queue, then priority (highest first).
    vcpus: VcpuRecord,
    /// vCPU indices by partition and their number there.
    partition_vcpus: u32,
    /// The partitions.
    partitions: PartitionRecord,
    /// What the spaces map, by partition.
    regions: RegionRecord,
    /// Ports, by partition: `ports.first + n` is port n of the partition.
    ports: PortRecord,
    /// Channels between ports.
    channels: ChannelRecord,
    /// Port indices by channel: who is at its receiving end.
    channel_readers: u32,
    /// Doorbells, by partition that rings.
    doorbells: DoorbellRecord,
    /// Interrupt lines, by owner.
    lines: LineRecord,
    /// Health tables.
    health: HealthRecord,
    /// Rights, by holder.
    rights: RightRecord,
    /// Partition indices by partition: whom to tell of a restart.
    peers: u32,
    /// Parts of the image, with digests.
    segments: SegmentRecord,
    /// Physical memory that the system uses or expects to be there.
    memory: MemoryRecord,
    /// What the kernel maps for itself.
    kernel_maps: KernelMapRecord,
    /// I/O ports, by partition, each partition's sorted by number.
    io_ports: IoPortsRecord,
    /// What is done to devices before their owner is restarted, by owner.
    quiesces: AccessRecord,
    /// What is done to devices at boot, in this order.
    setups: SetupRecord,
    /// Requester ids of devices behind the IOMMU, by owner: bus << 8 | device << 3 | function.
    streams: u32,
    /// Changes of partitions when a schedule begins.
    changes: ChangeRecord,
}

/// The head of the blob.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`crate::MAGIC`].
    pub magic: u64,
    /// Digest of all that follows this field, up to `bytes`.
    pub digest: u64,
    /// [`crate::REVISION`].
    pub revision: u32,
    /// [`parzelle_abi::REVISION`].
    pub abi: u32,
    /// Bytes of the blob.
    pub bytes: u64,
    /// The fixed part.
    pub system: SystemRecord,
    /// Where the tables lie.
    pub tables: Tables,
}
