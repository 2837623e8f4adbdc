// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest's end of the store, as `drivers/xen/xenbus/xenbus_comms.c` behaves: header and body with a
//! signal each, replies and events in pieces, as they come.

use std::string::String;
use std::vec::Vec;

use crate::abi::store::{RING, at};
use crate::memory::Page;
use crate::memory::fake::FakePage;
use crate::store::Store;

pub(crate) struct Client {
    pub(crate) page: FakePage,
    number: u32,
    asked: u32,
    taken: u32,
    inbox: Vec<u8>,
    events: Vec<(String, String)>,
    /// How often the store was signalled, and told to raise its event.
    pub(crate) signals: usize,
    pub(crate) raises: usize,
}

impl Client {
    pub(crate) fn new() -> Self {
        Self {
            page: FakePage::default(),
            number: 0,
            asked: 0,
            taken: 0,
            inbox: Vec::new(),
            events: Vec::new(),
            signals: 0,
            raises: 0,
        }
    }

    /// Signals, then takes what there is, until nothing comes any more.
    fn turn(&mut self, store: &mut Store) {
        loop {
            self.signals += 1;
            let raised = store.serve(&self.page);
            self.raises += usize::from(raised);
            let waiting = self.page.load32(at::REPLIES_PROD).wrapping_sub(self.taken);
            assert!(waiting as usize <= RING);
            assert!(waiting == 0 || raised, "news without an event");
            if waiting == 0 {
                break;
            }
            for _ in 0..waiting {
                self.inbox.push(self.page.load8(at::REPLIES + self.taken as usize % RING));
                self.taken = self.taken.wrapping_add(1);
            }
            self.page.store32(at::REPLIES_CONS, self.taken);
        }
    }

    fn put(&mut self, store: &mut Store, bytes: &[u8]) {
        for part in bytes.chunks(RING) {
            for byte in part {
                assert!((self.asked.wrapping_sub(self.page.load32(at::REQUESTS_CONS)) as usize) < RING, "stuck");
                self.page.store8(at::REQUESTS + self.asked as usize % RING, *byte);
                self.asked = self.asked.wrapping_add(1);
            }
            self.page.store32(at::REQUESTS_PROD, self.asked);
            self.turn(store);
        }
    }

    /// A request and its reply.
    pub(crate) fn ask(&mut self, store: &mut Store, kind: u32, transaction: u32, body: &[u8]) -> (u32, Vec<u8>) {
        self.number += 1;
        let header = [kind, self.number, transaction, body.len() as u32];
        self.put(store, &header.map(u32::to_ne_bytes).concat());
        self.put(store, body);
        let mut reply = None;
        while let Some((header, body)) = self.next() {
            match header {
                [15, 0, 0, _] => self.event(&body),
                [kind, number, its_transaction, _] => {
                    assert_eq!((number, its_transaction), (self.number, transaction));
                    assert!(reply.replace((kind, body)).is_none(), "two replies");
                }
            }
        }
        assert!(self.inbox.is_empty());
        reply.unwrap()
    }

    fn next(&mut self) -> Option<([u32; 4], Vec<u8>)> {
        let word = |at: usize| Some(u32::from_ne_bytes(self.inbox.get(at..at + 4)?.try_into().unwrap()));
        let header = [word(0)?, word(4)?, word(8)?, word(12)?];
        let end = 16 + header[3] as usize;
        let body = self.inbox.get(16..end)?.to_vec();
        self.inbox.drain(..end);
        Some((header, body))
    }

    fn event(&mut self, body: &[u8]) {
        let text = String::from_utf8_lossy(body);
        let text = text.strip_suffix('\0').unwrap();
        let (path, token) = text.split_once('\0').unwrap();
        self.events.push((path.into(), token.into()));
    }

    /// The events that have come.
    pub(crate) fn events(&mut self, store: &mut Store) -> Vec<(String, String)> {
        self.turn(store);
        while let Some((header, body)) = self.next() {
            assert_eq!(header[0], 15);
            self.event(&body);
        }
        core::mem::take(&mut self.events)
    }

    pub(crate) fn error(&self, name: &str) -> (u32, Vec<u8>) {
        (16, format!("{name}\0").into_bytes())
    }
}
