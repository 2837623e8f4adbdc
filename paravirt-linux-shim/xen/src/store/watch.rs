// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Watches: who wants to know of changes, and the events that say so.

use heapless::{Deque, Vec};

use super::{Path, Refusal};

/// Watches that a guest has at most.
pub(super) const WATCHES: usize = 64;
/// Bytes of a token: a guest's own name for a watch.
const TOKEN: usize = 40;
/// Events that wait at most. Beyond that they are lost; a guest that takes its events never gets
/// there, because no request of its is looked at while one waits.
const EVENTS: usize = 128;

/// A place for a watch.
#[derive(Debug, Default)]
struct Watch {
    used: bool,
    path: Path,
    token: Vec<u8, TOKEN, u8>,
}

/// An event: what has changed, and for which watch.
#[derive(Debug)]
struct Event {
    watch: u8,
    path: Path,
}

#[derive(Debug)]
pub(super) struct Watches {
    watches: [Watch; WATCHES],
    events: Deque<Event, EVENTS>,
}

impl Watches {
    pub(super) const fn new() -> Self {
        const FREE: Watch = Watch { used: false, path: Path::new(), token: Vec::new() };
        Self { watches: [FREE; WATCHES], events: Deque::new() }
    }

    /// Begins to watch a path, which is told once at once.
    pub(super) fn add(&mut self, path: Path, token: &[u8]) -> Result<(), Refusal> {
        if self.find(&path, token).is_some() {
            return Err(Refusal::Exists);
        }
        let token = Vec::from_slice(token).map_err(|_| Refusal::NoSpace)?;
        let free = (0u8..).zip(&mut self.watches).find(|(_, place)| !place.used);
        let (watch, place) = free.ok_or(Refusal::NoSpace)?;
        *place = Watch { used: true, path: path.clone(), token };
        let _ = self.events.push_back(Event { watch, path });
        Ok(())
    }

    /// Ends that, and forgets its events.
    pub(super) fn remove(&mut self, path: &Path, token: &[u8]) -> Result<(), Refusal> {
        let number = self.find(path, token).ok_or(Refusal::NoEntry)?;
        if let Some(place) = self.watches.get_mut(usize::from(number)) {
            place.used = false;
        }
        for _ in 0..self.events.len() {
            if let Some(event) = self.events.pop_front().filter(|event| event.watch != number) {
                let _ = self.events.push_back(event);
            }
        }
        Ok(())
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.watches.iter_mut().for_each(|place| place.used = false);
        self.events.clear();
    }

    fn find(&self, path: &Path, token: &[u8]) -> Option<u8> {
        let is_it = |watch: &Watch| watch.used && watch.path.text() == path.text() && watch.token == token;
        (0u8..).zip(&self.watches).find(|(_, place)| is_it(place)).map(|(number, _)| number)
    }

    /// A node has changed, or is gone with all below.
    pub(super) fn fire(&mut self, path: &Path, gone: bool) {
        for (number, watch) in (0u8..).zip(&self.watches).filter(|(_, watch)| watch.used) {
            if path.is_within(watch.path.text()) {
                let _ = self.events.push_back(Event { watch: number, path: path.clone() });
            } else if gone && watch.path.is_within(path.text()) {
                let _ = self.events.push_back(Event { watch: number, path: watch.path.clone() });
            }
        }
    }

    /// The next event: the path as the watch calls it, and its token.
    pub(super) fn next(&mut self, tell: impl FnOnce(&[u8], &[u8])) {
        if let Some(event) = self.events.pop_front()
            && let Some(watch) = self.watches.get(usize::from(event.watch))
        {
            tell(event.path.as_called(watch.path.relative), &watch.token);
        }
    }

    /// Whether an event waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.events.is_empty()
    }
}
