// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Connecting, leaving, coming back.

use super::disk::FakeDisk;
use super::guest::{FREE, Guest, House};
use super::port::FakePort;

const DISK: &str = "device/vbd/51712";
const DISK_BACK: &str = "/local/domain/0/backend/vbd/1/51712";
const PORT: &str = "device/vif/0";
const PORT_BACK: &str = "/local/domain/0/backend/vif/1/0";

fn with_devices(house: &House) -> Guest<'_> {
    let mut guest = Guest::new(house);
    guest.devices.add_disk("xvda", FakeDisk::new(), 1).unwrap();
    guest.devices.add_port("eth0", [2, 0, 0, 0, 0xab, 1], FakePort::default(), 1).unwrap();
    guest
}

#[test]
fn a_disk_is_presented_connected_closed_and_connected_again() {
    let house = House::new();
    let mut guest = with_devices(&house);
    assert_eq!(guest.read("name"), "test");
    assert_eq!(guest.read("cpu/1/availability"), "online");
    assert_eq!(guest.read(&format!("{DISK}/backend")), DISK_BACK);
    assert_eq!(guest.read(&format!("{DISK}/virtual-device")), "51712");
    assert_eq!(guest.read(&format!("{DISK_BACK}/state")), "2");
    house.lend(8, FREE, false);
    for _ in 0..3 {
        let port = guest.port();
        for (key, value) in [("ring-ref", "8"), ("event-channel", &port.to_string()), ("state", "3")] {
            guest.write(&format!("{DISK}/{key}"), value);
        }
        assert_eq!(guest.read(&format!("{DISK_BACK}/state")), "4");
        for (key, value) in [
            ("sectors", "512"),
            ("info", "0"),
            ("sector-size", "512"),
            ("physical-sector-size", "4096"),
            ("feature-flush-cache", "1"),
            ("feature-persistent", "0"),
            ("feature-max-indirect-segments", "32"),
            ("feature-discard", "1"),
        ] {
            assert_eq!(guest.read(&format!("{DISK_BACK}/{key}")), value, "{key}");
        }
        guest.write(&format!("{DISK}/state"), "4");
        assert_eq!(guest.read(&format!("{DISK_BACK}/state")), "4");
        guest.write(&format!("{DISK}/state"), "5");
        assert_eq!(guest.read(&format!("{DISK_BACK}/state")), "5");
        guest.write(&format!("{DISK}/state"), "6");
        assert_eq!(guest.read(&format!("{DISK_BACK}/state")), "6");
        guest.events.close(port).unwrap();
        guest.write(&format!("{DISK}/state"), "1");
        assert_eq!(guest.read(&format!("{DISK_BACK}/state")), "2");
    }
}

#[test]
fn a_disk_is_not_connected_before_it_is_known() {
    let house = House::new();
    let mut guest = Guest::new(&house);
    let mut disk = FakeDisk::new();
    let geometry = disk.geometry.take();
    guest.devices.add_disk("xvdb", disk, 1).unwrap();
    house.lend(8, FREE, false);
    let port = guest.port();
    for (key, value) in [("ring-ref", "8"), ("event-channel", &port.to_string()), ("state", "3")] {
        guest.write(&format!("device/vbd/51728/{key}"), value);
    }
    let back = "/local/domain/0/backend/vbd/1/51728/state";
    assert_eq!(guest.read(back), "2");
    guest.devices.disks().next().unwrap().geometry = geometry;
    guest.tell();
    assert_eq!(guest.read(back), "4");
}

#[test]
fn a_port_is_connected_when_its_driver_says_so() {
    let house = House::new();
    let mut guest = with_devices(&house);
    assert_eq!(guest.read(&format!("{PORT}/mac")), "02:00:00:00:ab:01");
    assert_eq!(guest.read(&format!("{PORT}/handle")), "0");
    for key in ["feature-rx-copy", "feature-sg", "feature-gso-tcpv4"] {
        assert_eq!(guest.read(&format!("{PORT_BACK}/{key}")), "1");
    }
    house.lend(8, FREE, false);
    house.lend(9, FREE + 1, false);
    for _ in 0..2 {
        let port = guest.port();
        guest.write(&format!("{PORT}/state"), "3");
        assert_eq!(guest.read(&format!("{PORT_BACK}/state")), "2", "not yet");
        for (key, value) in
            [("tx-ring-ref", "8"), ("rx-ring-ref", "9"), ("event-channel", &port.to_string()), ("state", "4")]
        {
            guest.write(&format!("{PORT}/{key}"), value);
        }
        assert_eq!(guest.read(&format!("{PORT_BACK}/state")), "4");
        // The driver is unbound and bound again, without a word in between.
        guest.write(&format!("{PORT}/state"), "6");
        assert_eq!(guest.read(&format!("{PORT_BACK}/state")), "6");
        guest.write(&format!("{PORT}/state"), "1");
        assert_eq!(guest.read(&format!("{PORT_BACK}/state")), "2");
    }
}

#[test]
fn keys_that_make_no_sense_close_the_device() {
    let house = House::new();
    house.lend(8, FREE, false);
    house.lend(9, FREE, true);
    let mut guest = with_devices(&house);
    let ipi = guest.events.bind_ipi(0).unwrap().to_string();
    let good = guest.port().to_string();
    let cases =
        [("8", "0"), ("8", "1"), ("8", &ipi), ("8", "99999"), ("7", &good), ("9", &good), ("x", &good), ("-8", &good)];
    for (reference, port) in cases {
        for (key, value) in [("ring-ref", reference), ("event-channel", port), ("state", "3")] {
            guest.write(&format!("{DISK}/{key}"), value);
        }
        assert_eq!(guest.read(&format!("{DISK_BACK}/state")), "5", "{reference} {port}");
        guest.write(&format!("{DISK}/state"), "6");
        guest.write(&format!("{DISK}/state"), "1");
    }
    // All of it removed: as if it had left.
    assert_eq!(guest.store.ask(guest.devices.store(), 13, 0, b"device\0").0, 13);
    guest.devices.signalled(1);
    guest.serve();
    assert_eq!(guest.read(&format!("{DISK_BACK}/state")), "6");
}

#[test]
fn there_are_as_many_as_there_may_be() {
    let house = House::new();
    let mut guest = Guest::new(&house);
    for number in 0..8 {
        let name = format!("xvd{}", char::from(b'a' + number));
        guest.devices.add_disk(&name, FakeDisk::new(), 1).unwrap();
        guest.devices.add_port(&format!("eth{number}"), [0; 6], FakePort::default(), 1).unwrap();
    }
    assert!(guest.devices.add_disk("xvdz", FakeDisk::new(), 1).is_err());
    assert!(guest.devices.add_port("eth8", [0; 6], FakePort::default(), 1).is_err());
    assert_eq!(guest.store.ask(guest.devices.store(), 1, 0, b"device/vbd\0").1.len(), 8 * 6);
    assert_eq!(guest.read("device/vif/7/handle"), "7");
    // Room for all that their frontends write.
    for number in 0..8 {
        for key in 0..20 {
            guest.write(&format!("device/vif/{number}/key-{key}"), "1");
        }
    }
}
