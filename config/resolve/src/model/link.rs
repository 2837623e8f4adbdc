// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Links: channels with their ports, shared memory with its doorbells, consoles.
//!
//! A link is stored once ([`Sampling`], [`Queuing`], [`Shared`]); each partition lists its own
//! ends by name ([`Port`], [`SharedPort`]) and points back to the link.

use super::{DeviceIndex, PartitionIndex, Place, QueuingIndex, SamplingIndex, SharedIndex};

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
}
