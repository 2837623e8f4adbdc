// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Packets both ways: cut, summed and in order, whatever room there is.

use proptest::prelude::*;

use super::guest::{FREE, Front, Guest, House};
use super::port::FakePort;
use crate::memory::Page;

const TX: u64 = FREE;
const RX: u64 = FREE + 1;
/// Pages of packets to send, and of buffers: one for each entry that is in use.
const SEND: u64 = FREE + 2;
const SEND_FRAMES: u32 = 40;
const BUFFERS: u64 = SEND + SEND_FRAMES as u64;
const BUFFER_FRAMES: u32 = 20;
/// The reference of a frame.
const REFERENCE: u32 = 16;

/// A guest with a connected port.
struct Model<'a> {
    guest: Guest<'a>,
    tx: Front,
    rx: Front,
    port: u32,
    /// Entries that are to be answered: id, status; and the frames that are in use.
    expected: Vec<(u16, i16)>,
    used: Vec<u64>,
    answered: usize,
}

impl<'a> Model<'a> {
    fn new(house: &'a House) -> Self {
        for frame in 0..80 {
            house.lend(REFERENCE + frame, FREE + u64::from(frame), false);
        }
        let mut guest = Guest::new(house);
        guest.devices.add_port("eth0", [2, 0, 0, 0, 0, 1], FakePort::default(), 1).unwrap();
        let port = guest.port();
        let (tx, rx) = (Front::new(house.page(TX).clone(), 12), Front::new(house.page(RX).clone(), 8));
        let keys = [("tx-ring-ref", "16"), ("rx-ring-ref", "17"), ("event-channel", &port.to_string()), ("state", "4")];
        for (key, value) in keys {
            guest.write(&format!("device/vif/0/{key}"), value);
        }
        Self { guest, tx, rx, port, expected: Vec::new(), used: Vec::new(), answered: 0 }
    }

    fn link(&mut self) -> &mut FakePort {
        self.guest.devices.ports().next().unwrap()
    }

    /// Puts a packet into the ring: in parts of these sizes at these offsets, the rest in pages.
    fn put(&mut self, packet: &[u8], splits: &[(u16, u16)], flags: u16, cut: Option<(u16, u8)>) -> bool {
        let mut parts = Vec::new();
        let mut rest = packet;
        let mut splits = splits.iter();
        while !rest.is_empty() {
            let (at, size) = splits.next().copied().unwrap_or((0, 4096));
            let size = rest.len().min(size.max(1).into()).min(4096 - usize::from(at));
            let (now, later) = rest.split_at(size);
            parts.push((at, now));
            rest = later;
        }
        let entries = parts.len() + usize::from(cut.is_some());
        let mut free: Vec<u64> = (SEND..BUFFERS).filter(|frame| !self.used.contains(frame)).collect();
        if parts.len() > 18 || (self.tx.room() as usize) < entries || free.len() < parts.len() {
            return false;
        }
        let count = parts.len();
        for (index, (at, bytes)) in parts.iter().enumerate() {
            let frame = free.pop().unwrap();
            self.used.push(frame);
            self.guest.house.page(frame).copy_in((*at).into(), bytes);
            let id = self.tx.produced as u16;
            let more = if index + 1 < count { 4 } else { 0 };
            let (flags, size) = match index {
                0 => (flags | more | if cut.is_some() { 8 } else { 0 }, packet.len()),
                _ => (more, bytes.len()),
            };
            let reference = REFERENCE + (frame - FREE) as u32;
            self.tx.put(&[reference, u32::from(*at) | u32::from(flags) << 16, u32::from(id) | (size as u32) << 16]);
            self.expected.push((id, 0));
            if let (0, Some((size, kind))) = (index, cut) {
                self.tx.put(&[1 | u32::from(size) << 16, kind.into(), 0]);
                self.expected.push((0, 1));
            }
        }
        true
    }

    fn push(&mut self) {
        if self.tx.push() | self.rx.push() {
            self.guest.devices.signalled(32);
            self.guest.serve();
        }
    }

    /// Takes answers of the ring to the network, if there was an event.
    fn answers(&mut self) -> Vec<(u16, i16)> {
        self.tx.take().iter().map(|[word, ..]| (*word as u16, (word >> 16) as i16)).collect()
    }

    fn look(&mut self) -> Vec<[u32; 3]> {
        if !self.guest.take(self.port) {
            return Vec::new();
        }
        for (id, status) in self.answers() {
            let (expected, how) = self.expected[self.answered];
            assert_eq!(status, how);
            assert!(status == 1 || id == expected, "in the order of the ring");
            self.answered += 1;
        }
        if self.answered == self.expected.len() {
            self.used.clear();
        }
        self.rx.take()
    }

    /// Gives a buffer.
    fn buffer(&mut self) {
        if self.rx.produced.wrapping_sub(self.rx.consumed) < BUFFER_FRAMES {
            let number = self.rx.produced % BUFFER_FRAMES;
            self.rx.put(&[self.rx.produced & 0xff, REFERENCE + (BUFFERS - FREE) as u32 + number]);
        }
    }
}

/// Word by word, as RFC 1071 says.
fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)));
    words.fold(0, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    })
}

/// A TCP packet, its checksum left open: the sum of the pseudo header.
fn packet(sequence: u32, flags: u8, options: usize, data: &[u8], v6: bool) -> Vec<u8> {
    let mut bytes = vec![0x52, 0x54, 0, 1, 2, 3, 2, 0, 0, 0, 0, 1];
    let transport = 20 + 4 * options + data.len();
    if v6 {
        bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        bytes.extend(((transport.min(65535)) as u16).to_be_bytes());
        bytes.extend([6, 64]);
        bytes.extend([0xfe; 32]);
    } else {
        bytes.extend([8, 0, 0x45, 0]);
        bytes.extend(((transport + 20).min(65535) as u16).to_be_bytes());
        bytes.extend([0x12, 0xff, 0x40, 0, 64, 6, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2]);
        let check = !(sum(&bytes[14..34]) as u16);
        bytes[24..26].copy_from_slice(&check.to_be_bytes());
    }
    bytes.extend([0x1f, 0x90, 0, 80]);
    bytes.extend(sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 1, ((5 + options) as u8) << 4, flags, 1, 0, 0xab, 0xcd, 0, 0]);
    bytes.extend(vec![1; 4 * options]);
    bytes.extend(data);
    bytes
}

/// Checks a frame as a receiver does, and gives sequence number, flags, and data.
fn check(frame: &[u8]) -> (u32, u8, &[u8]) {
    let v6 = frame[12] == 0x86;
    let (transport, pseudo) = if v6 {
        let length = usize::from(u16::from_be_bytes([frame[18], frame[19]]));
        assert_eq!(length, frame.len() - 54);
        (54, sum(&frame[22..54]))
    } else {
        assert_eq!(sum(&frame[14..34]), 0xffff, "header of IP");
        assert_eq!(usize::from(u16::from_be_bytes([frame[16], frame[17]])), frame.len() - 14);
        (34, sum(&frame[26..34]))
    };
    let length = (frame.len() - transport) as u32;
    let total = pseudo + 6 + length + sum(&frame[transport..]);
    assert_eq!((total & 0xffff) + (total >> 16), 0xffff, "checksum of TCP");
    let sequence = u32::from_be_bytes(frame[transport + 4..transport + 8].try_into().unwrap());
    let data = transport + usize::from(frame[transport + 12] >> 4) * 4;
    (sequence, frame[transport + 13], &frame[data..])
}

#[derive(Clone, Debug)]
enum Step {
    /// A packet of a TCP connection: bytes, segment size if it is to be cut, options, splits.
    Send(usize, Option<u16>, usize, Vec<(u16, u16)>, bool),
    Push,
    Room(usize),
    Arrive(usize),
    Buffers(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let splits = prop::collection::vec((0u16..4095, 1u16..3000), 0..6);
    let size = prop_oneof![1usize..1400, 1usize..30_000];
    prop_oneof![
        4 => (size, prop::option::weighted(0.8, 200u16..1448), 0usize..8, splits, any::<bool>())
            .prop_map(|(bytes, cut, options, splits, v6)| Step::Send(bytes, cut, options, splits, v6)),
        4 => Just(Step::Push),
        3 => (0usize..30).prop_map(Step::Room),
        4 => (14usize..1514).prop_map(Step::Arrive),
        2 => (0usize..20).prop_map(Step::Buffers),
    ]
}

fn play(steps: Vec<Step>) {
    let house = House::new();
    let mut model = Model::new(&house);
    let (mut stream, mut received) = (Vec::new(), Vec::new());
    let (mut arrived, mut handed) = (0u32, 0u32);
    let mut sizes = std::collections::VecDeque::new();
    let take = |model: &mut Model<'_>, handed: &mut u32, sizes: &mut std::collections::VecDeque<usize>| {
        for [first, second, _] in model.look() {
            let (id, length) = (first as u16, (second >> 16) as i16);
            assert_eq!(u32::from(id), *handed & 0xff, "in the order of the ring");
            assert_eq!(length as usize, sizes.pop_front().unwrap());
            let mut bytes = vec![0; length as usize];
            let frame = BUFFERS + u64::from(*handed % BUFFER_FRAMES);
            house.page(frame).copy_out((first >> 16) as usize, &mut bytes);
            assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == (at as u32 + *handed * 5) as u8));
            *handed += 1;
        }
    };
    for step in steps {
        match step {
            Step::Send(bytes, cut, options, splits, v6) => {
                let bytes = if cut.is_some() { bytes } else { bytes.min(1400) };
                let data: Vec<u8> = (0..bytes).map(|at| (((stream.len() + at) * 31) >> 3) as u8).collect();
                let whole = packet(stream.len() as u32, 0x18, options, &data, v6);
                if model.put(&whole, &splits, 3, cut.map(|size| (size, 1 + u8::from(v6)))) {
                    stream.extend(data);
                }
            }
            Step::Push => model.push(),
            Step::Room(room) => {
                model.link().room = room;
                model.guest.tell();
            }
            Step::Arrive(length) => {
                let frame = (0..length).map(|at| (at as u32 + arrived * 5) as u8).collect();
                arrived += 1;
                sizes.push_back(length);
                model.link().waiting.push_back(frame);
                model.guest.tell();
            }
            Step::Buffers(count) => {
                (0..count).for_each(|_| model.buffer());
                model.push();
            }
        }
        take(&mut model, &mut handed, &mut sizes);
        received.append(&mut model.link().sent);
    }
    model.push();
    for _ in 0..1000 {
        model.link().room = 20;
        model.guest.tell();
        (0..BUFFER_FRAMES).for_each(|_| model.buffer());
        model.push();
        take(&mut model, &mut handed, &mut sizes);
        received.append(&mut model.link().sent);
        if model.answered == model.expected.len() && handed == arrived {
            break;
        }
    }
    assert_eq!((model.answered, handed), (model.expected.len(), arrived), "somebody waits for ever");
    let mut whole: Vec<u8> = Vec::new();
    for frame in &received {
        let (sequence, _, data) = check(frame);
        assert_eq!(sequence as usize, whole.len(), "in order, and nothing is missing");
        whole.extend(data);
    }
    assert!(whole == stream);
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn packets_arrive_whole_and_in_order(steps in steps()) {
        play(steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40_000))]
    #[test]
    #[ignore = "a million packets"]
    fn packets_arrive_whole_and_in_order_a_million_times(steps in steps()) {
        play(steps);
    }
}

#[test]
fn only_the_last_segment_ends_the_stream() {
    let house = House::new();
    let mut model = Model::new(&house);
    model.link().room = 10;
    // FIN, PSH, ACK, CWR.
    assert!(model.put(&packet(7, 0x99, 0, &[5; 3000], false), &[(100, 60)], 3, Some((1460, 1))));
    model.push();
    let sent = core::mem::take(&mut model.link().sent);
    let seen: Vec<_> = sent.iter().map(|frame| check(frame)).map(|(at, flags, data)| (at, flags, data.len())).collect();
    assert_eq!(seen, [(7, 0x90, 1460), (1467, 0x10, 1460), (2927, 0x19, 80)]);
    let numbers: Vec<_> = sent.iter().map(|frame| u16::from_be_bytes([frame[18], frame[19]])).collect();
    assert_eq!(numbers, [0x12ff, 0x1300, 0x1301]);
}

#[test]
fn checksums_of_udp_are_completed_and_those_of_others_left() {
    let house = House::new();
    let mut model = Model::new(&house);
    model.link().room = 10;
    let mut udp = packet(0, 0, 0, &[], false);
    udp[23] = 17;
    udp.truncate(34);
    udp.extend([0, 53, 0, 53, 0, 12, 0x77, 0x77, 1, 2, 3, 4]);
    udp[16..18].copy_from_slice(&32u16.to_be_bytes());
    assert!(model.put(&udp, &[], 1, None));
    let arp = vec![0xff; 42];
    assert!(model.put(&arp, &[(4090, 4), (7, 10)], 0, None));
    model.push();
    let sent = core::mem::take(&mut model.link().sent);
    let total = sum(&sent[0][26..34]) + 17 + 12 + sum(&sent[0][34..]);
    assert_eq!((total & 0xffff) + (total >> 16), 0xffff);
    assert_eq!(sent[1], arp);
}

#[test]
fn checksums_that_a_neighbour_has_made_are_not_looked_at_again() {
    let house = House::new();
    let mut model = Model::new(&house);
    model.link().room = 10;
    assert!(model.put(&packet(0, 0, 0, &[1], false), &[], 3, None));
    model.push();
    assert_eq!(model.link().flags, 1);
    assert!(model.put(&[0xff; 42], &[], 0, None));
    model.push();
    assert_eq!(model.link().flags, 0);
    for (said, told) in [(0, 0), (1, 1), (2, 0)] {
        model.link().flags = said;
        model.link().waiting.push_back(vec![0; 60]);
        model.buffer();
        model.push();
        model.guest.tell();
        let [[first, second, _]] = model.look()[..] else { panic!("one frame") };
        assert_eq!((first >> 16, second), (0, 60 << 16 | told));
    }
}

#[test]
fn packets_that_make_no_sense_have_errors() {
    let house = House::new();
    let mut model = Model::new(&house);
    model.link().room = 50;
    let good = REFERENCE + (SEND - FREE) as u32;
    let mut ask = |entries: &[[u32; 3]]| {
        entries.iter().for_each(|words| model.tx.put(words));
        model.push();
        let broken = model.guest.devices.take_broken();
        let sent = core::mem::take(&mut model.link().sent).len();
        assert!(broken.is_none());
        model.guest.take(model.port);
        (model.answers().iter().map(|(_, status)| *status).collect::<Vec<_>>(), sent)
    };
    let size = |bytes: u32| bytes << 16 | 5;
    assert_eq!(ask(&[[good, 0, size(60)]]), (vec![0], 1));
    assert_eq!(ask(&[[3, 0, size(60)]]), (vec![-1], 0), "not lent");
    assert_eq!(ask(&[[good, 4090, size(60)]]), (vec![-1], 0), "past the page's end");
    assert_eq!(ask(&[[good, 0, size(3000)]]), (vec![-1], 0), "no frame");
    assert_eq!(ask(&[[good, 4 << 16, size(60)], [good, 0, size(60)]]), (vec![-1, -1], 0), "parts of more than all");
    assert_eq!(ask(&[[good, 4 << 16, size(60)], [good, 0, size(20)]]), (vec![0, 0], 1));
    assert_eq!(ask(&[[good, 1 << 16, size(60)]]), (vec![-1], 0), "the checksum of what?");
    assert_eq!(ask(&[[good, 8 << 16, size(60)], [1, 1, 0]]), (vec![-1, 1], 0), "cut into nothing");
    assert_eq!(ask(&[[good, 8 << 16, size(60)], [1 | 100 << 16, 1, 0]]), (vec![-1, 1], 0), "cut what?");
    assert_eq!(ask(&[[good, 8 << 16, size(60)], [4, 0, 0]]), (vec![-1, 1], 0), "an extra that nobody asked for");
    assert_eq!(ask(&[[good, 0, size(60)]]), (vec![0], 1));
}

#[test]
fn a_packet_that_does_not_end_breaks_its_ring() {
    for entries in [1, 19, 30] {
        let house = House::new();
        let mut model = Model::new(&house);
        model.link().room = 50;
        let good = REFERENCE + (SEND - FREE) as u32;
        (0..entries).for_each(|_| model.tx.put(&[good, 4 << 16, 60 << 16]));
        model.push();
        let broken = model.guest.devices.take_broken().unwrap();
        assert_eq!((broken.class, broken.number), ("vif", 0));
        assert_eq!(model.guest.read("/local/domain/0/backend/vif/1/0/state"), "5");
    }
}
