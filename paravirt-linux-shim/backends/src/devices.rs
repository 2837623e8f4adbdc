// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A guest's disks and network ports: the links of this partition, behind one lock.
//!
//! ```text
//!   guest signals ──▶ signalled ─┐
//!   link's event  ──▶ told ──────┴▶ serve: by whichever vCPU comes by first
//! ```
//! Events of links come to vCPU 0, wherever it is. They are noted in a word, and looked at before the
//! guest goes on or waits.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parzelle_rt::Partition;
use parzelle_rt::abi::health::ErrorId;
use parzelle_rt::abi::info::Protocol;
use parzelle_rt::health;
use parzelle_xen::devices::{self, Around, Broken};
use parzelle_xen::events::{Events, VcpuSet};
use parzelle_xen::grants::{FRAMES_MAX, Grants};
use parzelle_xen::memory::{Frames, Page};
use spin::Once;
use spin::relax::RelaxStrategy;

use crate::{LinkDisk, LinkPort, Lock};

/// The devices of a guest whose pages are `P`. (For a static: too large for a stack.)
#[derive(Debug)]
pub struct Devices<P> {
    all: Lock<devices::Devices<P, LinkDisk, LinkPort>>,
    grants: Once<Grants<P>>,
    /// The events of all links.
    events: AtomicU64,
    /// Those that have come.
    news: AtomicU64,
    /// There is more to do.
    busy: AtomicBool,
    /// The store's port; 0: there is none.
    store: AtomicU32,
}

/// Why links can't be a guest's devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoDevice {
    /// The one of that name: there are too many, or two of one name.
    Link(&'static str),
    /// There is no room for what they need.
    Room,
}

/// Frames of grants: some for rings, and for each device as many as its requests can lend at once:
/// a disk 32 requests of 32 frames, with a frame that lists them; a port 512.
#[must_use]
pub fn grant_frames(me: &Partition) -> u64 {
    let each = me.links_used().map(|link| if link.protocol() == Some(Protocol::Block) { 3 } else { 2 });
    match each.sum::<u64>() {
        0 => 0,
        frames => (frames + 2).min(FRAMES_MAX as u64),
    }
}

impl<P: Page> Default for Devices<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Page> Devices<P> {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            all: Lock::new(devices::Devices::new()),
            grants: Once::new(),
            events: AtomicU64::new(0),
            news: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            store: AtomicU32::new(0),
        }
    }

    /// The guest's grants: a table of so many frames, at `ready` or where the guest wants it.
    pub fn grants(&self, frames: u64, ready: Option<u64>) -> &Grants<P> {
        self.grants.call_once(|| Grants::new(frames as u32, ready))
    }

    /// Takes the partition's links, and begins the store in `page`; without links there is none.
    ///
    /// # Errors
    /// They are too many, or two of one name.
    pub fn find<R: RelaxStrategy>(
        &self,
        me: &Partition,
        vcpus: u32,
        page: Option<P>,
        channels: &Events<'_, P, R>,
    ) -> Result<(), NoDevice> {
        let mut all = self.all.lock();
        for link in me.links_used() {
            let added = match link.protocol() {
                Some(Protocol::Block) => {
                    LinkDisk::new(link).ok().map(|disk| all.add_disk(link.name(), disk, link.event()))
                }
                Some(Protocol::Network) => {
                    let mac = link.info().mac;
                    LinkPort::new(link).ok().map(|port| all.add_port(link.name(), mac, port, link.event()))
                }
                None => None,
            };
            if added != Some(Ok(())) {
                return Err(NoDevice::Link(link.name()));
            }
            self.events.fetch_or(link.event(), Ordering::Relaxed);
        }
        if let Some(page) = page.filter(|_| me.links_used().next().is_some()) {
            let port = all.begin(me.name(), vcpus, page, channels).map_err(|_| NoDevice::Room)?;
            self.store.store(port, Ordering::Relaxed);
            // Whoever serves the links is to know that we are there.
            all.look_at_all();
            self.busy.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The store's port, if there is a store.
    #[must_use]
    pub fn store_port(&self) -> Option<u32> {
        Some(self.store.load(Ordering::Relaxed)).filter(|port| *port != 0)
    }

    /// The events of links, as a mask.
    #[must_use]
    #[inline]
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Events have come.
    #[inline]
    pub fn told(&self, events: u64) {
        let ours = events & self.events();
        if ours != 0 {
            self.news.fetch_or(ours, Ordering::Relaxed);
            self.busy.store(true, Ordering::Release);
        }
    }

    /// Whether there is something to do.
    #[inline]
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// The guest has signalled one of its devices: does what there is to do.
    pub fn signalled<R: RelaxStrategy>(
        &self,
        end: u32,
        channels: &Events<'_, P, R>,
        frames: &impl Frames<Page = P>,
        say: impl FnOnce(fmt::Arguments<'_>),
    ) -> VcpuSet {
        self.all.lock().signalled(end);
        self.serve(channels, frames, say)
    }

    /// Does what there is to do, and tells who is to be kicked. `say`: a remark for the log.
    pub fn serve<R: RelaxStrategy>(
        &self,
        channels: &Events<'_, P, R>,
        frames: &impl Frames<Page = P>,
        say: impl FnOnce(fmt::Arguments<'_>),
    ) -> VcpuSet {
        let Some(grants) = self.grants.get() else {
            self.busy.store(false, Ordering::Relaxed);
            return VcpuSet::NONE;
        };
        let mut all = self.all.lock();
        self.busy.store(false, Ordering::SeqCst);
        all.links_told(self.news.swap(0, Ordering::SeqCst));
        let kick = all.serve(&Around { events: channels, frames, grants });
        if all.is_marked() {
            self.busy.store(true, Ordering::Release);
        }
        let broken = all.take_broken();
        drop(all);
        if let Some(broken) = broken {
            complain(broken, say);
        }
        kick
    }
}

/// The guest's driver has written what makes no sense.
#[cold]
fn complain(Broken { class, number }: Broken, say: impl FnOnce(fmt::Arguments<'_>)) {
    say(format_args!("the guest's ring of device {class}/{number} makes no sense: it is closed"));
    // Without an error for a message of this length.
    let _ = health::raise(ErrorId::ApplicationError, b"the guest's ring of a device makes no sense");
}
