// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest's side of event channels: it takes events as Linux does.

use crate::abi::event::fifo::{LINK, LINKED, MASKED, PENDING, WORDS_PER_PAGE};
use crate::abi::shared::at;
use crate::events::{Events, Port, VcpuEvents};
use crate::memory::Page;
use crate::memory::fake::FakePage;

/// The memory of all that `Events` borrows.
pub(in crate::events) struct House {
    pub(super) shared: FakePage,
    ports: Vec<Port>,
    vcpus: Vec<VcpuEvents<FakePage>>,
}

impl House {
    pub(in crate::events) fn new(vcpus: usize, ports: usize) -> Self {
        Self {
            shared: FakePage::default(),
            ports: (0..ports).map(|_| Port::new()).collect(),
            vcpus: (0..vcpus).map(|_| VcpuEvents::new()).collect(),
        }
    }

    pub(in crate::events) fn events(&self) -> Events<'_, FakePage> {
        Events::new(self.shared.clone(), &self.ports, &self.vcpus)
    }
}

/// The pages of a guest that uses queues.
pub(super) struct Queues {
    pub(super) control: Vec<FakePage>,
    pub(super) words: Vec<FakePage>,
}

impl Queues {
    /// Goes over to queues, with all event words masked or not.
    pub(super) fn begin(events: &Events<'_, FakePage>, vcpus: u32, pages: usize) -> Self {
        let control: Vec<_> = (0..vcpus).map(|_| FakePage::default()).collect();
        let words: Vec<_> = (0..pages).map(|_| FakePage::default()).collect();
        for (vcpu, page) in (0..).zip(&control) {
            events.init_control(vcpu, page.clone(), 0).unwrap();
        }
        for page in &words {
            events.expand_array(page.clone()).unwrap();
        }
        Self { control, words }
    }

    fn word(&self, port: u32) -> (&FakePage, usize) {
        let port = port as usize;
        (&self.words[port / WORDS_PER_PAGE], port % WORDS_PER_PAGE * 4)
    }

    pub(super) fn mask(&self, port: u32) {
        let (page, at) = self.word(port);
        page.set32(at, MASKED);
    }

    /// Takes all that is queued for a vCPU.
    pub(super) fn take(&self, shared: &FakePage, vcpu: u32) -> Vec<u32> {
        let control = &self.control[vcpu as usize];
        let mut taken = Vec::new();
        shared.store8(vcpu as usize * 64 + at::UPCALL_PENDING, 0);
        let ready = control.clear32(0, u32::MAX);
        for queue in (0..16).filter(|queue| ready & 1 << queue != 0) {
            let mut port = control.load32(8 + 4 * queue);
            while port != 0 {
                let (page, at) = self.word(port);
                let link = page.clear32(at, LINKED | LINK) & LINK;
                let word = page.load32(at);
                if word & PENDING != 0 && word & MASKED == 0 {
                    page.clear32(at, PENDING);
                    taken.push(port);
                }
                port = link;
            }
        }
        taken
    }
}

/// Takes all that is pending in the bitmaps for a vCPU; `mine` tells which ports are its own.
pub(super) fn take(shared: &FakePage, vcpu: u32, mine: impl Fn(u32) -> bool) -> Vec<u32> {
    let info = vcpu as usize * 64;
    let mut taken = Vec::new();
    shared.store8(info + at::UPCALL_PENDING, 0);
    let selector = shared.clear64(info + at::PENDING_SEL, u64::MAX);
    for word in (0..64).filter(|word| selector & 1 << word != 0) {
        let pending = shared.load64(at::PENDING + 8 * word) & !shared.load64(at::MASK + 8 * word);
        for bit in (0..64).filter(|bit| pending & 1 << bit != 0) {
            let port = word as u32 * 64 + bit;
            if mine(port) {
                shared.clear64(at::PENDING + 8 * word, 1 << bit);
                taken.push(port);
            }
        }
    }
    taken
}
