// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Queues of event words, one for each priority of each vCPU.
//!
//! ```text
//!   control block   ready: bit q        head[q] ─▶ port ─▶ port ─▶ tail (known to us only)
//!   event word      PENDING MASKED LINKED BUSY      link to the next port
//! ```
//!
//! The guest takes ports from the head: it reads the link, clears LINKED with the link, handles the
//! port. We append: LINKED in the new word, its number as link in the tail's. The guest may take
//! the tail at the same moment: then it is not LINKED any more, and the new port is a new head.
//! All words are the guest's to write; one that breaks the rules loses its own events. No loop here
//! depends on what it writes: BUSY forbids it to change the word, and if it does so nevertheless we
//! give up after a few tries.

use core::sync::atomic::{AtomicBool, Ordering};

use spin::Once;
use spin::mutex::SpinMutex;
use spin::relax::RelaxStrategy;

use super::port::{Kind, Port};
use super::vcpu::VcpuSet;
use super::{Events, control};
use crate::abi::Errno;
use crate::abi::event::TWO_LEVEL_PORTS;
use crate::abi::event::fifo::{BUSY, LINK, LINKED, MASKED, PENDING, QUEUES, WORDS_PER_PAGE};
use crate::memory::Page;

/// Pages of event words: as many ports as the other scheme has.
const PAGES: usize = TWO_LEVEL_PORTS / WORDS_PER_PAGE;
/// While a word is LINKED the guest may set and clear MASKED, clear PENDING and clear LINKED: with
/// BUSY set, no more than these changes can come in our way.
const TRIES: usize = 4;
/// `ready` is the first word of a control block, the heads follow at 8.
const HEADS: usize = 8;

/// The queues' state that the guest does not see.
#[derive(Debug)]
pub(super) struct Fifo<P, R> {
    enabled: AtomicBool,
    pages: [Once<P>; PAGES],
    /// Held while a port is appended: guards `Port::queue` and `VcpuEvents::tails`.
    appending: SpinMutex<(), R>,
}

/// An event word.
struct Word<P> {
    page: P,
    at: usize,
}

impl<P: Page, R: RelaxStrategy> Fifo<P, R> {
    pub(super) const fn new() -> Self {
        Self { enabled: AtomicBool::new(false), pages: [const { Once::new() }; PAGES], appending: SpinMutex::new(()) }
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Acquire)
    }

    /// Tells whether this is the first time.
    pub(super) fn enable(&self) -> bool {
        !self.enabled.swap(true, Ordering::SeqCst)
    }

    /// Adds a page and returns which it is.
    pub(super) fn expand(&self, page: P, ports: usize) -> Result<usize, Errno> {
        if !self.is_enabled() {
            return Err(Errno::NoSystem);
        }
        let wanted = ports.div_ceil(WORDS_PER_PAGE);
        for (index, slot) in self.pages.iter().enumerate().take(wanted) {
            let mut mine = false;
            slot.call_once(|| {
                mine = true;
                page.clone()
            });
            if mine {
                return Ok(index);
            }
        }
        Err(Errno::NoSpace)
    }

    fn word(&self, port: u32) -> Option<Word<P>> {
        let page = self.pages.get(port as usize / WORDS_PER_PAGE)?.get()?;
        Some(Word { page: page.clone(), at: port as usize % WORDS_PER_PAGE * 4 })
    }

    /// See [`Events::raise`]; none: the guest does not use queues.
    pub(super) fn raise(&self, events: &Events<'_, P, R>, port: u32, entry: &Port) -> Option<VcpuSet> {
        if !self.is_enabled() {
            return None;
        }
        let word = match self.word(port) {
            Some(word) => word,
            None => {
                entry.update(control::latch);
                // If the page came meanwhile, whoever brought it may have passed this port.
                match self.word(port) {
                    Some(word) => word,
                    None => return Some(VcpuSet::NONE),
                }
            }
        };
        let was = word.page.set32(word.at, PENDING);
        if was & (MASKED | LINKED) != 0 {
            return Some(VcpuSet::NONE);
        }
        Some(self.append(events, port, entry, &word))
    }

    /// See [`Events::unmask`]; none: the guest does not use queues.
    pub(super) fn unmask(&self, events: &Events<'_, P, R>, port: u32, entry: &Port) -> Option<VcpuSet> {
        if !self.is_enabled() {
            return None;
        }
        let Some(word) = self.word(port) else { return Some(VcpuSet::NONE) };
        let was = word.page.clear32(word.at, MASKED);
        let news = was & PENDING != 0 && entry.load().kind != Kind::Free;
        Some(if news { self.append(events, port, entry, &word) } else { VcpuSet::NONE })
    }

    /// See [`Events::is_pending`]; none: the guest does not use queues.
    pub(super) fn is_pending(&self, port: u32, entry: &Port) -> Option<bool> {
        let word = self.is_enabled().then(|| self.word(port))?;
        Some(word.map_or_else(|| entry.load().latched, |word| word.page.load32(word.at) & PENDING != 0))
    }

    /// Forgets that a port is pending; false: the guest does not use queues.
    pub(super) fn clear(&self, port: u32) -> bool {
        if let Some(word) = self.word(port) {
            word.page.clear32(word.at, PENDING);
        }
        self.is_enabled()
    }

    /// Appends a port to its queue, unless it is in one.
    fn append(&self, events: &Events<'_, P, R>, port: u32, entry: &Port, word: &Word<P>) -> VcpuSet {
        let state = entry.load();
        let Ok(vcpu) = events.vcpu(state.vcpu.into()) else { return VcpuSet::NONE };
        let queue = usize::from(state.priority) % QUEUES;
        let (Some((control, at)), Some(tail)) = (vcpu.control.get(), vcpu.tails.get(queue)) else {
            // The vCPU has no queues yet. The event stays pending; it is seen when the port moves.
            return VcpuSet::NONE;
        };
        let this = u16::from(state.vcpu) * QUEUES as u16 + queue as u16 + 1;
        {
            let _guard = self.appending.lock();
            if word.page.set32(word.at, LINKED) & LINKED != 0 {
                return VcpuSet::NONE;
            }
            entry.queue.store(this, Ordering::Relaxed);
            let last = tail.swap(port, Ordering::Relaxed);
            // The last one may have been handled and gone to another queue since.
            let is_here =
                |last: &u32| *last != port && events.port(*last).is_ok_and(|p| p.queue.load(Ordering::Relaxed) == this);
            let linked =
                Some(last).filter(is_here).and_then(|last| self.word(last)).is_some_and(|last| last.link(port));
            if linked {
                return VcpuSet::NONE;
            }
            control.store32(at + HEADS + 4 * queue, port);
        }
        let ready = 1 << queue;
        if control.set32(*at, ready) & ready != 0 { VcpuSet::NONE } else { events.tell(state.vcpu) }
    }
}

impl<P: Page> Word<P> {
    /// Writes a link if the word is still in the queue, and tells whether it was.
    fn link(&self, port: u32) -> bool {
        let mut word = self.page.load32(self.at);
        if let Some(linked) = self.try_link(&mut word, port) {
            return linked;
        }
        self.page.set32(self.at, BUSY);
        word = self.page.load32(self.at);
        for _ in 0..TRIES {
            if let Some(linked) = self.try_link(&mut word, port) {
                if !linked {
                    self.page.clear32(self.at, BUSY);
                }
                return linked;
            }
        }
        // The guest does not keep to the rules: a new head serves it no worse than a lost one.
        self.page.clear32(self.at, BUSY);
        false
    }

    /// None: it changed, and is now `word`.
    fn try_link(&self, word: &mut u32, port: u32) -> Option<bool> {
        if *word & LINKED == 0 {
            return Some(false);
        }
        let new = *word & !(BUSY | LINK) | port & LINK;
        match self.page.exchange32(self.at, *word, new) {
            Ok(()) => Some(true),
            Err(now) => {
                *word = now;
                None
            }
        }
    }
}
