// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Random requests against a disk whose content a model knows.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::disk::{FakeDisk, SECTORS};
use super::guest::{FREE, Front, Guest, House};
use crate::memory::Page;

/// The ring's frame, and those of data: one for each segment of each request.
const RING: u64 = FREE;
const LISTS: u64 = FREE + 1;
const DATA: u64 = FREE + 2;
const DATA_FRAMES: u64 = 80;
/// References of the frames of data; the same for reading only are that much higher.
const REFERENCES: u32 = 16;
const READ_ONLY: u32 = 200;

#[derive(Clone, Debug)]
enum Step {
    /// A request: operation, first sector, segments as (first, last), indirect.
    Ask(u8, u64, Vec<(u8, u8)>, bool),
    /// Signals, if the other side wants it.
    Push,
    Work(usize),
    Told,
    Limit(usize),
    Fails(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let segment = (0u8..8, 0u8..8).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let segments = prop::collection::vec(segment, 1..14);
    prop_oneof![
        8 => (prop_oneof![4 => Just(0u8), 4 => Just(1), 1 => Just(3), 1 => Just(5)], 0u64..SECTORS, segments, any::<bool>())
            .prop_map(|(operation, sector, segments, indirect)| Step::Ask(operation, sector, segments, indirect)),
        4 => Just(Step::Push),
        6 => any::<usize>().prop_map(Step::Work),
        3 => Just(Step::Told),
        1 => (1usize..40).prop_map(Step::Limit),
        1 => prop::bool::weighted(0.2).prop_map(Step::Fails),
    ]
}

/// What the frontend knows of a request.
struct Asked {
    operation: u8,
    sector: u64,
    sectors: u64,
    /// Where its data are: frame, bytes.
    places: Vec<(u64, core::ops::Range<usize>)>,
}

struct Model<'a> {
    guest: Guest<'a>,
    front: Front,
    port: u32,
    asked: BTreeMap<u64, Asked>,
    next: u64,
    seed: u8,
    answers: usize,
}

impl Model<'_> {
    fn ask(&mut self, operation: u8, sector: u64, segments: &[(u8, u8)], indirect: bool) {
        let used = self.asked.values().map(|asked| asked.places.len() as u64).sum::<u64>();
        let moves = operation < 2;
        let indirect = indirect && moves;
        let limit = if indirect { 14 } else { 11 };
        let segments = if moves { &segments[..segments.len().min(limit)] } else { &[] };
        let count = segments.iter().map(|(first, last)| u64::from(last - first) + 1).sum::<u64>();
        let sectors = if operation == 5 { 3 } else { count };
        let range = sector..sector + sectors;
        let overlaps = |asked: &Asked| asked.sector < range.end && range.start < asked.sector + asked.sectors;
        // A list of segments is in a page of its own, of which there is one.
        let busy = indirect && self.asked.contains_key(&u64::MAX);
        if self.front.room() == 0
            || used + segments.len() as u64 > DATA_FRAMES
            || range.end > SECTORS
            || busy
            || self.asked.values().any(overlaps)
        {
            return;
        }
        let mut free = (0..DATA_FRAMES)
            .filter(|frame| !self.asked.values().any(|asked| asked.places.iter().any(|(used, _)| used == frame)));
        let places: Vec<_> = segments
            .iter()
            .map(|(first, last)| (free.next().unwrap(), usize::from(*first) * 512..usize::from(last + 1) * 512))
            .collect();
        drop(free);
        let id = if indirect { u64::MAX } else { self.next };
        self.next += 1;
        let read_only = if operation == 1 { READ_ONLY } else { 0 };
        let mut words = vec![0; 28];
        let entry = |index: usize| {
            let (first, last) = segments[index];
            [REFERENCES + places[index].0 as u32 + read_only, u32::from(first) | u32::from(last) << 8]
        };
        (words[2], words[3]) = (id as u32, (id >> 32) as u32);
        words[4] = sector as u32;
        if indirect {
            words[0] = 6 | u32::from(operation) << 8 | (segments.len() as u32) << 16;
            words[7] = 9;
            let list = self.guest.house.page(LISTS);
            for index in 0..segments.len() {
                let [reference, sectors] = entry(index);
                list.store32(8 * index, reference);
                list.store32(8 * index + 4, sectors);
            }
        } else {
            words[0] = u32::from(operation) | (segments.len() as u32) << 8;
            (0..segments.len()).for_each(|index| words[6 + 2 * index..8 + 2 * index].copy_from_slice(&entry(index)));
            if operation == 5 {
                words[6] = 3;
            }
        }
        if operation == 1 {
            for (frame, range) in &places {
                self.seed = self.seed.wrapping_add(1);
                let bytes: Vec<u8> = range.clone().map(|at| self.seed ^ (at / 3) as u8).collect();
                self.guest.house.page(DATA + frame).copy_in(range.start, &bytes);
            }
        }
        self.front.put(&words);
        self.asked.insert(id, Asked { operation, sector, sectors, places });
    }

    fn disk(&mut self) -> &mut FakeDisk {
        self.guest.devices.disks().next().unwrap()
    }

    fn push(&mut self) {
        if self.front.push() {
            self.guest.devices.signalled(16);
            self.guest.serve();
        }
        self.look();
    }

    /// Takes answers, if there was an event.
    fn look(&mut self) {
        if !self.guest.take(self.port) {
            return;
        }
        let answers = self.front.take();
        assert!(!answers.is_empty(), "an event for nothing");
        for [low, high, how] in answers {
            self.answers += 1;
            let asked = self.asked.remove(&(u64::from(low) | u64::from(high) << 32)).expect("was asked for");
            assert_eq!(how as u8, asked.operation, "the inner one");
            let status = (how >> 16) as i16;
            assert!(status == 0 || status == -1);
            if status == 0 && asked.operation < 2 {
                let mut data = Vec::new();
                for (frame, range) in asked.places {
                    let mut part = vec![0; range.len()];
                    self.guest.house.page(DATA + frame).copy_out(range.start, &mut part);
                    data.extend(part);
                }
                let at = asked.sector as usize * 512;
                // No other request has touched these meanwhile.
                assert!(self.disk().data[at..at + data.len()] == data, "sector {}", asked.sector);
            }
        }
    }
}

fn play(steps: Vec<Step>) {
    let house = House::new();
    house.lend(8, RING, false);
    house.lend(9, LISTS, true);
    for frame in 0..DATA_FRAMES {
        house.lend(REFERENCES + frame as u32, DATA + frame, false);
        house.lend(REFERENCES + frame as u32 + READ_ONLY, DATA + frame, true);
    }
    let mut guest = Guest::new(&house);
    guest.devices.add_disk("xvda", FakeDisk::new(), 1).unwrap();
    let port = guest.port();
    let front = Front::new(house.page(RING).clone(), 112);
    for (key, value) in [("ring-ref", "8"), ("event-channel", &port.to_string()), ("state", "3")] {
        guest.write(&format!("device/vbd/51712/{key}"), value);
    }
    let asked = BTreeMap::new();
    let mut model = Model { guest, front, port, asked, next: 1, seed: 0, answers: 0 };
    for step in steps {
        match step {
            Step::Ask(operation, sector, segments, indirect) => model.ask(operation, sector, &segments, indirect),
            Step::Push => model.push(),
            Step::Work(which) => model.disk().work(which),
            Step::Told => {
                model.guest.tell();
                model.look();
            }
            Step::Limit(limit) => model.disk().limit = limit,
            Step::Fails(fails) => model.disk().fails = fails,
        }
    }
    // Whoever waits is told: nothing is left in the end, and nobody has looked without an event.
    model.push();
    for _ in 0..200 {
        if model.disk().orders.is_empty() && model.disk().done.is_empty() {
            break;
        }
        model.disk().work(0);
        model.guest.tell();
        model.look();
    }
    assert!(model.asked.is_empty(), "{} are not answered", model.asked.len());
    assert_eq!(model.guest.devices.take_broken(), None);
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_disk_does_what_its_frontend_asks(steps in steps()) {
        play(steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30_000))]
    #[test]
    #[ignore = "a million requests"]
    fn a_disk_does_what_its_frontend_asks_a_million_times(steps in steps()) {
        play(steps);
    }
}

/// A guest with a connected disk, for one request after the other.
fn one_by_one(change: impl FnOnce(&mut FakeDisk), run: impl FnOnce(&House, &mut dyn FnMut(&[u32]) -> (u8, i16))) {
    let house = House::new();
    house.lend(8, RING, false);
    house.lend(9, LISTS, true);
    house.lend(10, DATA, false);
    house.lend(11, DATA, true);
    let mut guest = Guest::new(&house);
    let mut disk = FakeDisk::new();
    change(&mut disk);
    guest.devices.add_disk("xvda", disk, 1).unwrap();
    let port = guest.port();
    let mut front = Front::new(house.page(RING).clone(), 112);
    for (key, value) in [("ring-ref", "8"), ("event-channel", &port.to_string()), ("state", "3")] {
        guest.write(&format!("device/vbd/51712/{key}"), value);
    }
    run(&house, &mut |words| {
        let mut all = vec![0; 28];
        all[..words.len()].copy_from_slice(words);
        front.put(&all);
        assert!(front.push());
        guest.devices.signalled(16);
        guest.serve();
        guest.devices.disks().next().unwrap().work(0);
        guest.tell();
        assert!(guest.take(port));
        let answers = front.take();
        let [[2, 0, how]] = answers[..] else { panic!("{answers:?}") };
        (how as u8, (how >> 16) as i16)
    });
}

#[test]
fn requests_that_make_no_sense_have_errors() {
    let page = 7 << 8;
    one_by_one(
        |_| {},
        |house, ask| {
            // Operation and count, handle, id, sector, segments.
            assert_eq!(ask(&[0x100, 0, 2, 0, 0, 0, 10, page]), (0, 0));
            assert_eq!(ask(&[0x101, 0, 2, 0, 504, 0, 10, page]), (1, 0), "the last page");
            assert_eq!(ask(&[0x101, 0, 2, 0, 505, 0, 10, page]), (1, -1), "behind the end");
            assert_eq!(ask(&[0x100, 0, 2, 0, 0, 1, 10, page]), (0, -1), "far behind it");
            assert_eq!(ask(&[0x100, 0, 2, 0, u32::MAX, u32::MAX, 10, page]), (0, -1));
            assert_eq!(ask(&[0x100, 0, 2, 0, 0, 0, 11, page]), (0, -1), "lent for reading only");
            assert_eq!(ask(&[0x101, 0, 2, 0, 0, 0, 11, page]), (1, 0), "which suffices");
            assert_eq!(ask(&[0x100, 0, 2, 0, 0, 0, 12, page]), (0, -1), "not lent");
            assert_eq!(ask(&[0x100, 0, 2, 0, 0, 0, u32::MAX, page]), (0, -1));
            assert_eq!(ask(&[0x100, 0, 2, 0, 0, 0, 10, 8 << 8]), (0, -1), "past the page's end");
            assert_eq!(ask(&[0x100, 0, 2, 0, 0, 0, 10, 1]), (0, -1), "backwards");
            assert_eq!(ask(&[0xc00, 0, 2, 0, 0, 0, 10, page]), (0, -1), "twelve segments");
            assert_eq!(ask(&[0, 0, 2, 0]), (0, -1), "none");
            assert_eq!(ask(&[2, 0, 2, 0]), (2, -2), "barriers");
            assert_eq!(ask(&[77, 0, 2, 0]), (77, -2));
            assert_eq!(ask(&[3, 0, 2, 0, u32::MAX, u32::MAX]), (3, 0), "sectors of a flush");
            assert_eq!(ask(&[0x103, 0, 2, 0, 0, 0, 10, page]), (3, -1), "data of a flush");
            assert_eq!(ask(&[5, 0, 2, 0, 0, 0, 512, 0]), (5, 0));
            assert_eq!(ask(&[5, 0, 2, 0, 0, 0, 513, 0]), (5, -1));
            assert_eq!(ask(&[5, 0, 2, 0, 1, 0, u32::MAX, u32::MAX]), (5, -1));
            house.page(LISTS).store64(0, 10 | u64::from(page) << 32);
            assert_eq!(ask(&[0x1_0006, 0, 2, 0, 0, 0, 0, 9]), (0, 0));
            assert_eq!(ask(&[0x1_0106, 0, 2, 0, 0, 0, 0, 9]), (1, 0));
            assert_eq!(ask(&[0x21_0006, 0, 2, 0, 0, 0, 0, 9]), (0, -1), "33 segments");
            assert_eq!(ask(&[0x1_0006, 0, 2, 0, 0, 0, 0, 13]), (0, -1), "a list that is not lent");
            assert_eq!(ask(&[0x1_0306, 0, 2, 0, 0, 0, 0, 9]), (3, -1), "an indirect flush");
            assert_eq!(ask(&[0x1_0606, 0, 2, 0, 0, 0, 0, 9]), (6, -1));
        },
    );
}

#[test]
fn what_a_disk_does_not_do_is_said() {
    let page = 7 << 8;
    one_by_one(
        |disk| {
            let geometry = disk.geometry.as_mut().unwrap();
            (geometry.read_only, geometry.flush, geometry.discard, geometry.block) = (true, false, false, 4096);
        },
        |_, ask| {
            assert_eq!(ask(&[0x100, 0, 2, 0, 8, 0, 10, page]), (0, 0));
            assert_eq!(ask(&[0x101, 0, 2, 0, 8, 0, 10, page]), (1, -1), "read-only");
            assert_eq!(ask(&[0x100, 0, 2, 0, 1, 0, 10, page]), (0, -1), "not a block");
            assert_eq!(ask(&[0x100, 0, 2, 0, 8, 0, 10, 6 << 8]), (0, -1), "a part of one");
            assert_eq!(ask(&[3, 0, 2, 0]), (3, -2));
            assert_eq!(ask(&[5, 0, 2, 0, 0, 0, 8, 0]), (5, -2));
        },
    );
}

#[test]
fn what_is_under_way_when_the_frontend_leaves_lands_nowhere() {
    let house = House::new();
    house.lend(8, RING, false);
    house.lend(10, DATA, false);
    let mut guest = Guest::new(&house);
    guest.devices.add_disk("xvda", FakeDisk::new(), 1).unwrap();
    let connect = |guest: &mut Guest<'_>| {
        let port = guest.port();
        (0..512).for_each(|word| house.page(RING).store64(8 * word, 0));
        let front = Front::new(house.page(RING).clone(), 112);
        for (key, value) in [("ring-ref", "8"), ("event-channel", &port.to_string()), ("state", "3")] {
            guest.write(&format!("device/vbd/51712/{key}"), value);
        }
        (front, port)
    };
    let (mut front, _) = connect(&mut guest);
    let mut request = vec![0x100, 0, 2, 0, 0, 0, 10, 7 << 8];
    request.resize(28, 0);
    for _ in 0..8 {
        front.put(&request);
    }
    front.push();
    guest.devices.signalled(16);
    guest.serve();
    assert_eq!(guest.devices.disks().next().unwrap().orders.len(), 8);
    guest.write("device/vbd/51712/state", "6");
    guest.write("device/vbd/51712/state", "1");
    let (mut front, port) = connect(&mut guest);
    front.put(&request);
    front.push();
    guest.devices.signalled(16);
    guest.serve();
    house.page(DATA).store64(0, 0x1234);
    (0..8).for_each(|_| guest.devices.disks().next().unwrap().work(0));
    guest.tell();
    assert_eq!(house.page(DATA).load64(0), 0x1234, "nobody waits for that any more");
    assert!(!guest.take(port));
    guest.devices.disks().next().unwrap().work(0);
    guest.tell();
    assert!(guest.take(port));
    assert_eq!(front.take().len(), 1);
    assert_ne!(house.page(DATA).load64(0), 0x1234);
}
