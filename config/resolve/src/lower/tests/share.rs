// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Links to disks and networks, as both ends see them.

use super::system::{Parts, small};
use super::*;
use crate::model::*;
use parzelle_abi::info::{InfoHeader, LINK_READ_ONLY, LinkInfo, ObjectInfo, ObjectKind};
use parzelle_plan::{DMA, RegionRecord};
use parzelle_schema::source::{FileId, Place as At};
use zerocopy::FromBytes;

/// `console` serves a disk to `one`, which reads, and a network to both others.
fn sharing(arch: Arch, dma: Dma) -> System {
    let mut system = small(arch, Parts { devices: vec![DeviceIndex(0), DeviceIndex(1)] });
    let head = At::new(FileId(0), 0..0);
    let device = |name: &str, start| Device {
        name: name.into(),
        class: "block".into(),
        pci: None,
        qemu: None,
        registers: vec![Region { start, size: PAGE }],
        ports: Vec::new(),
        interrupts: Vec::new(),
        edge: false,
        quiesce: None,
        dma,
        owner: Some(PartitionIndex(0)),
        kernel: false,
        head,
    };
    system.board.devices = vec![device("disk0", 0x8000_0000), device("nic0", 0x8000_1000)];
    system.partitions[0].dma_memory.value = 16 << 10;
    system.disks = vec![Disk {
        name: "root".into(),
        device: DeviceIndex(0),
        server: PartitionIndex(0),
        lies: DiskPlace::Gpt("Root".into()),
        size: Derived::written(1 << 20),
        content: None,
        clients: vec![DiskClient { partition: PartitionIndex(1), port: "xvda".into(), writable: false }],
        head,
    }];
    let member = |partition, mac| NetworkMember {
        partition: PartitionIndex(partition),
        port: "eth0".into(),
        mac: Derived::written(Mac(mac)),
    };
    system.networks = vec![Network {
        name: "lan".into(),
        device: Some(DeviceIndex(1)),
        server: Derived::written(PartitionIndex(0)),
        vlan: Some(20),
        members: vec![member(1, [2, 0, 0, 0, 0, 1]), member(2, [2, 0, 0, 0, 0, 2])],
        head,
    }];
    system
}

/// The information pages of a partition, out of the payload.
pub(super) fn pages<'a>(lowered: &'a Lowered, plan: &Plan<'_>, index: usize) -> &'a [u8] {
    let payload = plan.system.image + plan.system.image_bytes - lowered.payload.len() as u64;
    let region = regions(plan, index).into_iter().find(|region| region.name.as_str() == "info").unwrap();
    &lowered.payload[(region.physical - payload) as usize..][..region.bytes as usize]
}

pub(super) fn table<T: FromBytes + Copy>(pages: &[u8], at: u32, count: u32) -> Vec<T> {
    let one = |n: usize| T::read_from_prefix(&pages[at as usize + n * size_of::<T>()..]).unwrap().0;
    (0..count as usize).map(one).collect()
}

pub(super) fn header(pages: &[u8]) -> InfoHeader {
    InfoHeader::read_from_prefix(pages).unwrap().0
}

fn regions(plan: &Plan<'_>, index: usize) -> Vec<RegionRecord> {
    plan.regions()[plan.partitions()[index].regions.range()].to_vec()
}

#[test]
fn both_ends_see_the_same_two_areas_and_nobody_else_does() {
    for (arch, dma) in [(Arch::Aarch64, Dma::Direct), (Arch::X86_64, Dma::Iommu), (Arch::X86_64, Dma::None)] {
        let system = sharing(arch, dma);
        let lowered = lowered(&system).unwrap();
        let plan = read(&lowered);
        let links = |index| {
            let pages = pages(&lowered, &plan, index);
            table::<LinkInfo>(pages, header(pages).links, header(pages).link_count)
        };
        let physical = |index, address| regions(&plan, index).iter().find(|r| r.address == address).copied().unwrap();
        let (server, one, two) = (links(0), links(1), links(2));
        assert_eq!((server.len(), one.len(), two.len()), (3, 2, 1));
        assert_eq!((one[0].name.as_str(), one[0].peer.as_str(), one[0].of.as_str()), ("xvda", "console", "root"));
        assert_eq!((one[0].gpt.as_str(), one[0].device.as_str(), one[0].flags), ("Root", "disk0", LINK_READ_ONLY));
        assert_eq!((two[0].mac, two[0].vlan, two[0].serves, server[2].serves), ([2, 0, 0, 0, 0, 2], 20, 0, 1));
        assert_eq!(server[2].peer.as_str(), "two");
        for (client, index, server) in [(&one[0], 1, &server[0]), (&one[1], 1, &server[1]), (&two[0], 2, &server[2])] {
            assert_eq!((client.out_bytes, client.incoming_bytes), (server.incoming_bytes, server.out_bytes));
            assert_eq!((client.out_bus, client.incoming_bus), (0, 0));
            let ways =
                [(client.out, server.incoming, server.incoming_bus), (client.incoming, server.out, server.out_bus)];
            for (at, (mine, theirs, bus)) in ways.into_iter().enumerate() {
                let (mine, theirs) = (physical(index, mine), physical(0, theirs));
                assert_eq!((mine.physical, mine.access & DMA), (theirs.physical, 0));
                assert_eq!((mine.access & WRITE != 0, theirs.access & WRITE != 0), (at == 0, at == 1));
                assert_eq!(theirs.access & DMA != 0, dma != Dma::None);
                assert_eq!(bus, if dma == Dma::None { 0 } else { theirs.physical });
                let users = (0..3).filter(|&p| regions(&plan, p).iter().any(|r| r.physical == mine.physical));
                assert_eq!(users.collect::<Vec<_>>(), [0, index]);
                let record = plan.memory().iter().find(|record| record.address == mine.physical).unwrap();
                assert_eq!(record.zero, 1);
            }
            let bell = |partition: usize, number: u32| {
                plan.doorbells()[plan.partitions()[partition].doorbells.range()][number as usize]
            };
            let (out, back) = (bell(index, client.bell), bell(0, server.bell));
            assert_eq!((out.event, back.event), (server.event, client.event));
            let of = |vcpu: u32| plan.vcpus()[vcpu as usize].partition as usize;
            assert_eq!((of(out.vcpu), of(back.vcpu)), (0, index));
        }
        let pages = pages(&lowered, &plan, 0);
        let objects: Vec<ObjectInfo> = table(pages, header(pages).objects, header(pages).object_count);
        let reached = objects.iter().find(|object| object.kind == ObjectKind::DmaMemory as u32).unwrap();
        let region = physical(0, reached.address);
        assert_eq!((reached.size, reached.extra), (16 << 10, region.physical));
        assert!(region.access & DMA != 0);
        assert_eq!(plan.peers()[plan.partitions()[1].peers.range()], [0]);
    }
}

#[test]
fn whoever_maps_what_others_share_is_found() {
    for (arch, dma) in [(Arch::Aarch64, Dma::Direct), (Arch::X86_64, Dma::Iommu)] {
        let mut system = sharing(arch, dma);
        system.shared = vec![super::system::shared("both", vec![1], vec![2])];
        for (index, writable) in [(1, true), (2, false)] {
            system.partitions[index].shared.push(SharedPort { name: "both".into(), link: SharedIndex(0), writable });
        }
        let lowered = lowered(&system).unwrap();
        let plan = read(&lowered);
        let shared = &lowered.report.shared;
        let proof = prove(&plan, shared).unwrap();
        // Three links and two consoles of two areas each, and one memory, all at two ends.
        assert_eq!((shared.len(), proof.shared), (11, 22));
        assert_eq!(proof.reached, if dma == Dma::None { 1 } else { 7 }, "dma memory, six areas");
        for index in 0..shared.len() {
            let mut without = shared.clone();
            let lost = without.remove(index);
            assert!(prove(&plan, &without).unwrap_err().contains("nobody shares"), "{}", lost.name);
            let mut fewer = shared.clone();
            fewer[index].readers.clear();
            assert!(prove(&plan, &fewer).unwrap_err().contains("shared by others"));
            let mut less = shared.clone();
            let writers = std::mem::take(&mut less[index].writers);
            less[index].readers.extend(writers);
            assert!(prove(&plan, &less).unwrap_err().contains("only read"));
        }
    }
}
