// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest with frames, grants, event channels and a store, and the frontend's end of a ring.

use super::disk::FakeDisk;
use super::port::FakePort;
use crate::abi::ring::{ENTRIES, REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD};
use crate::abi::shared::at;
use crate::devices::{Around, Devices};
use crate::events::{Events, Port, VcpuEvents};
use crate::grants::Grants;
use crate::memory::Page;
use crate::memory::fake::{FakeFrames, FakePage};
use crate::store::tests::client::Client;

/// Its frames: the table of grants is the first two of them.
pub(super) const FRAMES: usize = 96;
/// The first that is for the test to use.
pub(super) const FREE: u64 = 8;

pub(super) type Fakes = Devices<FakePage, FakeDisk, FakePort>;

/// All that is there before there are devices.
pub(super) struct House {
    pub(super) shared: FakePage,
    pub(super) frames: FakeFrames,
    pub(super) grants: Grants<FakePage>,
    ports: Vec<Port>,
    vcpus: Vec<VcpuEvents<FakePage>>,
}

impl House {
    pub(super) fn new() -> Self {
        let frames = FakeFrames::new(FRAMES);
        let grants = Grants::new(2, None);
        (0..2).for_each(|index| grants.place(index as u64, frames.0[index].clone()).unwrap());
        Self {
            shared: FakePage::default(),
            frames,
            grants,
            ports: (0..32).map(|_| Port::new()).collect(),
            vcpus: vec![VcpuEvents::new()],
        }
    }

    pub(super) fn events(&self) -> Events<'_, FakePage> {
        Events::new(self.shared.clone(), &self.ports, &self.vcpus)
    }

    /// Lends a frame.
    pub(super) fn lend(&self, reference: u32, frame: u64, read_only: bool) {
        let page = &self.frames.0[reference as usize / 512];
        page.store64(reference as usize % 512 * 8, 1 | u64::from(read_only) << 2 | frame << 32);
    }

    pub(super) fn page(&self, frame: u64) -> &FakePage {
        &self.frames.0[frame as usize]
    }
}

/// A guest with its devices.
pub(super) struct Guest<'a> {
    pub(super) house: &'a House,
    pub(super) events: Events<'a, FakePage>,
    pub(super) devices: Box<Fakes>,
    pub(super) store: Client,
}

impl<'a> Guest<'a> {
    /// One without devices.
    pub(super) fn new(house: &'a House) -> Self {
        let events = house.events();
        let store = Client::new();
        let mut devices = Box::new(Fakes::new());
        assert_eq!(devices.begin("test", 2, store.page.clone(), &events), Ok(1));
        Self { house, events, devices, store }
    }

    pub(super) fn serve(&mut self) {
        let around = Around { events: &self.events, frames: &self.house.frames, grants: &self.house.grants };
        for _ in 0..10 {
            let _ = self.devices.serve(&around);
            if !self.devices.is_marked() {
                return;
            }
        }
    }

    /// The link's event.
    pub(super) fn tell(&mut self) {
        self.devices.links_told(1);
        self.serve();
    }

    pub(super) fn write(&mut self, path: &str, value: &str) {
        let body = format!("{path}\0{value}");
        assert_eq!(self.store.ask(self.devices.store(), 11, 0, body.as_bytes()).0, 11, "{path}");
        self.devices.signalled(1);
        self.serve();
    }

    pub(super) fn read(&mut self, path: &str) -> String {
        let (kind, value) = self.store.ask(self.devices.store(), 2, 0, format!("{path}\0").as_bytes());
        assert_eq!(kind, 2, "{path}");
        String::from_utf8(value).unwrap()
    }

    /// Makes a port for the other side to connect to.
    pub(super) fn port(&self) -> u32 {
        self.events.alloc_unbound(0).unwrap()
    }

    /// Takes an event.
    pub(super) fn take(&self, port: u32) -> bool {
        self.house.shared.clear64(at::PENDING, 1 << port) & 1 << port != 0
    }
}

/// The frontend's end of a ring.
pub(super) struct Front {
    pub(super) page: FakePage,
    stride: usize,
    pub(super) entries: u32,
    pub(super) produced: u32,
    told: u32,
    pub(super) consumed: u32,
}

impl Front {
    pub(super) fn new(page: FakePage, stride: usize) -> Self {
        page.store32(REQ_EVENT, 1);
        page.store32(RSP_EVENT, 1);
        let entries = 1 << ((4096 - ENTRIES) / stride).ilog2();
        Self { page, stride, entries, produced: 0, told: 0, consumed: 0 }
    }

    fn place(&self, count: u32) -> usize {
        ENTRIES + (count % self.entries) as usize * self.stride
    }

    /// How many requests fit.
    pub(super) fn room(&self) -> u32 {
        self.entries - self.produced.wrapping_sub(self.consumed)
    }

    /// Writes a request, and does not yet tell.
    pub(super) fn put(&mut self, words: &[u32]) {
        assert!(self.room() > 0);
        let place = self.place(self.produced);
        words.iter().enumerate().for_each(|(word, value)| self.page.store32(place + 4 * word, *value));
        self.produced = self.produced.wrapping_add(1);
    }

    /// Tells of all requests. True: the other side wants to be signalled.
    pub(super) fn push(&mut self) -> bool {
        let old = core::mem::replace(&mut self.told, self.produced);
        self.page.store32(REQ_PROD, self.produced);
        let new = self.produced;
        new.wrapping_sub(self.page.load32(REQ_EVENT)) < new.wrapping_sub(old)
    }

    /// Takes all responses: three words of each. Asks for an event for the next one.
    pub(super) fn take(&mut self) -> Vec<[u32; 3]> {
        let mut taken = Vec::new();
        loop {
            let produced = self.page.load32(RSP_PROD);
            assert!(produced.wrapping_sub(self.consumed) <= self.told.wrapping_sub(self.consumed), "too many");
            while self.consumed != produced {
                let place = self.place(self.consumed);
                let third = if self.stride > 8 { self.page.load32(place + 8) } else { 0 };
                taken.push([self.page.load32(place), self.page.load32(place + 4), third]);
                self.consumed = self.consumed.wrapping_add(1);
            }
            self.page.store32(RSP_EVENT, self.consumed.wrapping_add(1));
            if self.page.load32(RSP_PROD) == self.consumed {
                return taken;
            }
        }
    }
}
