// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The information pages of a partition: what the tool tells the program about itself. Mapped
//! read-only at [`layout::INFO`], the same bytes at every start.
//!
//! ```text
//!   InfoHeader │ ObjectInfo × objects │ LoadSegment × segments │ config bytes
//! ```
//! All offsets count from the start of the pages. The kernel never reads them: what it knows of a
//! partition is in the plan. (Names and addresses, which it knows too, are in [`crate::names`].)

pub use crate::names::{NAME, Name, SELF, layout};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// "PZINFO01".
pub const MAGIC: u64 = u64::from_le_bytes(*b"PZINFO01");

/// The head of the pages.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InfoHeader {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`crate::REVISION`].
    pub revision: u32,
    /// The partition's number in the plan.
    pub partition: u32,
    /// Its name.
    pub name: Name,
    /// How many vCPUs it has.
    pub vcpus: u32,
    /// Bit 0: the kernel keeps FP/SIMD registers for it.
    pub flags: u32,
    /// Where its vCPU pages begin; vCPU n has the page at `vcpu_pages + n × PAGE`.
    pub vcpu_pages: u64,
    /// Entry point of its program, after loading.
    pub entry: u64,
    /// Top of the stack of vCPU 0; those of the others follow at `stack_stride`, downwards.
    pub stack_top: u64,
    /// Distance from one vCPU's stack top to the next, in bytes (guard pages included).
    pub stack_stride: u64,
    /// Start of the memory that is left for the program's heap.
    pub heap: u64,
    /// Its length in bytes.
    pub heap_bytes: u64,
    /// Offset and count of [`ObjectInfo`].
    pub objects: u32,
    /// See `objects`.
    pub object_count: u32,
    /// Offset and count of [`LoadSegment`].
    pub segments: u32,
    /// See `segments`.
    pub segment_count: u32,
    /// Offset of the description's `config` table as JSON text.
    pub config: u32,
    /// Its bytes.
    pub config_bytes: u32,
    /// Guest partitions: offset of [`GuestInfo`], else 0.
    pub guest: u32,
    /// Bytes of all the information pages together.
    pub bytes: u32,
    /// Offset and count of [`LinkInfo`].
    pub links: u32,
    /// See `links`.
    pub link_count: u32,
}

/// Flag of [`InfoHeader::flags`]: FP/SIMD registers may be used.
pub const FLAG_FP: u32 = 1;
/// Flag of [`InfoHeader::flags`]: the shim may tune its guest's kernel.
pub const FLAG_TUNE: u32 = 2;

crate::call::numbered! {
    /// What an [`ObjectInfo`] describes; `number` is what the calls take.
    ObjectKind:
    /// A source of a sampling channel. `size` = message size.
    0 SamplingSource "sampling source",
    /// A destination of a sampling channel. `size` = message size, `extra` = refresh period (ns).
    1 SamplingDestination "sampling destination",
    /// A source of a queuing channel. `size` = message size, `extra` = depth.
    2 QueuingSource "queuing source",
    /// A destination of a queuing channel.
    3 QueuingDestination "queuing destination",
    /// Shared memory: `address`, `size`; `extra` 1 = writable.
    4 Shared "shared memory",
    /// A doorbell of ours to a peer: `number` for `ring`; `event` is unused. The name is
    /// that of the peer, `extra` the object index of the shared memory.
    5 DoorbellOut "doorbell",
    /// A doorbell of a peer to us: `event`. Name and `extra` as above.
    6 DoorbellIn "incoming doorbell",
    /// Registers of a device: `address`, `size`; the name is the device's.
    7 Registers "device registers",
    /// An interrupt line: `number` for `ack-interrupt`, `event`; `extra` = the line's INTID/GSI.
    8 Interrupt "interrupt",
    /// Ports of a device (x86-64): `address` = first, `size` = count.
    9 IoPorts "io ports",
    /// Our log ring ([`LogRing`]), writable: `address`, `size`. The name is the console's, or ours for
    /// it; `extra` = the console's number in the system, here and in the three kinds that follow.
    10 LogOut "log",
    /// Somebody's log ring, read-only: `address`, `size`; the name is the writer's;
    /// `event` is raised when there is something new.
    11 LogIn "log of a member",
    /// Console input to us, a [`LogRing`] that the console writes, read-only: `event`.
    12 InputIn "console input",
    /// Console input to a member, writable; `number` = the doorbell that wakes it. Name: the member.
    13 InputOut "input of a member",
    /// Another partition over which we have a right: `number` = the partition, `extra` = bits:
    /// 0 statistics, 1 start-stop, 2 trace.
    14 Partition "partition",
    /// A schedule that we may switch to: `number`.
    15 Schedule "schedule",
    /// A trace ring ([`crate::trace`]), read-only: `number` = core, `address`, `size`.
    16 Trace "trace ring",
    /// The right to stop or reset the module: `extra` bit 0 stop, bit 1 reset.
    17 Module "module",
    /// The part of our memory that our devices reach: `address`, `size`; `extra` = its address for
    /// the devices.
    18 DmaMemory "dma memory",
    /// Configuration space of a PCI function of ours, read-only: `address`, `size`; the name is the
    /// device's. Its base address registers are [`ObjectKind::Registers`], `number` = which one.
    19 PciFunction "pci function",
}

crate::call::numbered! {
    /// What is spoken over a link.
    Protocol:
    /// A virtual disk.
    0 Block "block",
    /// A port of a network.
    1 Network "network",
}

/// One object of the partition.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ObjectInfo {
    /// Its name within the partition.
    pub name: Name,
    /// An [`ObjectKind`].
    pub kind: u32,
    /// What calls take.
    pub number: u32,
    /// Virtual address, if it is mapped.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Depends on the kind.
    pub extra: u64,
    /// The event bit (0–63), or 64 for none.
    pub event: u32,
    /// The doorbell that announces new data in this object, or `u32::MAX`.
    pub doorbell: u32,
}

/// What the loader does at a start: copy `bytes` from `from` to `to`, then zero up to `size`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LoadSegment {
    /// Virtual address of the destination.
    pub to: u64,
    /// Virtual address of the pristine bytes (mapped read-only from the image).
    pub from: u64,
    /// How many to copy.
    pub bytes: u64,
    /// Size of the destination.
    pub size: u64,
    /// 1: kept at a warm start.
    pub retained: u64,
}

/// One end of a link: a client's disk or network port, served by the partition that owns the device.
/// Two areas of shared memory, each written by one side and read by the other, and a doorbell each
/// way.
///
/// ```text
///   client  out ──────────────▶ incoming  server
///           incoming ◀────────────── out
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LinkInfo {
    /// The client's name for it (`xvda`, `eth0`), the same at both ends.
    pub name: Name,
    /// The partition at the other end.
    pub peer: Name,
    /// The disk or network of the description.
    pub of: Name,
    /// The server's device; empty for a network without one.
    pub device: Name,
    /// A disk that is a GPT partition: its name there; else empty.
    pub gpt: Name,
    /// A [`Protocol`].
    pub protocol: u32,
    /// 1: this end serves, 0: it is the client.
    pub serves: u32,
    /// What we write: virtual address.
    pub out: u64,
    /// Its bytes.
    pub out_bytes: u64,
    /// What the peer writes: virtual address, read-only for us.
    pub incoming: u64,
    /// Its bytes.
    pub incoming_bytes: u64,
    /// Where devices of the server reach `out`; 0 at the client.
    pub out_bus: u64,
    /// Where devices of the server reach `incoming`; 0 at the client.
    pub incoming_bus: u64,
    /// The doorbell that the peer hears.
    pub bell: u32,
    /// The event bit of the peer's doorbell.
    pub event: u32,
    /// [`LINK_READ_ONLY`].
    pub flags: u32,
    /// A number of the network at its server: ports with the same one reach each other.
    pub group: u32,
    /// A disk that is a range of its device: its first byte.
    pub start: u64,
    /// Bytes of that range.
    pub bytes: u64,
    /// A network port: its address.
    pub mac: [u8; 6],
    /// A network: its VLAN on the device, or 0.
    pub vlan: u16,
}

/// Flag of [`LinkInfo::flags`]: the disk may only be read.
pub const LINK_READ_ONLY: u32 = 1;
/// Bytes of each area of a link to a disk.
pub const LINK_BLOCK_BYTES: u64 = 1 << 20;
/// Bytes of each area of a link to a network: a page, and 256 frames of 2 KiB.
pub const LINK_NETWORK_BYTES: u64 = crate::PAGE + 256 * 2048;

/// What a shim needs to know of its guest.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GuestInfo {
    /// Where the guest's memory is mapped in the shim.
    pub ram: u64,
    /// Where it lies for the guest.
    pub ram_guest: u64,
    /// Its bytes.
    pub ram_bytes: u64,
    /// The kernel's file, mapped read-only: address, bytes.
    pub kernel: u64,
    /// See `kernel`.
    pub kernel_bytes: u64,
    /// The initrd, or 0.
    pub initrd: u64,
    /// See `initrd`.
    pub initrd_bytes: u64,
    /// Offset of the command line (UTF-8), and its bytes.
    pub cmdline: u32,
    /// See `cmdline`.
    pub cmdline_bytes: u32,
    /// The core of each vCPU: those on the same one take turns.
    pub cores: [u8; 8],
}

/// A log ring: the head of a shared region with one writer. The writer never waits: it overwrites
/// what is oldest, and the reader sees from `written` what it has lost.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LogRing {
    /// Bytes written since boot; byte n lies at `data[n % (size - 64)]` behind this head.
    pub written: u64,
    /// Keeps the head at 64 bytes.
    pub reserved: [u64; 7],
}
