// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a stock kernel asks while it boots, in its order, with a disk and a network port: as traced.

use super::client::Client;
use super::store;
use crate::store::Store;

/// A disk that is not connected, as devices write it.
fn with_disk() -> Store {
    let mut store = store();
    let front = "/local/domain/1/device/vbd/51712";
    let back = "/local/domain/0/backend/vbd/1/51712";
    for (key, value) in
        [("backend", back), ("backend-id", "0"), ("virtual-device", "51712"), ("device-type", "disk"), ("state", "1")]
    {
        store.put(&format!("{front}/{key}"), value.as_bytes()).unwrap();
    }
    store.put(&format!("{back}/state"), b"2").unwrap();
    store
}

#[test]
fn linux_finds_what_it_asks_for() {
    let mut store = with_disk();
    let mut linux = Client::new();
    let read = |linux: &mut Client, store: &mut Store, path: &str, value: &str| {
        let found = linux.ask(store, 2, 0, format!("{path}\0").as_bytes());
        assert_eq!(found, (2, value.as_bytes().to_vec()), "{path}");
    };
    let missing = |linux: &mut Client, store: &mut Store, path: &str| {
        assert_eq!(linux.ask(store, 2, 0, format!("{path}\0").as_bytes()), linux.error("ENOENT"));
    };
    missing(&mut linux, &mut store, "control/platform-feature-xs_reset_watches");
    for path in ["memory/target", "control/shutdown", "control/sysrq"] {
        assert_eq!(linux.ask(&mut store, 4, 0, format!("{path}\0ffff{path}\0").as_bytes()).0, 4);
    }
    assert_eq!(linux.events(&mut store).len(), 3);
    for path in ["memory/target", "memory/static-max", "memory/memory_static_max"] {
        missing(&mut linux, &mut store, path);
    }
    for feature in ["poweroff", "reboot", "suspend"] {
        let body = format!("control/feature-{feature}\x001");
        assert_eq!(linux.ask(&mut store, 11, 0, body.as_bytes()), (11, b"OK\0".to_vec()));
    }
    assert_eq!(linux.ask(&mut store, 1, 0, b"backend\0"), linux.error("ENOENT"));
    assert_eq!(linux.ask(&mut store, 4, 0, b"backend\0b\0").0, 4);
    // Two threads: one's transaction is open while another asks.
    assert_eq!(linux.ask(&mut store, 6, 0, b"\0"), (6, b"1\0".to_vec()));
    assert_eq!(linux.ask(&mut store, 1, 0, b"device\0"), (1, b"vbd\0".to_vec()));
    assert_eq!(linux.ask(&mut store, 2, 1, b"control/shutdown\0"), (2, b"".to_vec()));
    assert_eq!(linux.ask(&mut store, 7, 1, b"T\0"), (7, b"OK\0".to_vec()));
    assert_eq!(linux.ask(&mut store, 1, 0, b"device/vbd\0"), (1, b"51712\0".to_vec()));
    let front = "device/vbd/51712";
    read(&mut linux, &mut store, &format!("{front}/state"), "1");
    assert_eq!(linux.ask(&mut store, 6, 0, b"\0"), (6, b"1\0".to_vec()));
    assert_eq!(linux.ask(&mut store, 2, 1, b"control/sysrq\0"), linux.error("ENOENT"));
    assert_eq!(linux.ask(&mut store, 7, 1, b"F\0"), (7, b"OK\0".to_vec()));
    assert_eq!(linux.ask(&mut store, 4, 0, b"device\0d\0").0, 4);
    assert_eq!(linux.ask(&mut store, 4, 0, b"cpu\0c\0").0, 4);
    missing(&mut linux, &mut store, "cpu/0/availability");
    missing(&mut linux, &mut store, "vm");
    // The disk's driver.
    read(&mut linux, &mut store, &format!("{front}/backend-id"), "0");
    let back = "/local/domain/0/backend/vbd/1/51712";
    read(&mut linux, &mut store, &format!("{front}/backend"), back);
    read(&mut linux, &mut store, &format!("{front}/virtual-device"), "51712");
    assert_eq!(linux.ask(&mut store, 4, 0, format!("{back}/state\0w\0").as_bytes()).0, 4);
    assert_eq!(linux.ask(&mut store, 6, 0, b"\0"), (6, b"1\0".to_vec()));
    for (key, value) in
        [("ring-ref", "8"), ("event-channel", "3"), ("protocol", "x86_64-abi"), ("feature-persistent", "1")]
    {
        assert_eq!(linux.ask(&mut store, 11, 1, format!("{front}/{key}\0{value}").as_bytes()).0, 11);
    }
    assert_eq!(linux.ask(&mut store, 7, 1, b"T\0").0, 7);
    linux.events(&mut store);
    assert_eq!(linux.ask(&mut store, 11, 0, format!("{front}/state\x003").as_bytes()).0, 11);
    assert!(store.take_changed());
    assert_eq!(store.number("/local/domain/1/device/vbd/51712/ring-ref"), Some(8));
    assert_eq!(linux.events(&mut store), [], "its own doing");
    store.put(&format!("{back}/state"), b"4").unwrap();
    assert_eq!(linux.events(&mut store), [(format!("{back}/state"), "w".into())]);
    // An event when there are news, and only then.
    assert!(linux.raises < linux.signals);
}

#[test]
fn a_guest_is_asked_to_power_off() {
    let mut store = store();
    let mut linux = Client::new();
    linux.ask(&mut store, 4, 0, b"control/shutdown\0s\0");
    linux.events(&mut store);
    store.put("/local/domain/1/control/shutdown", b"poweroff").unwrap();
    assert_eq!(linux.events(&mut store).len(), 1);
    assert_eq!(linux.ask(&mut store, 6, 0, b"\0").0, 6);
    assert_eq!(linux.ask(&mut store, 2, 1, b"control/shutdown\0"), (2, b"poweroff".to_vec()));
    assert_eq!(linux.ask(&mut store, 11, 1, b"control/shutdown\0").0, 11);
    assert_eq!(linux.ask(&mut store, 7, 1, b"T\0").0, 7);
    assert_eq!(store.get("/local/domain/1/control/shutdown"), Some(b"".as_slice()));
}
