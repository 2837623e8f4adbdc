// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the image says of devices, and of what is shared.

use super::super::Draft;
use super::super::blocks::BlockId;
use super::super::emit::Places;
use super::super::findings::size;
use super::{Device, Disk, Network, Shared};
use crate::model::{self, DiskPlace, Dma, PartitionIndex, Region, System};

fn title(system: &System, index: PartitionIndex) -> String {
    system.partition(index).map_or(String::new(), |p| p.name.clone())
}

fn port(system: &System, index: PartitionIndex, port: &str) -> String {
    format!("{}.{port}", title(system, index))
}

fn device(system: &System, index: model::DeviceIndex) -> &str {
    system.board.devices.get(index.0).map_or("", |device| device.name.as_str())
}

/// Virtual disks.
pub(super) fn disks(system: &System) -> Vec<Disk> {
    let one = |disk: &model::Disk| {
        let device = device(system, disk.device);
        let content = disk.content.as_ref().and_then(|path| path.file_name());
        let content = content.map_or(String::new(), |file| format!(", at first `{}`", file.to_string_lossy()));
        Disk {
            name: disk.name.clone(),
            lies: match &disk.lies {
                DiskPlace::Gpt(gpt) => format!("GPT partition `{gpt}` of {device}"),
                DiskPlace::Range(range) => format!("bytes {:#x}–{:#x} of {device}", range.start, range.end()),
            },
            holds: format!("{}{content}", size(disk.size.value)),
            server: title(system, disk.server),
            clients: disk.clients.iter().map(|c| (port(system, c.partition, &c.port), c.writable)).collect(),
        }
    };
    system.disks.iter().map(one).collect()
}

/// Networks.
pub(super) fn networks(system: &System) -> Vec<Network> {
    let one = |network: &model::Network| {
        let member = |m: &model::NetworkMember| {
            (port(system, m.partition, &m.port), m.mac.value.to_string(), m.mac.origin.0.to_string())
        };
        Network {
            name: network.name.clone(),
            out: match (network.device, network.vlan) {
                (None, _) => "no way out".to_owned(),
                (Some(index), None) => device(system, index).to_owned(),
                (Some(index), Some(vlan)) => format!("{}, VLAN {vlan}", device(system, index)),
            },
            server: title(system, network.server.value),
            members: network.members.iter().map(member).collect(),
        }
    };
    system.networks.iter().map(one).collect()
}

/// Devices with owners.
pub(super) fn devices(system: &System) -> Vec<Device> {
    let behind = system.board.iommu.as_deref();
    let one = |device: &model::Device| {
        let places = |what: &str, list: &[Region]| {
            list.iter().map(|r| format!("{what}{:#x}", r.start)).collect::<Vec<_>>().join(", ")
        };
        Some(Device {
            name: device.name.clone(),
            owner: title(system, device.owner?),
            place: match (&device.pci, device.registers.is_empty()) {
                (Some(pci), _) => format!("PCI {}", pci.address),
                (None, false) => places("", &device.registers),
                (None, true) => places("port ", &device.ports),
            },
            dma: match (device.dma, behind) {
                (Dma::None, _) => "reaches no memory by itself".to_owned(),
                (Dma::Iommu, Some(kind)) => format!("behind the IOMMU ({kind}): reaches what is marked `m`"),
                (Dma::Direct, _) | (Dma::Iommu, None) => "reaches ALL memory: its owner is trusted".to_owned(),
            },
        })
    };
    system.board.devices.iter().filter_map(one).collect()
}

/// Memory of several partitions.
pub(super) fn shared(system: &System, draft: &Draft, places: &Places) -> Vec<Shared> {
    let blocks = draft.blocks.all().iter().enumerate().filter(|(_, block)| !block.users.is_empty());
    let shared = blocks.map(|(index, block)| {
        let users = |writes: bool| {
            let mine = block.users.iter().filter(|(_, may)| *may == writes);
            mine.map(|(index, _)| title(system, PartitionIndex(*index))).collect()
        };
        Shared {
            name: block.parts.first().map_or(String::new(), |part| part.name.clone()),
            why: block.why.to_owned(),
            start: places.block(BlockId(index)),
            bytes: block.bytes(),
            writers: users(true),
            readers: users(false),
        }
    });
    shared.collect()
}
