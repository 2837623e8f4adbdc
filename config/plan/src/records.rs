// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The records of the plan. Addresses are physical unless they say virtual; times are
//! nanoseconds; "index" is an index into the table of that name.

use crate::tables::Span;
use parzelle_abi::names::Name;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// [`SystemRecord::arch`]: aarch64.
pub const ARCH_AARCH64: u32 = 183;
/// [`SystemRecord::arch`]: x86-64.
pub const ARCH_X86_64: u32 = 62;

/// [`WindowRecord::flags`]: what the window leaves goes to nobody.
pub const WINDOW_NO_SLACK: u32 = 1;
/// [`WindowRecord::flags`]: its begin empties this core's caches.
pub const WINDOW_FLUSH: u32 = 2;

/// [`VcpuRecord::flags`]: keeps FP/SIMD registers.
pub const VCPU_FP: u32 = 1;
/// [`VcpuRecord::flags`]: has a guest context.
pub const VCPU_GUEST: u32 = 2;

/// [`PartitionRecord::flags`]: starts idle.
pub const PARTITION_IDLE: u32 = 1;
/// [`PartitionRecord::flags`]: starts when another is NORMAL.
pub const PARTITION_WAITS: u32 = 2;
/// [`PartitionRecord::flags`]: has windows.
pub const PARTITION_REALTIME: u32 = 4;

/// [`RegionRecord::access`]: readable.
pub const READ: u32 = 1;
/// [`RegionRecord::access`]: writable.
pub const WRITE: u32 = 2;
/// [`RegionRecord::access`]: executable.
pub const EXECUTE: u32 = 4;
/// [`RegionRecord::access`]: device memory.
pub const DEVICE: u32 = 8;
/// [`RegionRecord::access`]: the partition's devices reach it behind an IOMMU, by its physical
/// address, as far as the partition itself may.
pub const DMA: u32 = 16;

/// [`RegionRecord::space`]: the partition's program.
pub const SPACE_HOST: u32 = 0;
/// [`RegionRecord::space`]: its guest.
pub const SPACE_GUEST: u32 = 1;

/// [`PortRecord::direction`]: the partition writes.
pub const SOURCE: u32 = 0;
/// [`PortRecord::direction`]: the partition reads.
pub const DESTINATION: u32 = 1;

/// [`ChannelRecord::kind`].
pub const SAMPLING: u32 = 0;
/// [`ChannelRecord::kind`].
pub const QUEUING: u32 = 1;

/// [`LineRecord::flags`]: edge-triggered; else level.
pub const LINE_EDGE: u32 = 1;

/// [`AccessRecord::what`]: write `value` to a register.
pub const ACCESS_WRITE: u32 = 0;
/// [`AccessRecord::what`]: read a register of four bytes; refuse what isn't the lower half of `value`,
/// but for the bits that are set in the upper half.
pub const ACCESS_EXPECT: u32 = 1;
/// [`AccessRecord::what`]: shut (`value` 0) or open (1) what the device with requester id `address`
/// has behind the IOMMU.
pub const ACCESS_STREAM: u32 = 2;
/// Added to [`AccessRecord::what`]: only if the partition is going to start again.
pub const ACCESS_AT_START: u32 = 256;

/// [`RightRecord::kind`]: switch to schedule `target`.
pub const RIGHT_SCHEDULE: u32 = 0;
/// [`RightRecord::kind`]: start and stop partition `target`.
pub const RIGHT_CONTROL: u32 = 1;
/// [`RightRecord::kind`]: read the counters of partition `target`.
pub const RIGHT_STATISTICS: u32 = 2;
/// [`RightRecord::kind`]: stop (`target` 0) or reset (`target` 1) the module.
pub const RIGHT_MODULE: u32 = 3;

/// Declares records: plain, zerocopy, comparable, default zero.
macro_rules! records {
    ($($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)+ })+) => { $(
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)+ }

        impl Default for $name {
            fn default() -> Self { zerocopy::FromZeros::new_zeroed() }
        }
    )+ };
}

records! {
    /// The fixed part of the plan.
    SystemRecord {
        /// Name of the system.
        name: Name,
        /// Name of the board.
        board: Name,
        /// ELF machine number: [`ARCH_AARCH64`] or [`ARCH_X86_64`].
        arch: u32,
        /// Index of the schedule that runs first.
        first_schedule: u32,
        /// A window entered later than this after its plan counts as missed: L + the switch.
        late_tolerance: u64,
        /// Where the image begins in memory, and its bytes (kernel, plan, segments).
        image: u64,
        /// See `image`.
        image_bytes: u64,
        /// Arena of kernel objects that all roots map.
        arena: u64,
        /// Its bytes.
        arena_bytes: u64,
        /// Arena of page tables.
        tables: u64,
        /// Its bytes.
        tables_bytes: u64,
        /// Interrupt controller: version (GIC 2 or 3), or 0.
        irqchip: u32,
        /// Index of the partition that starts first of the ordered ones, or NONE.
        start_first: u32,
        /// GICD; x86-64: local APIC.
        irqchip_base: u64,
        /// GICR (v3) or GICC (v2); x86-64: IO-APIC.
        irqchip_cpu: u64,
        /// GICH (v2), else 0.
        irqchip_hyp: u64,
        /// GICV (v2), else 0.
        irqchip_vcpu: u64,
        /// Registers of the IOMMU, or 0.
        iommu: u64,
        /// The UART on which the kernel prints: registers, or the first I/O port.
        console: u64,
        /// Health actions for module errors (errors outside of any partition): index.
        module_health: u32,
        /// Keeps the size a multiple of 8.
        reserved: u32,
    }

    /// A core.
    CoreRecord {
        /// Its queues.
        queues: Span,
        /// Its vCPUs.
        vcpus: Span,
        /// Its trace ring: address and bytes (header included).
        trace: u64,
        /// See `trace`.
        trace_bytes: u64,
    }

    /// A schedule.
    ScheduleRecord {
        /// Its name.
        name: Name,
        /// The major frame.
        frame: u64,
        /// What happens to partitions when it begins.
        changes: Span,
    }

    /// A schedule on one core.
    TimelineRecord {
        /// Its windows.
        windows: Span,
    }

    /// A window.
    WindowRecord {
        /// Start within the frame.
        start: u64,
        /// Length.
        duration: u64,
        /// Index of the queue whose window it is; the core's first queue is time partition 0.
        queue: u32,
        /// [`WINDOW_NO_SLACK`].
        flags: u32,
        /// From its start until somebody runs in it, whatever its begin takes; 0: as soon as may be.
        pad: u64,
    }

    /// A time partition on one core: the vCPUs that run in its windows. The first queue of each
    /// core is time partition 0 (it may be empty).
    QueueRecord {
        /// Its name, for traces.
        name: Name,
        /// Its vCPUs, highest priority first.
        vcpus: Span,
        /// The core.
        core: u32,
        /// Keeps the size.
        reserved: u32,
    }

    /// A vCPU.
    VcpuRecord {
        /// Its partition.
        partition: u32,
        /// Its number there.
        index: u32,
        /// Its core.
        core: u32,
        /// Its queue.
        queue: u32,
        /// Priority; larger is more urgent.
        priority: u32,
        /// [`VCPU_FP`] | [`VCPU_GUEST`].
        flags: u32,
        /// Time partition 0: at most `budget` in each `period`; 0 = no limit.
        budget: u64,
        /// See `budget`.
        period: u64,
        /// The vCPU page: physical.
        page: u64,
        /// The vCPU page: virtual, in the partition.
        page_virtual: u64,
        /// One page (two with [`VCPU_GUEST`]) for the saved contexts, private to the partition.
        context: u64,
        /// Top of its stack: virtual.
        stack: u64,
    }

    /// A partition.
    PartitionRecord {
        /// Its name.
        name: Name,
        /// Its vCPUs, in `partition_vcpus`.
        vcpus: Span,
        /// What its spaces map: the host space's first, each space's sorted by address.
        regions: Span,
        /// Its ports.
        ports: Span,
        /// Its doorbells.
        doorbells: Span,
        /// Its interrupt lines.
        lines: Span,
        /// Its rights, sorted by kind, then target.
        rights: Span,
        /// Its peers.
        peers: Span,
        /// What silences its devices.
        quiesces: Span,
        /// Its devices behind the IOMMU.
        streams: Span,
        /// Its memory is kept in these kernel maps.
        kernel_maps: Span,
        /// Its I/O ports (x86-64).
        io_ports: Span,
        /// Its health table.
        health: u32,
        /// The partition that starts when this one is NORMAL for the first time, or NONE.
        start_next: u32,
        /// [`PARTITION_IDLE`] | [`PARTITION_WAITS`] | [`PARTITION_REALTIME`] | …
        flags: u32,
        /// Keeps the size.
        reserved: u32,
        /// Where vCPU 0 starts: the loader's entry, virtual.
        entry: u64,
        /// Virtual address of the information pages.
        info: u64,
        /// x86-64: the pool from which its guest's page tables are taken, mapped for the kernel
        /// alone; 0 without a guest.
        tables: u64,
        /// Bytes of the pool.
        tables_bytes: u64,
    }

    /// A mapping in a space.
    RegionRecord {
        /// Virtual address (guest space: intermediate physical).
        address: u64,
        /// Physical address.
        physical: u64,
        /// Bytes; a multiple of the page.
        bytes: u64,
        /// [`READ`] | [`WRITE`] | [`EXECUTE`] | [`DEVICE`].
        access: u32,
        /// [`SPACE_HOST`] or [`SPACE_GUEST`].
        space: u32,
        /// What it is (program segment, shared memory, device …), for people: a name.
        name: Name,
    }

    /// A port.
    PortRecord {
        /// Its channel.
        channel: u32,
        /// [`SOURCE`] or [`DESTINATION`].
        direction: u32,
        /// Event bit raised in vCPU `vcpu` when a message arrives (destination) or when a full
        /// queue has room again (source); 64 = none.
        event: u32,
        /// The vCPU that is told.
        vcpu: u32,
    }

    /// A channel.
    ChannelRecord {
        /// Its name.
        name: Name,
        /// [`SAMPLING`] or [`QUEUING`].
        kind: u32,
        /// Largest message in bytes.
        message_bytes: u32,
        /// Messages that fit (queuing); sampling: 1.
        depth: u32,
        /// The source port.
        writer: u32,
        /// The destination ports, in `channel_readers`.
        readers: Span,
        /// Refresh period (sampling).
        refresh: u64,
        /// The messages: `depth` slots of `message_bytes` rounded up to 16, mapped by the kernel
        /// for the partitions at its ends only.
        buffer: u64,
    }

    /// A doorbell.
    DoorbellRecord {
        /// The vCPU that hears it.
        vcpu: u32,
        /// The event bit it raises.
        event: u32,
    }

    /// An interrupt line.
    LineRecord {
        /// INTID; x86-64: global system interrupt; the lines of messages follow behind those.
        line: u32,
        /// The vCPU that hears it.
        vcpu: u32,
        /// The event bit.
        event: u32,
        /// [`LINE_EDGE`].
        flags: u32,
        /// A line that is a message (MSI-X): the physical address of its entry in the device's table,
        /// which only the kernel maps; else 0.
        entry: u64,
        /// The requester id of that device.
        source: u32,
        /// Keeps the size.
        reserved: u32,
    }

    /// What the health monitor does about an error.
    ActionRecord {
        /// A [`parzelle_abi::health::Action`].
        action: u32,
        /// Its argument: the schedule.
        argument: u32,
    }

    /// A health table.
    HealthRecord {
        /// By [`parzelle_abi::health::ErrorId`].
        actions: [ActionRecord; parzelle_abi::health::ERRORS],
        /// When restarts are used up.
        give_up: ActionRecord,
        /// When a process-level error finds no handler, or its handler fails.
        otherwise: ActionRecord,
        /// At most so many restarts …
        restarts: u32,
        /// Keeps the size.
        reserved: u32,
        /// … within this time.
        restart_period: u64,
    }

    /// A right.
    RightRecord {
        /// What may be done.
        kind: u32,
        /// To what.
        target: u32,
    }

    /// A part of the image.
    SegmentRecord {
        /// What it is.
        name: Name,
        /// Physical address where the image has it.
        address: u64,
        /// Bytes.
        bytes: u64,
        /// Their digest.
        digest: u64,
    }

    /// A range of RAM that must be there.
    MemoryRecord {
        /// Physical address.
        address: u64,
        /// Bytes.
        bytes: u64,
        /// For whom: a partition, or NONE for the kernel.
        partition: u32,
        /// 1: zeroed by the kernel before the first window.
        zero: u32,
        /// What it is.
        name: Name,
    }

    /// What the kernel maps for itself beside its own image: common to all roots, or private to
    /// one partition's (x86-64; aarch64 has one map for all).
    KernelMapRecord {
        /// Physical address.
        address: u64,
        /// Bytes.
        bytes: u64,
        /// [`READ`] | [`WRITE`] | [`DEVICE`].
        access: u32,
        /// The partition whose root has it, or NONE for all.
        partition: u32,
    }

    /// A range of I/O ports that a partition may use (x86-64).
    IoPortsRecord {
        /// The first.
        first: u32,
        /// How many.
        count: u32,
    }

    /// An access to a device's register, that sets it up or silences it.
    AccessRecord {
        /// Physical address of the register.
        address: u64,
        /// What to write, or to find.
        value: u64,
        /// Bytes: 1, 2 or 4.
        width: u32,
        /// [`ACCESS_WRITE`], [`ACCESS_EXPECT`] …
        what: u32,
    }

    /// What boot does to a device before the first window, or expects of it.
    SetupRecord {
        /// The device.
        name: Name,
        /// What is done.
        access: AccessRecord,
    }

    /// A change when a schedule begins.
    ChangeRecord {
        /// The partition.
        partition: u32,
        /// A [`parzelle_abi::health::Action`]: stop, warm or cold start.
        action: u32,
    }
}
