// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A disk of the host: bytes, and orders that are done when the test says so.

use std::collections::VecDeque;

use crate::devices::disk::{Command, Disk, Done, Geometry, Order, Outcome, Piece, Submitted};
use crate::memory::Page;

pub(super) struct FakeDisk {
    pub(super) data: Vec<u8>,
    pub(super) geometry: Option<Geometry>,
    /// Under way: number, order, data to write.
    pub(super) orders: Vec<(u16, Order, Vec<u8>)>,
    pub(super) done: VecDeque<(u16, Outcome, Vec<u8>)>,
    /// How many orders it takes.
    pub(super) limit: usize,
    /// All orders fail.
    pub(super) fails: bool,
    pub(super) flushes: usize,
}

pub(super) const SECTORS: u64 = 512;

impl FakeDisk {
    pub(super) fn new() -> Self {
        let geometry = Geometry {
            sectors: SECTORS,
            block: 512,
            physical: 4096,
            most: 128 << 10,
            read_only: false,
            flush: true,
            discard: true,
        };
        Self {
            data: (0..SECTORS * 512).map(|at| (at / 512 * 7 + at) as u8).collect(),
            geometry: Some(geometry),
            orders: Vec::new(),
            done: VecDeque::new(),
            limit: 8,
            fails: false,
            flushes: 0,
        }
    }

    /// Does one of the orders that are under way.
    pub(super) fn work(&mut self, which: usize) {
        if self.orders.is_empty() {
            return;
        }
        let (id, order, data) = self.orders.swap_remove(which % self.orders.len());
        let range = order.sector as usize * 512..(order.sector + order.sectors) as usize * 512;
        let mut read = Vec::new();
        match order.command {
            _ if self.fails => {}
            Command::Read => read = self.data[range].to_vec(),
            Command::Write => self.data[range].copy_from_slice(&data),
            Command::Discard => self.data[range].fill(0),
            Command::Flush => self.flushes += 1,
        }
        self.done.push_back((id, if self.fails { Outcome::Failed } else { Outcome::Okay }, read));
    }
}

impl Disk for FakeDisk {
    fn geometry(&mut self) -> Option<Geometry> {
        self.geometry
    }

    fn submit<P: Page>(&mut self, id: u16, order: &Order, data: impl Iterator<Item = Piece<P>>) -> Submitted {
        let geometry = self.geometry.unwrap();
        assert!(order.sector + order.sectors <= geometry.sectors, "{order:?}");
        assert!(order.command == Command::Flush || order.sectors > 0);
        assert!(!geometry.read_only || !matches!(order.command, Command::Write | Command::Discard));
        if self.orders.len() + self.done.len() >= self.limit {
            return Submitted::Full;
        }
        assert!(self.orders.iter().all(|(other, ..)| *other != id), "in use");
        assert!(self.done.iter().all(|(other, ..)| *other != id), "in use");
        let mut bytes = Vec::new();
        for Piece { page, at, bytes: count } in data {
            assert!(usize::from(at) + usize::from(count) <= 4096);
            let mut part = vec![0; count.into()];
            page.copy_out(at.into(), &mut part);
            bytes.extend(part);
        }
        if order.command == Command::Write {
            assert_eq!(bytes.len() as u64, order.sectors * 512);
        }
        self.orders.push((id, *order, bytes));
        Submitted::Taken
    }

    fn complete<P: Page, I: Iterator<Item = Piece<P>>>(&mut self, data: impl FnOnce(&Done) -> I) -> Option<Done> {
        let (id, outcome, read) = self.done.pop_front()?;
        let done = Done { id, outcome };
        let mut rest = read.as_slice();
        for Piece { page, at, bytes } in data(&done) {
            let (now, later) = rest.split_at(bytes.into());
            page.copy_in(at.into(), now);
            rest = later;
        }
        Some(done)
    }

    fn settle(&mut self) -> bool {
        self.done.is_empty()
    }
}
