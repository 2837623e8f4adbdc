// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The store as Linux uses it, and as nobody should.

#![allow(clippy::unwrap_used, reason = "a panic here is the verdict of a test")]

pub(crate) mod client;
mod hostile;
mod transcript;

use super::*;
use client::Client;

fn store() -> Store {
    let mut store = Store::new();
    for (path, value) in
        [("/local/domain/1/domid", "1"), ("/local/domain/1/control/shutdown", ""), ("/local/domain/0/backend", "")]
    {
        store.put(path, value.as_bytes()).unwrap();
    }
    store
}

#[test]
fn values_are_written_read_listed_and_removed() {
    let mut store = store();
    let mut client = Client::new();
    assert_eq!(client.ask(&mut store, 11, 0, b"data/one\0value"), (11, b"OK\0".to_vec()));
    assert_eq!(client.ask(&mut store, 2, 0, b"/local/domain/1/data/one\0"), (2, b"value".to_vec()));
    assert_eq!(client.ask(&mut store, 12, 0, b"data/two/below\0"), (12, b"OK\0".to_vec()));
    assert_eq!(client.ask(&mut store, 1, 0, b"data\0"), (1, b"one\0two\0".to_vec()));
    assert_eq!(client.ask(&mut store, 2, 0, b"data/two\0"), (2, b"".to_vec()));
    let used = store.contents.tree.used();
    assert_eq!(client.ask(&mut store, 13, 0, b"data\0"), (13, b"OK\0".to_vec()));
    assert_eq!(store.contents.tree.used(), used - 4);
    assert_eq!(client.ask(&mut store, 2, 0, b"data/one\0"), client.error("ENOENT"));
    assert_eq!(client.ask(&mut store, 13, 0, b"data\0"), client.error("ENOENT"));
    assert_eq!(client.ask(&mut store, 10, 0, b"1\0"), (10, b"/local/domain/1\0".to_vec()));
    assert_eq!(client.ask(&mut store, 3, 0, b"domid\0"), (3, b"n1\0".to_vec()));
}

#[test]
fn what_is_not_the_guests_is_not_written() {
    let mut store = store();
    let mut client = Client::new();
    for path in ["/local/domain/0/backend/x", "/tool", "/local/domain/1", "/", "/local/domain/11/x", "@releaseDomain"] {
        let body = format!("{path}\0x");
        assert_eq!(client.ask(&mut store, 11, 0, body.as_bytes()), client.error("EACCES"), "{path}");
    }
    assert_eq!(client.ask(&mut store, 13, 0, b"/local/domain/1\0"), client.error("EACCES"));
    for path in ["", "a//b", "a/", "/a/", "a b", "a\u{e4}", "//"] {
        let body = format!("{path}\0x");
        assert_eq!(client.ask(&mut store, 11, 0, body.as_bytes()), client.error("EINVAL"), "{path}");
    }
    assert_eq!(client.ask(&mut store, 2, 0, b"no-zero-behind"), client.error("EINVAL"));
    assert_eq!(client.ask(&mut store, 99, 0, b"x\0"), client.error("ENOSYS"));
    assert_eq!(client.ask(&mut store, 8, 0, b"x\0"), client.error("EACCES"));
}

#[test]
fn watches_tell_in_the_words_in_which_they_were_set() {
    let mut store = store();
    let mut client = Client::new();
    assert_eq!(client.ask(&mut store, 4, 0, b"control/shutdown\0token1\0"), (4, b"OK\0".to_vec()));
    assert_eq!(client.events(&mut store), [("control/shutdown".into(), "token1".into())]);
    assert_eq!(client.ask(&mut store, 4, 0, b"/local/domain/0/backend/vbd\0t2\0"), (4, b"OK\0".to_vec()));
    assert_eq!(client.ask(&mut store, 4, 0, b"control/shutdown\0token1\0"), client.error("EEXIST"));
    client.events(&mut store);
    store.put("/local/domain/1/control/shutdown", b"poweroff").unwrap();
    store.put("/local/domain/0/backend/vbd/1/51712/state", b"2").unwrap();
    store.put("/local/domain/0/backend/vbdx", b"2").unwrap();
    assert_eq!(
        client.events(&mut store),
        [
            ("control/shutdown".into(), "token1".into()),
            ("/local/domain/0/backend/vbd/1/51712/state".into(), "t2".into())
        ]
    );
    // One that goes with all above it is told, too.
    store.remove("/local/domain/1/control");
    assert_eq!(client.events(&mut store), [("control/shutdown".into(), "token1".into())]);
    assert_eq!(client.ask(&mut store, 5, 0, b"control/shutdown\0token2\0"), client.error("ENOENT"));
    assert_eq!(client.ask(&mut store, 5, 0, b"control/shutdown\0token1\0"), (5, b"OK\0".to_vec()));
    store.put("/local/domain/1/control/shutdown", b"poweroff").unwrap();
    assert_eq!(client.events(&mut store), []);
    assert_eq!(client.ask(&mut store, 21, 0, b"\0"), (21, b"OK\0".to_vec()));
    store.put("/local/domain/0/backend/vbd/1/51712/state", b"3").unwrap();
    assert_eq!(client.events(&mut store), []);
}

#[test]
fn a_guest_is_not_told_of_what_it_writes_to_its_own_devices() {
    let mut store = store();
    let mut client = Client::new();
    client.ask(&mut store, 4, 0, b"device\0d\0");
    client.ask(&mut store, 4, 0, b"data\0e\0");
    client.events(&mut store);
    client.ask(&mut store, 11, 0, b"device/vbd/51712/state\x003");
    assert_eq!(client.events(&mut store), []);
    assert!(store.take_changed());
    client.ask(&mut store, 11, 0, b"data/x\x003");
    assert_eq!(client.events(&mut store), [("data/x".into(), "e".into())]);
    store.put("/local/domain/1/device/vbd/51712/state", b"1").unwrap();
    assert_eq!(client.events(&mut store), [("device/vbd/51712/state".into(), "d".into())]);
}

#[test]
fn transactions_are_as_many_as_they_may_be() {
    let mut store = store();
    let mut client = Client::new();
    let open = |client: &mut Client, store: &mut Store| client.ask(store, 6, 0, b"\0");
    for number in 1..=32 {
        assert_eq!(open(&mut client, &mut store), (6, format!("{number}\0").into_bytes()));
    }
    assert_eq!(open(&mut client, &mut store), client.error("ENOSPC"));
    assert_eq!(client.ask(&mut store, 11, 7, b"x\0y"), (11, b"OK\0".to_vec()));
    assert_eq!(client.ask(&mut store, 7, 7, b"T\0"), (7, b"OK\0".to_vec()));
    assert_eq!(client.ask(&mut store, 7, 7, b"T\0"), client.error("EINVAL"));
    assert_eq!(client.ask(&mut store, 11, 7, b"x\0z"), client.error("ENOENT"));
    assert_eq!(client.ask(&mut store, 2, 33, b"x\0"), client.error("ENOENT"));
    assert_eq!(open(&mut client, &mut store), (6, b"7\0".to_vec()));
}

#[test]
fn what_does_not_fit_is_refused_and_harms_nothing() {
    let mut store = store();
    let mut client = Client::new();
    assert_eq!(
        client.ask(&mut store, 11, 0, &[b"x\0".as_slice(), &[b'v'; VALUE + 1]].concat()),
        client.error("ENOSPC")
    );
    assert_eq!(client.ask(&mut store, 11, 0, &[&[b'n'; NAME + 1], b"\0v".as_slice()].concat()), client.error("ENOSPC"));
    assert_eq!(client.ask(&mut store, 11, 0, &[&[b'n'; PATH], b"\0v".as_slice()].concat()), client.error("EINVAL"));
    assert_eq!(client.ask(&mut store, 11, 0, &[b'x'; 4000]), client.error("E2BIG"));
    assert_eq!(client.ask(&mut store, 11, 0, &[b'x'; 70_000]), client.error("E2BIG"));
    let mut made = 0;
    while client.ask(&mut store, 11, 0, format!("fill/{made:0>30}\0v").as_bytes()).0 == 11 {
        made += 1;
    }
    assert!(made > NODES / 2);
    // A listing of all of that is longer than a message can be.
    assert_eq!(client.ask(&mut store, 1, 0, b"fill\0"), client.error("E2BIG"));
    for number in 100..made {
        client.ask(&mut store, 13, 0, format!("fill/{number:0>30}\0").as_bytes());
    }
    // One of 3 KiB comes in pieces.
    let (kind, names) = client.ask(&mut store, 1, 0, b"fill\0");
    assert_eq!((kind, names.len()), (1, 3100));
    client.ask(&mut store, 13, 0, b"fill\0");
    assert_eq!(client.ask(&mut store, 11, 0, b"again\0v"), (11, b"OK\0".to_vec()));
    let mut watches = 0;
    while client.ask(&mut store, 4, 0, format!("again\0{watches}\0").as_bytes()).0 == 4 {
        watches += 1;
    }
    assert_eq!(watches, 64);
    assert_eq!(client.events(&mut store).len(), 64);
    client.ask(&mut store, 11, 0, b"again\0w");
    assert_eq!(client.events(&mut store).len(), 64);
}
