// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Links: channels with their ports, shared memory with its doorbells.

use parzelle_abi::PAGE;
use parzelle_abi::info::ObjectKind;
use parzelle_plan::{DESTINATION, NONE, PortRecord, QUEUING, READ, SAMPLING, SOURCE, WRITE};

use super::blocks::{Block, BlockId, Blocks, Part};
use super::cell::{Backing, Bell, Cell, NO_EVENT, object};
use crate::model::{PartitionIndex, Port, System};

/// A channel, still without addresses. Sampling channels come first, then queuing ones.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) name: String,
    pub(crate) kind: u32,
    pub(crate) message_bytes: u32,
    pub(crate) depth: u32,
    pub(crate) refresh: u64,
    pub(crate) buffer: BlockId,
    /// The partitions at its ends, the writer first.
    pub(crate) ends: Vec<usize>,
}

/// Makes the channels; their buffers are memory of the kernel, in the roots of both ends only.
pub(crate) fn channels(system: &System, blocks: &mut Blocks) -> Vec<Channel> {
    let mut buffer = |name: &str, message: u64, depth: u32| {
        let bytes = message.next_multiple_of(16) * u64::from(depth);
        blocks.add(Block {
            parts: vec![Part { name: name.to_owned(), bytes: bytes.max(1).next_multiple_of(PAGE), zero: true }],
            partition: None,
            users: Vec::new(),
            wish: None,
            owner: name.to_owned(),
            why: "messages",
        })
    };
    let mut channels = Vec::new();
    for link in &system.sampling {
        channels.push(Channel {
            name: link.name.clone(),
            kind: SAMPLING,
            message_bytes: link.message_size as u32,
            depth: 1,
            refresh: link.refresh_period,
            // Two slots would let a reader on another core copy while the writer writes; the
            // kernel locks instead, so one is enough.
            buffer: buffer(&link.name, link.message_size, 1),
            ends: std::iter::once(link.from.0).chain(link.to.iter().map(|p| p.0)).collect(),
        });
    }
    for link in &system.queuing {
        channels.push(Channel {
            name: link.name.clone(),
            kind: QUEUING,
            message_bytes: link.message_size as u32,
            depth: link.max_messages,
            refresh: 0,
            buffer: buffer(&link.name, link.message_size, link.max_messages),
            ends: vec![link.from.0, link.to.0],
        });
    }
    channels
}

/// Gives each partition its ports.
pub(crate) fn ports(system: &System, channels: &[Channel], cells: &mut [Cell]) {
    let queuing = system.sampling.len();
    for (index, (cell, partition)) in cells.iter_mut().zip(&system.partitions).enumerate() {
        for port in &partition.ports {
            let (kind, channel, direction, tells) = match port {
                Port::SamplingSource { link, .. } => (ObjectKind::SamplingSource, link.0, SOURCE, false),
                Port::SamplingDestination { link, .. } => (ObjectKind::SamplingDestination, link.0, DESTINATION, true),
                Port::QueuingSource { link, .. } => (ObjectKind::QueuingSource, queuing + link.0, SOURCE, true),
                Port::QueuingDestination { link, .. } => {
                    (ObjectKind::QueuingDestination, queuing + link.0, DESTINATION, true)
                }
            };
            let event = if tells { cell.event() } else { NO_EVENT };
            let number = cell.ports.len() as u32;
            // The vCPU is filled in when the order of vCPUs is written.
            cell.ports.push(PortRecord { channel: channel as u32, direction, event, vcpu: NONE });
            let Some(link) = channels.get(channel) else {
                continue;
            };
            let mut info = object(port.name(), kind);
            info.number = number;
            info.size = u64::from(link.message_bytes);
            info.extra = match kind {
                ObjectKind::SamplingDestination => link.refresh,
                ObjectKind::QueuingSource | ObjectKind::QueuingDestination => u64::from(link.depth),
                _ => 0,
            };
            info.event = event;
            cell.object(info);
            cell.peers.extend(link.ends.iter().filter(|&&end| end != index).map(|&end| end as u32));
        }
    }
}

/// Maps the shared memories; returns their blocks.
pub(crate) fn shared(system: &System, blocks: &mut Blocks, cells: &mut [Cell]) -> Vec<BlockId> {
    let users = |list: &[PartitionIndex], writes| list.iter().map(|p| (p.0, writes)).collect::<Vec<_>>().into_iter();
    let all: Vec<BlockId> = system
        .shared
        .iter()
        .map(|link| {
            blocks.add(Block {
                parts: vec![Part { name: link.name.clone(), bytes: link.size, zero: true }],
                partition: None,
                users: users(&link.writers, true).chain(users(&link.readers, false)).collect(),
                wish: link.physical.map(|address| (address, link.physical_place)),
                owner: link.name.clone(),
                why: "shared",
            })
        })
        .collect();
    // By memory: the partitions that see it, each with its object's number.
    let mut seen: Vec<Vec<(usize, u32)>> = vec![Vec::new(); all.len()];
    for (index, (cell, partition)) in cells.iter_mut().zip(&system.partitions).enumerate() {
        for port in &partition.shared {
            let (Some(link), Some(&block)) = (system.shared.get(port.link.0), all.get(port.link.0)) else {
                continue;
            };
            let access = if port.writable { READ | WRITE } else { READ };
            let mut info = object(&port.name, ObjectKind::Shared);
            info.address = cell.map_object(&port.name, Backing::Block(block, 0), link.size, access);
            info.size = link.size;
            info.extra = u64::from(port.writable);
            let number = cell.object(info);
            if let Some(list) = seen.get_mut(port.link.0) {
                list.push((index, number));
            }
        }
    }
    for members in &seen {
        for &(from, at_from) in members {
            for &(to, at_to) in members.iter().filter(|(to, _)| *to != from) {
                ring(system, cells, (from, at_from), (to, at_to));
            }
        }
    }
    all
}

/// Adds a doorbell, as an object at both ends.
fn ring(system: &System, cells: &mut [Cell], from: (usize, u32), to: (usize, u32)) {
    let title = |index: usize| system.partitions.get(index).map_or("", |p| p.name.as_str());
    let Some(hearer) = cells.get_mut(to.0) else {
        return;
    };
    let mut heard = object(title(from.0), ObjectKind::DoorbellIn);
    heard.event = hearer.event();
    heard.extra = u64::from(to.1);
    let event = heard.event;
    hearer.object(heard);
    hearer.peers.insert(from.0 as u32);
    let Some(ringer) = cells.get_mut(from.0) else {
        return;
    };
    let mut rung = object(title(to.0), ObjectKind::DoorbellOut);
    rung.number = ringer.bell(Bell { to: to.0, event });
    rung.extra = u64::from(from.1);
    ringer.object(rung);
    ringer.peers.insert(to.0 as u32);
}
