// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Links: channels with their ports, shared memory with its doorbells; disks, networks, consoles.
//!
//! A link is stored once ([`Sampling`], [`Queuing`], [`Shared`]); each partition lists its own
//! ends by name ([`Port`], [`SharedPort`]) and points back to the link.

use std::path::PathBuf;

use super::{Derived, DeviceIndex, PartitionIndex, Place, QueuingIndex, Region, SamplingIndex, SharedIndex};

pub use parzelle_schema::text::Mac;

/// A partition's end of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// It writes a sampling channel.
    SamplingSource {
        /// The port's name in this partition.
        name: String,
        /// The channel.
        link: SamplingIndex,
    },
    /// It reads a sampling channel.
    SamplingDestination {
        /// The port's name in this partition.
        name: String,
        /// The channel.
        link: SamplingIndex,
    },
    /// It sends into a queuing channel.
    QueuingSource {
        /// The port's name in this partition.
        name: String,
        /// The channel.
        link: QueuingIndex,
    },
    /// It receives from a queuing channel.
    QueuingDestination {
        /// The port's name in this partition.
        name: String,
        /// The channel.
        link: QueuingIndex,
    },
}

impl Port {
    /// The port's name in its partition.
    pub fn name(&self) -> &str {
        match self {
            Port::SamplingSource { name, .. }
            | Port::SamplingDestination { name, .. }
            | Port::QueuingSource { name, .. }
            | Port::QueuingDestination { name, .. } => name,
        }
    }
}

/// A sampling channel: one writer, many readers, the newest message only.
#[derive(Clone, Debug)]
pub struct Sampling {
    /// Its name.
    pub name: String,
    /// The writer.
    pub from: PartitionIndex,
    /// The readers, sorted.
    pub to: Vec<PartitionIndex>,
    /// The largest message, bytes.
    pub message_size: u64,
    /// An older message reads as INVALID, nanoseconds.
    pub refresh_period: u64,
    /// The head of its table.
    pub head: Place,
}

/// A queuing channel: one sender, one receiver, first in first out.
#[derive(Clone, Debug)]
pub struct Queuing {
    /// Its name.
    pub name: String,
    /// The sender.
    pub from: PartitionIndex,
    /// The receiver.
    pub to: PartitionIndex,
    /// The largest message, bytes.
    pub message_size: u64,
    /// Messages that it holds at most.
    pub max_messages: u32,
    /// The head of its table.
    pub head: Place,
}

/// Memory that several partitions see.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Its name.
    pub name: String,
    /// Bytes, a multiple of the page.
    pub size: u64,
    /// Who may write and read, sorted.
    pub writers: Vec<PartitionIndex>,
    /// Who may only read, sorted.
    pub readers: Vec<PartitionIndex>,
    /// Where it has to lie, if the user cares.
    pub physical: Option<u64>,
    /// The value of `physical`.
    pub physical_place: Option<Place>,
    /// The head of its table.
    pub head: Place,
}

/// A partition's view of a shared memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPort {
    /// Its name in this partition.
    pub name: String,
    /// The memory.
    pub link: SharedIndex,
    /// Mapped writable.
    pub writable: bool,
}

/// The right to wake another partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Doorbell {
    /// Who rings.
    pub from: PartitionIndex,
    /// Who is woken.
    pub to: PartitionIndex,
}

/// A part of a device that is a disk of its own for its clients.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its name.
    pub name: String,
    /// The device that holds it.
    pub device: DeviceIndex,
    /// The partition that owns the device and serves the disk.
    pub server: PartitionIndex,
    /// Where it is on the device.
    pub lies: DiskPlace,
    /// Bytes, a multiple of the sector.
    pub size: Derived<u64>,
    /// What is on it at first.
    pub content: Option<PathBuf>,
    /// Its users, by partition and port.
    pub clients: Vec<DiskClient>,
    /// The head of its table.
    pub head: Place,
}

/// Where a disk is on its device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskPlace {
    /// The GPT partition of this name.
    Gpt(String),
    /// These bytes.
    Range(Region),
}

/// A user of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskClient {
    /// Who.
    pub partition: PartitionIndex,
    /// The name of the disk there.
    pub port: String,
    /// It may write.
    pub writable: bool,
}

/// Ports that reach each other.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// The way out.
    pub device: Option<DeviceIndex>,
    /// Who serves it: the owner of the device, or the partition that is named.
    pub server: Derived<PartitionIndex>,
    /// Its VLAN on the device; `None`: frames there have no tag.
    pub vlan: Option<u16>,
    /// Its ports, by partition and name.
    pub members: Vec<NetworkMember>,
    /// The head of its table.
    pub head: Place,
}

/// A port of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkMember {
    /// Whose.
    pub partition: PartitionIndex,
    /// Its name there.
    pub port: String,
    /// The address from which it may send.
    pub mac: Derived<Mac>,
}

/// A UART shared by the partitions that log to it.
#[derive(Clone, Debug)]
pub struct Console {
    /// Its name.
    pub name: String,
    /// The tool added it: no console was described.
    pub derived: bool,
    /// The UART.
    pub device: DeviceIndex,
    /// The partition that owns the UART and serves the console.
    pub server: PartitionIndex,
    /// Who logs to it, sorted, without the server.
    pub members: Vec<PartitionIndex>,
    /// How members call it who call it otherwise than it is called.
    pub ports: Vec<(PartitionIndex, String)>,
}
