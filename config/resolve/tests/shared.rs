// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What is derived of disks, networks and PCI functions.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the verdict")]

mod support;

use parzelle_resolve::check::check_text;
use parzelle_resolve::model::*;
use parzelle_resolve::render::{Style, text};

/// The example of the language, with files and programs that are there.
const STORE: &str = r#"
[system]
boards = ["qemu-virt-aarch64", "qemu-q35-x86_64"]
[partition.hello]
crate = "hello"
[partition.debian]
memory = "32MiB"
[partition.debian.guest]
kernel  = "files/{arch}/Image"
initrd  = "files/initrd.img"
cmdline = "root=/dev/xvda"
[partition.block]
crate   = "block"
devices = ["disk0"]
[partition.net]
crate   = "net"
devices = ["nic0"]
[disk.root]
device  = "disk0"
writers = ["debian"]
content = "files/text.txt"
[disk.store]
device  = "disk0"
gpt     = "The Store"
size    = "8MiB"
writers = ["hello.files"]
readers = ["debian.xvdb"]
[network.lan]
device  = "nic0"
members = ["debian", "hello"]
[network.inside]
driver  = "net"
members = ["debian.eth0", "hello.other"]
[network.inside.mac]
"hello.other" = "52:54:00:12:34:56"
[board.qemu-virt-aarch64.partition]
block.dma = "trusted"
net.dma   = "trusted"
[board.qemu-q35-x86_64]
without = ["debian"]
"#;

fn systems(description: &str) -> Vec<System> {
    let folder = support::root().join("tests/rejects");
    let outcome = check_text("store.toml", description.to_owned(), &folder, &support::environment());
    assert!(outcome.findings.is_empty(), "{}", text(&outcome, Style::Plain));
    outcome.systems
}

#[test]
fn disks_have_places_sizes_and_users() {
    let all = systems(STORE);
    let arm = &all[0];
    let [root, store] = arm.disks.as_slice() else { panic!("two disks") };
    assert_eq!((root.lies.clone(), root.size.value), (DiskPlace::Gpt("root".into()), 512));
    assert_eq!(root.size.origin.0, "from `content`");
    let name = |index: PartitionIndex| arm.partition(index).unwrap().name.as_str();
    let users: Vec<_> = store.clients.iter().map(|c| (name(c.partition), c.port.as_str(), c.writable)).collect();
    assert_eq!(users, [("debian", "xvdb", false), ("hello", "files", true)]);
    assert_eq!((root.clients[0].port.as_str(), name(root.server)), ("xvda", "block"), "the first free name");
    let x86 = &all[1];
    assert_eq!((x86.disks.len(), x86.disks[0].clients.len()), (1, 1), "without the guest its disk is gone");
    assert_eq!((x86.networks.len(), x86.networks[0].members.len()), (2, 1));
}

#[test]
fn addresses_are_made_of_names() {
    let all = systems(STORE);
    let of = |system: &System, network: usize, member: usize| system.networks[network].members[member].clone();
    let lan = of(&all[0], 1, 1);
    assert_eq!((lan.port.as_str(), of(&all[0], 1, 0).port.as_str()), ("lan", "eth1"));
    assert_eq!(lan.mac, of(&all[1], 1, 0).mac, "the same on every board");
    let Mac([first, ..]) = lan.mac.value;
    assert_eq!((first, lan.mac.value.unicast()), (2, true));
    assert_ne!(lan.mac.value, of(&all[0], 1, 0).mac.value);
    assert_eq!(of(&all[0], 0, 1).mac, Derived::written(Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56])));
    assert_eq!((all[0].networks[0].device, all[0].networks[0].server.origin.0.as_ref()), (None, "written"));
}

#[test]
fn pci_functions_are_where_the_board_says() {
    let all = systems(STORE);
    let device = |system: &System, name: &str| system.board.devices.iter().find(|d| d.name == name).cloned().unwrap();
    let disk = device(&all[1], "disk0");
    let pci = disk.pci.unwrap();
    assert_eq!((pci.address.to_string().as_str(), pci.id.unwrap().to_string().as_str()), ("00:03.0", "1af4:1042"));
    assert_eq!((pci.bars, pci.msix.unwrap().vectors), (vec![(1, 4096), (4, 16384)], 2));
    assert_eq!((disk.dma, device(&all[0], "disk0").dma), (Dma::Iommu, Dma::Direct));
    assert_eq!(all[1].board.buses[0].configuration, Region { start: 0xb000_0000, size: 256 << 20 });
    let block = all[1].partition(all[1].find("block").unwrap()).unwrap();
    assert_eq!((block.dma_memory.value, block.dma_memory.origin.clone()), (64 << 10, Origin::METADATA));
}
