// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Disks and networks: a link from each client to whoever serves it.
//!
//! ```text
//!   client ── out ──────────► [area] ── incoming ──► server ──► device, if it masters the bus:
//!          ◄── incoming ── [area] ◄────────── out ──           reaches both, as far as the server
//! ```
//! Two areas for each link, and no partition but its ends maps them. Each has one writer, and a
//! doorbell the same way.

use parzelle_abi::info::{LINK_BLOCK_BYTES, LINK_NETWORK_BYTES, LINK_READ_ONLY, LinkInfo, Protocol};
use parzelle_plan::{READ, WRITE};
use zerocopy::FromZeros;

use super::blocks::{Block, BlockId, Blocks, Part};
use super::cell::{Backing, Bell, Bus, Cell};
use super::names::name;
use crate::model::{DeviceIndex, DiskPlace, Dma, System};

/// One link.
struct Way {
    client: usize,
    server: usize,
    /// For people: `root of debian`.
    title: String,
    /// Bytes of an area.
    bytes: u64,
    /// A device of the server reaches both areas.
    reached: bool,
    /// What both ends are told.
    common: LinkInfo,
}

/// One area of a link.
struct Area {
    from: usize,
    to: usize,
    title: String,
    block: BlockId,
}

/// Joins all clients with their servers.
pub(crate) fn links(system: &System, blocks: &mut Blocks, cells: &mut [Cell]) {
    let title = |index: usize| system.partitions.get(index).map_or("", |p| p.name.as_str());
    let reached = |device: Option<DeviceIndex>| {
        let device = device.and_then(|index| system.board.devices.get(index.0));
        device.is_some_and(|device| device.dma != Dma::None)
    };
    let device_name = |device: Option<DeviceIndex>| {
        device.and_then(|d| system.board.devices.get(d.0)).map_or("", |d| d.name.as_str())
    };
    for disk in &system.disks {
        for client in &disk.clients {
            let mut common = LinkInfo::new_zeroed();
            common.name = name(&client.port);
            common.of = name(&disk.name);
            common.device = name(device_name(Some(disk.device)));
            common.protocol = Protocol::Block as u32;
            common.flags = if client.writable { 0 } else { LINK_READ_ONLY };
            match &disk.lies {
                DiskPlace::Gpt(gpt) => common.gpt = name(gpt),
                DiskPlace::Range(range) => (common.start, common.bytes) = (range.start, range.size),
            }
            let way = Way {
                client: client.partition.0,
                server: disk.server.0,
                title: format!("{} of {}", disk.name, title(client.partition.0)),
                bytes: LINK_BLOCK_BYTES,
                reached: reached(Some(disk.device)),
                common,
            };
            connect(system, &way, blocks, cells);
        }
    }
    for (group, network) in system.networks.iter().enumerate() {
        for member in &network.members {
            let mut common = LinkInfo::new_zeroed();
            common.name = name(&member.port);
            common.of = name(&network.name);
            common.device = name(device_name(network.device));
            common.protocol = Protocol::Network as u32;
            common.group = group as u32;
            common.mac = member.mac.value.0;
            common.vlan = network.vlan.unwrap_or(0);
            let way = Way {
                client: member.partition.0,
                server: network.server.value.0,
                title: format!("{} of {}", network.name, title(member.partition.0)),
                bytes: LINK_NETWORK_BYTES,
                reached: reached(network.device),
                common,
            };
            connect(system, &way, blocks, cells);
        }
    }
}

fn connect(system: &System, way: &Way, blocks: &mut Blocks, cells: &mut [Cell]) {
    let mut area = |from: usize, to: usize, what: &str| {
        let title = format!("{} {what}", way.title);
        let block = blocks.add(Block {
            parts: vec![Part { name: title.clone(), bytes: way.bytes, zero: true }],
            partition: None,
            users: vec![(from, true), (to, false)],
            wish: None,
            owner: way.title.clone(),
            why: "link",
        });
        Area { from, to, title, block }
    };
    let there = area(way.client, way.server, "out");
    let back = area(way.server, way.client, "in");
    let peer = |index: usize| system.partitions.get(index).map_or("", |p| p.name.as_str());
    // Who hears has to have an event before the other can have a doorbell.
    let events = [way.client, way.server].map(|end| cells.get_mut(end).map_or(0, Cell::event));
    for (end, other, serves) in [(way.client, way.server, false), (way.server, way.client, true)] {
        let Some(cell) = cells.get_mut(end) else {
            continue;
        };
        let (own, others) = if serves { (events[1], events[0]) } else { (events[0], events[1]) };
        let number = cell.links.len();
        let mut link = LinkInfo { peer: name(peer(other)), serves: u32::from(serves), event: own, ..way.common };
        for area in [&there, &back] {
            let reached = serves && way.reached;
            let backing = Backing::Block(area.block, 0);
            let writes = area.from == end;
            debug_assert!(writes || area.to == end);
            let access = if writes { READ | WRITE } else { READ };
            let address = if reached {
                cell.buses.push((if writes { Bus::Out(number) } else { Bus::Incoming(number) }, backing));
                cell.map_reached(&area.title, backing, way.bytes, access)
            } else {
                cell.map_object(&area.title, backing, way.bytes, access)
            };
            let slot = if writes {
                (&mut link.out, &mut link.out_bytes)
            } else {
                (&mut link.incoming, &mut link.incoming_bytes)
            };
            (*slot.0, *slot.1) = (address, way.bytes);
        }
        link.bell = cell.bell(Bell { to: other, event: others });
        cell.peers.insert(other as u32);
        cell.links.push(link);
    }
}
