// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest that writes anything into everything that it shares: nothing panics, nothing goes on for
//! ever, no disk is asked for what it has not, and only what was lent is written to.

use proptest::prelude::*;

use super::disk::FakeDisk;
use super::guest::{FREE, Guest, House};
use super::port::FakePort;
use crate::memory::Page;

/// Frames of rings and lists, of data, and one that is never lent.
const RINGS: u64 = 4;
const NEVER: u64 = 70;

#[derive(Clone, Debug)]
enum Step {
    /// A word of a ring's page, or of a list of segments.
    Ring(u64, usize, u32),
    /// A count at the head of a ring.
    Count(u64, usize, u32),
    /// An entry of grants.
    Grant(u32, u64),
    /// A word of the store's page.
    Store(usize, u32),
    /// A key of a device.
    Key(usize, usize, u32),
    Signal(u32),
    Told,
    Work(usize),
    Arrive(usize),
    Room(usize),
}

const KEYS: [&str; 6] = ["state", "ring-ref", "event-channel", "tx-ring-ref", "rx-ring-ref", "backend"];
const DEVICES: [&str; 3] = ["device/vbd/51712", "device/vif/0", "device/vif/7"];

/// Numbers at the edges of things.
fn word() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0u32..40,
        2 => (0u32..16, 0u32..16).prop_map(|(low, high)| low | high << 8),
        2 => (0u32..40, 0u32..16).prop_map(|(low, high)| high << 16 | low),
        1 => (0u32..16).prop_map(|size| (size * 100) << 16),
        1 => any::<u32>(),
        1 => Just(u32::MAX),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..RINGS, 16usize..200, word()).prop_map(|(page, at, value)| Step::Ring(page, at, value)),
        6 => (0..RINGS, 0usize..4, prop_oneof![9 => 0u32..64, 1 => any::<u32>()])
            .prop_map(|(page, at, value)| Step::Count(page, at, value)),
        2 => (0u32..40, prop_oneof![(0u64..8, 0u64..60).prop_map(|(flags, frame)| flags | frame << 32), any::<u64>()])
            .prop_map(|(at, entry)| Step::Grant(at, entry)),
        1 => (0usize..1024, word()).prop_map(|(at, value)| Step::Store(at, value)),
        2 => (0..DEVICES.len(), 0..KEYS.len(), prop_oneof![0u32..12, word()])
            .prop_map(|(device, key, value)| Step::Key(device, key, value)),
        6 => prop_oneof![Just(1u32), Just(16), Just(32), 0u32..70].prop_map(Step::Signal),
        2 => Just(Step::Told),
        3 => any::<usize>().prop_map(Step::Work),
        2 => (14usize..2032).prop_map(Step::Arrive),
        1 => (0usize..40).prop_map(Step::Room),
    ]
}

fn play(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let house = House::new();
    for frame in 0..24 {
        house.lend(8 + frame, FREE + u64::from(frame), frame % 5 == 4);
    }
    (0..512).for_each(|word| house.page(NEVER).store64(8 * word, 0x5a5a));
    let mut guest = Guest::new(&house);
    guest.devices.add_disk("xvda", FakeDisk::new(), 1).unwrap();
    guest.devices.add_port("eth0", [2; 6], FakePort { room: 50, ..FakePort::default() }, 1).unwrap();
    let ports = [guest.port(), guest.port()];
    for (device, key, value) in [
        (0, "ring-ref", "8".to_string()),
        (0, "event-channel", ports[0].to_string()),
        (0, "state", "3".to_string()),
        (1, "tx-ring-ref", "9".to_string()),
        (1, "rx-ring-ref", "10".to_string()),
        (1, "event-channel", ports[1].to_string()),
        (1, "state", "4".to_string()),
    ] {
        guest.write(&format!("{}/{key}", DEVICES[device]), &value);
    }
    let store = guest.store.page.clone();
    // Whoever scribbles in the store's page can't ask there any more.
    let mut orderly = true;
    for step in steps {
        match step {
            Step::Ring(page, at, value) => house.page(FREE + page).store32(4 * at, value),
            Step::Count(page, at, value) => house.page(FREE + page).store32(4 * at, value),
            Step::Grant(at, entry) => {
                let allowed = entry >> 32 != NEVER && entry >> 32 > 1;
                if allowed {
                    house.page(0).store64(8 * at as usize, entry);
                }
            }
            Step::Store(at, value) => {
                orderly = false;
                store.store32(4 * at, value);
            }
            Step::Key(device, key, value) if orderly => {
                let body = format!("{}/{}\0{value}", DEVICES[device], KEYS[key]);
                guest.store.ask(guest.devices.store(), 11, 0, body.as_bytes());
                guest.devices.signalled(1);
                guest.serve();
            }
            Step::Key(..) => {}
            Step::Signal(end) => {
                guest.devices.signalled(end);
                guest.serve();
            }
            Step::Told => guest.tell(),
            Step::Work(which) => {
                guest.devices.disks().next().unwrap().work(which);
                guest.tell();
            }
            Step::Arrive(length) => {
                let link = guest.devices.ports().next().unwrap();
                if link.waiting.len() < 40 {
                    link.waiting.push_back(vec![7; length]);
                }
                guest.tell();
            }
            Step::Room(room) => guest.devices.ports().next().unwrap().room = room,
        }
        let _ = guest.devices.take_broken();
    }
    prop_assert!((0..512).all(|word| house.page(NEVER).load64(8 * word) == 0x5a5a));
    // Whatever it did, it can begin anew.
    if orderly {
        house.lend(8, FREE, false);
        (0..512).for_each(|word| house.page(FREE).store64(8 * word, 0));
        for _ in 0..40 {
            guest.devices.disks().next().unwrap().work(0);
            guest.tell();
        }
        let port = guest.events.alloc_unbound(0);
        prop_assume!(port.is_ok());
        for (key, value) in
            [("state", 6), ("state", 1), ("ring-ref", 8), ("event-channel", port.unwrap()), ("state", 3)]
        {
            guest.write(&format!("{}/{key}", DEVICES[0]), &value.to_string());
        }
        prop_assert_eq!(guest.read("/local/domain/0/backend/vbd/1/51712/state"), "4");
    }
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn nothing_a_guest_writes_does_harm(steps in steps()) {
        play(steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    #[ignore = "a million steps"]
    fn nothing_a_guest_writes_does_harm_a_million_times(steps in steps()) {
        play(steps)?;
    }
}
