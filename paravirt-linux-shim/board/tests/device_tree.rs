// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The device tree, read back by somebody else's parser.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a test's verdict")]

use fdt::Fdt;
use parzelle_shim_board::fdt::{Description, OutOfRoom, write};
use parzelle_shim_board::map::{MAX_VCPUS, Range};

const RAM: Range = Range { start: 0x4000_0000, size: 0x1000_0000 };

fn description() -> Description<'static> {
    Description {
        ram: Some(RAM),
        vcpus: 2,
        bootargs: "console=ttyAMA0 quiet",
        initrd: Some(Range { start: 0x4300_0000, size: 0x1234 }),
        grants: None,
        rng_seed: Some(&[1, 2, 3, 4, 5]),
        kaslr_seed: Some(0x0123_4567_89ab_cdef),
    }
}

/// Writes the tree and returns it, with what a property of it is.
fn tree(description: &Description<'_>) -> Vec<u8> {
    let mut out = vec![0xaa; 8192];
    let length = write(description, &mut out).unwrap();
    out.truncate(length);
    out
}

fn property(tree: &[u8], path: &str, name: &str) -> Option<Vec<u8>> {
    let tree = Fdt::new_unaligned(tree).unwrap();
    let node = tree.find_node(path).unwrap_or_else(|| panic!("no node {path}"));
    node.raw_property(name).map(|property| property.value.to_vec())
}

fn cells(tree: &[u8], path: &str, name: &str) -> Vec<u32> {
    let value = property(tree, path, name).unwrap_or_else(|| panic!("{path} has no {name}"));
    value.as_chunks().0.iter().map(|cell| u32::from_be_bytes(*cell)).collect()
}

#[test]
fn a_guest_with_xen_finds_it_by_its_name() {
    assert!(Fdt::new_unaligned(&tree(&description())).unwrap().find_node("/hypervisor").is_none());
    let tree = tree(&Description { grants: Some(Range { start: 0x4fc0_0000, size: 0x2_0000 }), ..description() });
    let node = "/hypervisor";
    assert_eq!(property(&tree, node, "compatible").unwrap(), b"xen,xen-4.17\0xen,xen\0", "a version in front");
    assert_eq!(cells(&tree, node, "reg"), [0, 0x4fc0_0000, 0, 0x2_0000]);
    assert_eq!(cells(&tree, node, "interrupts"), [1, 15, 1]);
}

#[test]
fn says_where_things_are() {
    let tree = tree(&description());
    assert_eq!(cells(&tree, "/memory@40000000", "reg"), [0, 0x4000_0000, 0, 0x1000_0000]);
    let gic = "/intc@8000000";
    assert_eq!(cells(&tree, gic, "reg"), [0, 0x0800_0000, 0, 0x1_0000, 0, 0x080a_0000, 0, 0x4_0000]);
    assert_eq!(cells(&tree, gic, "#interrupt-cells"), [3]);
    assert_eq!(property(&tree, gic, "interrupt-controller"), Some(vec![]));
    assert_eq!(cells(&tree, "/", "interrupt-parent"), cells(&tree, gic, "phandle"));
    assert_eq!(cells(&tree, "/timer", "interrupts"), [1, 13, 8, 1, 14, 8, 1, 11, 8, 1, 10, 8]);
    assert_eq!(property(&tree, "/timer", "always-on"), Some(vec![]));
    let uart = "/pl011@9000000";
    assert_eq!(cells(&tree, uart, "reg"), [0, 0x0900_0000, 0, 0x1000]);
    assert_eq!(cells(&tree, uart, "interrupts"), [0, 1, 4]);
    let clock = cells(&tree, "/apb-pclk", "phandle")[0];
    assert_eq!(cells(&tree, uart, "clocks"), [clock, clock]);
    assert_eq!(property(&tree, uart, "compatible").unwrap(), b"arm,pl011\0arm,primecell\0");
    assert_eq!(property(&tree, "/psci", "method").unwrap(), b"hvc\0");
}

#[test]
fn tells_the_kernel_what_it_asked_for() {
    let blob = tree(&description());
    assert_eq!(property(&blob, "/chosen", "bootargs").unwrap(), b"console=ttyAMA0 quiet\0");
    assert_eq!(property(&blob, "/chosen", "rng-seed").unwrap(), [1, 2, 3, 4, 5]);
    assert_eq!(cells(&blob, "/chosen", "kaslr-seed"), [0x0123_4567, 0x89ab_cdef]);
    assert_eq!(cells(&blob, "/chosen", "linux,initrd-start"), [0, 0x4300_0000]);
    assert_eq!(cells(&blob, "/chosen", "linux,initrd-end"), [0, 0x4300_1234]);
    let plain = tree(&Description { ram: Some(RAM), vcpus: 1, ..Description::default() });
    for name in ["rng-seed", "kaslr-seed", "linux,initrd-start"] {
        assert_eq!(property(&plain, "/chosen", name), None);
    }
}

#[test]
fn has_as_many_processors_as_asked_for() {
    for (asked, got) in [(0, 1), (1, 1), (3, 3), (8, 8), (99, MAX_VCPUS)] {
        let blob = tree(&Description { ram: Some(RAM), vcpus: asked, ..Description::default() });
        let parsed = Fdt::new_unaligned(&blob).unwrap();
        assert_eq!(parsed.root().cpus().iter().count(), got);
        assert_eq!(property(&blob, "/cpus/cpu@0", "enable-method").unwrap(), b"psci\0");
        assert_eq!(cells(&blob, "/intc@8000000", "reg")[7], 0x2_0000 * got as u32);
    }
}

#[test]
fn the_same_description_gives_the_same_bytes() {
    assert_eq!(tree(&description()), tree(&description()));
}

#[test]
fn too_little_room_is_an_error_at_every_length() {
    let length = tree(&description()).len();
    for room in 0..length {
        assert_eq!(write(&description(), &mut vec![0; room]), Err(OutOfRoom), "{room} of {length}");
    }
    assert_eq!(write(&description(), &mut vec![0; length]), Ok(length));
}
