// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A PCI function, as boot, kernel and owner see it.

use super::share::{header, pages, table};
use super::system::{Parts, small};
use super::*;
use crate::model::*;
use parzelle_abi::info::{ObjectInfo, ObjectKind};
use parzelle_plan::*;
use parzelle_schema::source::{FileId, Place as At};

const CONFIG: u64 = 0xb001_8000;
const BARS: u64 = 0xe000_0000;

/// `console` has two functions that are alike but for their address.
fn functions() -> System {
    let mut system = small(Arch::X86_64, Parts { devices: vec![DeviceIndex(0), DeviceIndex(1)] });
    let head = At::new(FileId(0), 0..0);
    let region = |start, size| crate::model::Region { start, size };
    let plain = Device {
        name: String::new(),
        class: "other".into(),
        pci: None,
        qemu: None,
        registers: Vec::new(),
        ports: Vec::new(),
        interrupts: Vec::new(),
        edge: false,
        quiesce: None,
        dma: Dma::Iommu,
        owner: Some(PartitionIndex(0)),
        kernel: false,
        head,
    };
    let function = |name: &str, device| Device {
        name: name.into(),
        pci: Some(Pci {
            address: PciAddress { bus: 0, device, function: 0 },
            id: Some(PciId { vendor: 0x1af4, device: 0x1042 }),
            bars: vec![(1, 0x2000), (4, 0x4000)],
            msix: Some(Msix { capability: 0x98, bar: 1, table: 0x1000, vectors: 2 }),
        }),
        quiesce: Some(Quiesce { bar: Some(4), at: 0x14, width: 1, value: 0 }),
        ..plain.clone()
    };
    let iommu = Device {
        name: "iommu".into(),
        registers: vec![region(0xfed9_0000, PAGE)],
        dma: Dma::None,
        owner: None,
        kernel: true,
        ..plain.clone()
    };
    system.board.devices = vec![function("a", 3), function("b", 4), iommu];
    system.board.iommu = Some("vt-d".into());
    let (configuration, memory) = (region(0xb000_0000, 256 << 20), region(BARS, 256 << 20));
    system.board.buses = vec![Bus { name: "pci0".into(), number: 0, configuration, memory }];
    system.partitions[0].dma_memory.value = 16 << 10;
    system
}

#[test]
fn boot_is_told_what_to_expect_and_what_to_write() {
    let plan = read(&lowered(&functions()).unwrap());
    let first = plan.setups().iter().take_while(|setup| setup.name.as_str() == "a");
    let steps: Vec<_> =
        first.map(|s| (s.access.what, s.access.address - CONFIG, s.access.width, s.access.value)).collect();
    let (expect, write) = (ACCESS_EXPECT, ACCESS_WRITE);
    let expected = [
        (expect, 0, 4, 0x1042_1af4),
        (write, 4, 2, 0x400),
        (write, 0x14, 4, 0xffff_ffff),
        (expect, 0x14, 4, 0xf_ffff_e000),
        (write, 0x14, 4, BARS),
        (write, 0x18, 4, 0),
        (write, 0x20, 4, 0xffff_ffff),
        (expect, 0x20, 4, 0xf_ffff_c000),
        (write, 0x20, 4, BARS + 0x4000),
        (write, 0x24, 4, 0),
        // No more than the 256 entries of the page that is hidden.
        (expect, 0x98, 4, 0xf8ff_ff00_0000_0011),
        (expect, 0x9c, 4, 0x1001),
        (write, 0x9a, 2, 0x8000),
        (write, 4, 2, 0x406),
    ];
    assert_eq!(steps, expected);
    assert_eq!(plan.system.iommu, 0xfed9_0000);
    assert_eq!(plan.streams(), [0x18, 0x20]);
    let entries: Vec<_> = plan.lines().iter().map(|line| (line.line, line.entry, line.source, line.flags)).collect();
    let (table, other) = (BARS + 0x1000, BARS + 0x9000);
    let messages = [(64, table, 0x18), (65, table + 16, 0x18), (66, other, 0x20), (67, other + 16, 0x20)];
    assert_eq!(entries, messages.map(|(line, entry, source)| (line, entry, source, LINE_EDGE)));
}

#[test]
fn a_restart_silences_a_function_and_makes_it_ready_again() {
    let plan = read(&lowered(&functions()).unwrap());
    let steps: Vec<_> =
        plan.quiesces().iter().take(5).map(|step| (step.what, step.address, step.width, step.value)).collect();
    let again = ACCESS_AT_START;
    let expected = [
        (ACCESS_WRITE, BARS + 0x4014, 1, 0),
        (ACCESS_WRITE, CONFIG + 4, 2, 0x402),
        (ACCESS_STREAM, 0x18, 0, 0),
        (ACCESS_STREAM | again, 0x18, 0, 1),
        (ACCESS_WRITE | again, CONFIG + 4, 2, 0x406),
    ];
    assert_eq!(steps, expected);
    for address in plan.quiesces().iter().filter(|step| step.width != 0).map(|step| step.address) {
        let there = |map: &&KernelMapRecord| {
            map.partition == NONE && map.address <= address && address < map.address + map.bytes
        };
        assert!(plan.kernel_maps().iter().any(|map| there(&map)), "{address:#x}");
    }
}

#[test]
fn the_owner_has_registers_but_no_table_of_messages() {
    let lowered = lowered(&functions()).unwrap();
    let plan = read(&lowered);
    let pages = pages(&lowered, &plan, 0);
    let objects: Vec<ObjectInfo> = table(pages, header(pages).objects, header(pages).object_count);
    let of = |kind: ObjectKind| {
        objects.iter().filter(move |object| object.kind == kind as u32 && object.name.as_str() == "a")
    };
    let regions = plan.partitions()[0].regions.of(plan.regions());
    let behind = |object: &ObjectInfo| {
        let region = regions.iter().find(|region| region.address == object.address).unwrap();
        (region.physical, region.access)
    };
    let config: Vec<_> = of(ObjectKind::PciFunction).map(|object| (behind(object), object.extra)).collect();
    assert_eq!(config, [((CONFIG, READ | DEVICE), 0x18)]);
    let registers: Vec<_> = of(ObjectKind::Registers).map(|o| (o.number, o.size, o.extra, behind(o).0)).collect();
    assert_eq!(registers, [(1, 0x1000, 0, BARS), (4, 0x4000, 0, BARS + 0x4000)]);
    let lines: Vec<_> = of(ObjectKind::Interrupt).map(|object| (object.number, object.extra)).collect();
    assert_eq!(lines, [(0, 0), (1, 1)]);
}

#[test]
fn without_an_iommu_nothing_is_shut() {
    let mut system = functions();
    system.board.iommu = None;
    let plan = read(&lowered(&system).unwrap());
    assert_eq!((plan.system.iommu, plan.streams().len()), (0, 0));
    assert!(plan.quiesces().iter().all(|step| step.what & ACCESS_STREAM == 0));
}

#[test]
fn registers_without_a_place_are_a_finding() {
    let mut system = functions();
    system.board.buses[0].memory.size = 0xa000;
    assert_eq!(code(lowered(&system)), "PZ0012");
}

/// virtio-mmio: nobody stands before it, so all that a restart does is to silence it.
#[test]
fn registers_in_memory_are_silenced_too() {
    let mut system = functions();
    (system.board.arch, system.board.iommu) = (Arch::Aarch64, None);
    system.board.devices.truncate(2);
    for (device, start) in system.board.devices.iter_mut().zip([0x0a00_3e00, 0x0a00_2e00]) {
        (device.pci, device.dma) = (None, Dma::Direct);
        device.registers = vec![crate::model::Region { start, size: 512 }];
        device.quiesce = Some(Quiesce { bar: None, at: 0x70, width: 4, value: 0 });
    }
    let base = small(Arch::Aarch64, Parts::default()).board;
    (system.board.ram, system.board.reserved, system.board.kernel_load) = (base.ram, base.reserved, base.kernel_load);
    let plan = read(&lowered(&system).unwrap());
    let steps: Vec<_> = plan.quiesces().iter().map(|step| (step.what, step.address, step.width)).collect();
    assert_eq!(steps, [(ACCESS_WRITE, 0x0a00_3e70, 4), (ACCESS_WRITE, 0x0a00_2e70, 4)]);
    assert!(plan.setups().is_empty() && plan.streams().is_empty());
}
