// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A device's life: what both of its ends say in the store of how far they are (`io/xenbus.h`).
//!
//! ```text
//!   frontend   1 ───▶ 3 or 4 ─────────▶ 4 ───▶ 5 ───▶ 6 ───▶ 1 …     driver gone: 4 or 5 ─▶ 6
//!   backend    2 ──────────── keys ─▶ 4 ───▶ 5 ───▶ 6 ───▶ 2 …
//! ```
//! The backend follows: it answers each state of the frontend with one of its own. It does not
//! connect before it knows what the device is, and looks at the frontend's keys only then.

use core::fmt::Write;

use heapless::String;
use spin::relax::RelaxStrategy;

use super::block::{SEGMENTS_MAX, Served};
use super::disk::Geometry;
use super::{Around, Broken, GUEST, HOME};
use crate::abi::PAGE;
use crate::abi::block::INFO_READ_ONLY;
use crate::events::{Events, VcpuSet};
use crate::grants::Use;
use crate::memory::{Frames, Page};
use crate::store::{PATH, Refusal, SERVER, Store};

/// How far an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It waits for the other end's keys.
    InitWait = 2,
    /// All is there.
    Connected = 4,
    /// It is about to leave.
    Closing = 5,
    /// It has left.
    Closed = 6,
}

/// The frontend's states, as numbers.
mod front {
    pub(super) const INITIALISING: u32 = 1;
    pub(super) const INIT_WAIT: u32 = 2;
    pub(super) const INITIALISED: u32 = 3;
    pub(super) const CONNECTED: u32 = 4;
    pub(super) const CLOSING: u32 = 5;
}

/// A name in the store.
type Key = String<PATH>;

/// What devices of all classes have.
#[derive(Debug)]
pub(super) struct Life {
    class: &'static str,
    number: u32,
    state: State,
    /// The shim's end of its event channel, and the guest's port.
    end: u32,
    port: u32,
    /// The events of its link.
    told: u64,
}

impl Life {
    pub(super) const fn new(class: &'static str, number: u32, end: u32, told: u64) -> Self {
        Self { class, number, state: State::InitWait, end, port: 0, told }
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    pub(super) const fn told(&self) -> u64 {
        self.told
    }

    /// Its bit among those of the shim's ends.
    pub(super) const fn mark(&self) -> u64 {
        1u64.wrapping_shl(self.end)
    }

    fn front(&self, key: &str) -> Key {
        let mut path = Key::new();
        // The longest of these is shorter than a path may be.
        let _ = write!(path, "{HOME}/device/{}/{}/{key}", self.class, self.number);
        path
    }

    fn back(&self, key: &str) -> Key {
        let mut path = Key::new();
        let slash = if key.is_empty() { "" } else { "/" };
        let _ = write!(path, "/local/domain/{SERVER}/backend/{}/{GUEST}/{}{slash}{key}", self.class, self.number);
        path
    }

    fn put_front(&self, store: &mut Store, key: &str, value: &str) -> Result<(), Refusal> {
        store.put(&self.front(key), value.as_bytes())
    }

    fn put_back(&self, store: &mut Store, key: &str, value: u64) -> Result<(), Refusal> {
        let mut text: String<20> = String::new();
        let _ = write!(text, "{value}");
        store.put(&self.back(key), text.as_bytes())
    }

    /// Writes what both ends have at the beginning.
    fn present(&self, store: &mut Store) -> Result<(), Refusal> {
        self.put_front(store, "backend", &self.back(""))?;
        self.put_front(store, "backend-id", "0")?;
        self.put_front(store, "state", "1")?;
        self.put_back(store, "frontend-id", GUEST.into())?;
        store.put(&self.back("frontend"), self.front("").trim_end_matches('/').as_bytes())?;
        self.put_back(store, "online", 1)?;
        self.put_back(store, "state", self.state as u64)
    }

    /// Writes what there is to know of a disk before it is connected.
    pub(super) fn present_disk(&self, store: &mut Store) -> Result<(), Refusal> {
        let mut number: String<10> = String::new();
        let _ = write!(number, "{}", self.number);
        self.put_front(store, "virtual-device", &number)?;
        self.put_front(store, "device-type", "disk")?;
        self.present(store)
    }

    /// Writes what there is to know of a network port.
    pub(super) fn present_port(&self, store: &mut Store, mac: [u8; 6]) -> Result<(), Refusal> {
        let mut text: String<17> = String::new();
        for (place, byte) in mac.iter().enumerate() {
            let _ = write!(text, "{}{byte:02x}", if place == 0 { "" } else { ":" });
        }
        self.put_front(store, "mac", &text)?;
        let mut number: String<10> = String::new();
        let _ = write!(number, "{}", self.number);
        self.put_front(store, "handle", &number)?;
        let keys =
            ["feature-rx-copy", "feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6", "feature-ipv6-csum-offload"];
        keys.iter().try_for_each(|key| self.put_back(store, key, 1))?;
        self.present(store)
    }

    /// Writes what a disk is.
    pub(super) fn tell_geometry(&self, store: &mut Store, geometry: &Geometry) {
        let info = if geometry.read_only { INFO_READ_ONLY } else { 0 };
        let [block, physical] = [geometry.block, geometry.physical].map(|bytes| u64::from(bytes.max(512)));
        let segments = (u64::from(geometry.most) / PAGE).min(SEGMENTS_MAX as u64);
        let keys = [
            ("sectors", geometry.sectors),
            ("info", info.into()),
            ("sector-size", block),
            ("physical-sector-size", physical),
            ("feature-flush-cache", geometry.flush.into()),
            ("feature-discard", geometry.discard.into()),
            ("discard-granularity", physical),
            ("discard-alignment", 0),
            ("feature-persistent", 0),
            ("feature-max-indirect-segments", segments),
        ];
        // A store that the guest has filled up: then it does not learn what it has.
        let _ = keys.iter().try_for_each(|(key, value)| self.put_back(store, key, *value));
    }

    /// Whether it waits to be connected, and perhaps only for what its link tells. (What the frontend
    /// writes is looked at when it has written: not at each request.)
    pub(super) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::InitWait)
    }

    /// What the frontend's state asks this end to become. `None`: it is that.
    pub(super) fn wanted(&self, store: &Store) -> Option<State> {
        let wanted = match store.number(&self.front("state")).unwrap_or(0) {
            front::INITIALISING => State::InitWait,
            front::INIT_WAIT => return None,
            front::INITIALISED if self.class == "vif" => return None,
            front::INITIALISED | front::CONNECTED if self.state == State::InitWait => State::Connected,
            front::INITIALISED | front::CONNECTED => return None,
            front::CLOSING if self.state == State::Closed => return None,
            front::CLOSING => State::Closing,
            _ => State::Closed,
        };
        (wanted != self.state).then_some(wanted)
    }

    /// Becomes that, and says so.
    pub(super) fn go(&mut self, state: State, store: &mut Store) {
        self.state = state;
        if state != State::Connected {
            self.port = 0;
        }
        let _ = self.put_back(store, "state", state as u64);
    }

    /// The page that the frontend names.
    pub(super) fn page<P: Page, R: RelaxStrategy, F: Frames<Page = P>>(
        &self,
        key: &str,
        store: &Store,
        around: &Around<'_, '_, P, R, F>,
    ) -> Option<P> {
        let reference = store.number(&self.front(key))?;
        around.grants.page(reference, Use::Write, around.frames).ok()
    }

    /// Connects to the port that the frontend names.
    pub(super) fn bind<P: Page, R: RelaxStrategy>(&mut self, store: &Store, events: &Events<'_, P, R>) -> bool {
        let port = store.number(&self.front("event-channel")).unwrap_or(0);
        let bound = events.connect(port, SERVER, self.end).is_ok();
        self.port = if bound { port } else { 0 };
        bound
    }

    /// Signals the frontend.
    pub(super) fn raise<P: Page, R: RelaxStrategy>(&self, events: &Events<'_, P, R>) -> VcpuSet {
        // The guest may have closed it, and have something else there now.
        if events.is_connected(self.port, self.end) { events.raise(self.port) } else { VcpuSet::NONE }
    }

    /// Takes note of how serving it went.
    pub(super) fn served(&mut self, served: &Served, store: &mut Store) -> Option<Broken> {
        served.broken.then(|| {
            self.go(State::Closing, store);
            Broken { class: self.class, number: self.number }
        })
    }
}
