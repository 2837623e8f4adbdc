// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The switch against what its users rely on: any frames, from anybody.

extern crate std;
use super::*;
use crate::frame;
use proptest::prelude::*;
use std::vec::Vec;

fn unlimited() -> Limit {
    Limit::new(1_000_000_000, 1_000_000)
}

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

/// Two networks with a way out (untagged and VLAN 20) and one without.
fn switch() -> Switch {
    let mut switch = Switch::new(unlimited());
    for (last, group, uplink) in
        [(1, 1, Some(0)), (2, 1, Some(0)), (3, 2, Some(20)), (4, 2, Some(20)), (5, 3, None), (6, 3, None)]
    {
        assert!(switch.add(Plan { mac: mac(last), group, uplink }, unlimited()).is_some());
    }
    switch
}

fn build(destination: Mac, source: Mac, rest: &[u8]) -> Vec<u8> {
    [&destination.0[..], &source.0, rest].concat()
}

fn ip(destination: Mac, source: Mac) -> Vec<u8> {
    build(destination, source, &[8, 0, 0x45, 0, 0, 20])
}

fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    [&frame[..12], &frame::tag(vlan), &frame[12..]].concat()
}

#[test]
fn frames_go_to_the_port_to_the_network_or_out() {
    let mut switch = switch();
    let to = |ports, uplink| Ok(Targets { ports, uplink, strip: false });
    assert_eq!(switch.from_port(0, &ip(mac(2), mac(1)), 0), to(0b10, None));
    assert_eq!(switch.from_port(0, &ip(Mac::BROADCAST, mac(1)), 0), to(0b10, Some(0)));
    assert_eq!(switch.from_port(2, &ip(Mac::BROADCAST, mac(3)), 0), to(0b1000, Some(20)));
    assert_eq!(switch.from_port(4, &ip(Mac::BROADCAST, mac(5)), 0), to(0b10_0000, None));
    assert_eq!(switch.from_port(0, &ip(mac(99), mac(1)), 0), to(0, Some(0)));
    assert_eq!(switch.from_port(4, &ip(mac(99), mac(5)), 0), Err(Loss::Unknown));
    // The address of another network's port is as unknown as any.
    assert_eq!(switch.from_port(0, &ip(mac(3), mac(1)), 0), to(0, Some(0)));
    assert_eq!(switch.from_port(0, &ip(mac(1), mac(1)), 0), Err(Loss::Unknown));
}

#[test]
fn nobody_sends_as_another_or_with_tags() {
    let mut switch = switch();
    assert_eq!(switch.from_port(0, &ip(mac(99), mac(2)), 0), Err(Loss::Spoofed));
    assert_eq!(switch.from_port(0, &ip(mac(99), Mac::BROADCAST), 0), Err(Loss::Spoofed));
    assert_eq!(switch.from_port(0, &tagged(&ip(mac(99), mac(1)), 20), 0), Err(Loss::Tagged));
    assert_eq!(switch.from_port(0, &build(mac(99), mac(1), &[0x88, 0xa8, 0, 20, 8, 0]), 0), Err(Loss::Tagged));
    let arp = |sender: Mac| {
        build(Mac::BROADCAST, mac(1), &[&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1][..], &sender.0, &[0; 16]].concat())
    };
    assert!(switch.from_port(0, &arp(mac(1)), 0).is_ok());
    assert_eq!(switch.from_port(0, &arp(mac(2)), 0), Err(Loss::Spoofed));
    assert_eq!(switch.from_port(0, &[0; 13], 0), Err(Loss::Malformed));
    let long = [ip(mac(2), mac(1)), std::vec![0; LARGEST]].concat();
    assert!(switch.from_port(0, &long[..LARGEST], 0).is_ok());
    assert_eq!(switch.from_port(0, &long[..LARGEST + 1], 0), Err(Loss::Malformed));
}

#[test]
fn what_comes_from_outside_goes_to_the_network_of_its_vlan() {
    let mut switch = switch();
    let outside = mac(200);
    let to = |ports, strip| Ok(Targets { ports, uplink: None, strip });
    assert_eq!(switch.from_uplink(&ip(mac(1), outside), 0), to(1, false));
    assert_eq!(switch.from_uplink(&tagged(&ip(mac(1), outside), 0), 0), to(1, true));
    assert_eq!(switch.from_uplink(&tagged(&ip(mac(3), outside), 20), 0), to(0b100, true));
    assert_eq!(switch.from_uplink(&tagged(&ip(Mac::BROADCAST, outside), 20), 0), to(0b1100, true));
    assert_eq!(switch.from_uplink(&ip(mac(3), outside), 0), Err(Loss::Unknown));
    assert_eq!(switch.from_uplink(&ip(mac(5), outside), 0), Err(Loss::Unknown));
    assert_eq!(switch.from_uplink(&tagged(&ip(mac(1), outside), 21), 0), Err(Loss::Tagged));
    assert_eq!(switch.from_uplink(&tagged(&tagged(&ip(mac(1), outside), 20), 0), 0), Err(Loss::Tagged));
    assert_eq!(switch.from_uplink(&ip(mac(1), mac(2)), 0), Err(Loss::Spoofed));
}

#[test]
fn broadcasts_are_limited_and_single_frames_are_not() {
    let mut switch = Switch::new(Limit::new(10, 1));
    for last in [1, 2] {
        switch.add(Plan { mac: mac(last), group: 0, uplink: Some(0) }, Limit::new(100, 5));
    }
    let passed = (0..100).filter(|_| switch.from_port(0, &ip(Mac::BROADCAST, mac(1)), 0).is_ok());
    assert_eq!(passed.count(), 5);
    assert!((0..100).all(|_| switch.from_port(0, &ip(mac(2), mac(1)), 0).is_ok()));
    assert!(switch.from_port(1, &ip(Mac::BROADCAST, mac(2)), 0).is_ok(), "each has a limit of its own");
    let passed = (0..100).filter(|_| switch.from_uplink(&ip(Mac::BROADCAST, mac(9)), 0).is_ok());
    assert_eq!(passed.count(), 1);
}

#[test]
fn addresses_are_those_of_stations_and_unique_in_a_network() {
    let mut switch = switch();
    for (address, group, good) in
        [(mac(1), 1, false), (mac(1), 2, true), (Mac::BROADCAST, 9, false), (Mac([0; 6]), 9, false)]
    {
        assert_eq!(switch.add(Plan { mac: address, group, uplink: None }, unlimited()).is_some(), good);
    }
}

/// Addresses of which many are interesting.
fn any_mac() -> impl Strategy<Value = Mac> {
    prop_oneof![
        8 => (0u8..10).prop_map(mac),
        1 => Just(Mac::BROADCAST),
        1 => Just(Mac([1, 0, 0x5e, 0, 0, 1])),
        1 => any::<u8>().prop_map(|last| Mac([1, 0x80, 0xc2, 0, 0, last % 32])),
        1 => any::<[u8; 6]>().prop_map(Mac),
    ]
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![
        4 => Just(std::vec![8, 0]),
        2 => any_mac().prop_map(|mac| [&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1][..], &mac.0, &[0; 16]].concat()),
        1 => (0u16..30).prop_map(|vlan| frame::tag(vlan).to_vec()),
        1 => Just(std::vec![0x88, 0xa8]),
    ];
    let tags = prop::collection::vec(0u16..30, 0..3);
    (any_mac(), any_mac(), tags, kind, prop_oneof![0usize..100, 1480usize..1530]).prop_map(
        |(to, from, tags, kind, length)| {
            let tags: Vec<u8> = tags.into_iter().flat_map(frame::tag).collect();
            build(to, from, &[tags, kind, std::vec![0; length]].concat())
        },
    )
}

proptest! {
    /// Whatever is sent: what arrives stays in its network, comes from who it says, and is for
    /// whom it arrives at.
    #[test]
    fn no_frame_reaches_another_network_or_lies_about_its_source(
        sent in prop::collection::vec((prop::option::of(0usize..6), any_frame()), 1..50),
    ) {
        let mut switch = switch();
        for (port, frame) in sent {
            let (source, destination) = (Mac(*frame[6..].first_chunk().unwrap()), Mac(*frame.first_chunk().unwrap()));
            let result = match port {
                Some(port) => switch.from_port(port, &frame, 0),
                None => switch.from_uplink(&frame, 0),
            };
            let Ok(targets) = result else { continue };
            prop_assert_ne!((targets.ports, targets.uplink), (0, None));
            let tag = (frame[12..14] == [0x81, 0]).then(|| u16::from_be_bytes([frame[14], frame[15]]));
            let inner = if tag.is_some() { &frame[16..] } else { &frame[12..] };
            prop_assert!(!inner.starts_with(&[0x81, 0]) && !inner.starts_with(&[0x88, 0xa8]));
            let from = port.map(|port| switch.plan(port).unwrap());
            for port in (0..64).filter(|port| targets.ports >> port & 1 != 0) {
                let to = switch.plan(port).unwrap();
                prop_assert!(destination.is_group() || destination == to.mac);
                prop_assert!(source != to.mac, "heard itself");
                match from {
                    Some(from) => prop_assert_eq!((from.group, from.mac, targets.strip), (to.group, source, false)),
                    None => {
                        prop_assert_eq!(to.uplink, Some(tag.unwrap_or(0)));
                        let mut plans = (0..6).filter_map(|port| switch.plan(port));
                        let is_ours = plans.any(|plan| plan.group == to.group && plan.mac == source);
                        prop_assert!(!is_ours, "from outside with an address of ours");
                        prop_assert_eq!(targets.strip, tag.is_some());
                    }
                }
            }
            if let Some(vlan) = targets.uplink {
                let from = from.expect("nothing goes back out");
                prop_assert_eq!((from.uplink, from.mac, tag), (Some(vlan), source, None));
            }
        }
    }

    /// Any bytes at all.
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..80), port in 0usize..80) {
        let mut switch = switch();
        let _ = switch.from_port(port, &bytes, 0);
        let _ = switch.from_uplink(&bytes, 0);
    }
}
