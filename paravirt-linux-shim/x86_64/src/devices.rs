// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The guest's disks and network ports: the links of this partition, behind one lock.
//!
//! ```text
//!   guest signals ──▶ signalled ─┐
//!   link's event  ──▶ told ──────┴▶ serve: by whichever vCPU comes by first
//! ```
//! Events of links come to vCPU 0, wherever it is. They are noted in a word, and looked at before the
//! guest goes on or waits.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parzelle_rt::Partition;
use parzelle_rt::abi::health::ErrorId;
use parzelle_rt::abi::info::Protocol;
use parzelle_rt::health;
use parzelle_shim_backends::{LinkDisk, LinkPort, Lock};
use parzelle_xen::devices::{self, Around};
use parzelle_xen::events::{Events, VcpuSet};
use parzelle_xen::grants::Grants;
use spin::Once;

use crate::failure::Failure;
use crate::machine::Shared;
use crate::ram::{Frame, GuestRam};
use crate::relax::GiveWay;

/// All of them. (Too large for a stack.)
static ALL: Lock<devices::Devices<Frame, LinkDisk, LinkPort>> = Lock::new(devices::Devices::new());
static GRANTS: Once<Grants<Frame>> = Once::new();

/// Frames of grants: some for rings, and for each device as many as its requests can lend at once:
/// a disk 32 requests of 32 frames, with a frame that lists them; a port 512.
pub fn grant_frames(me: &Partition) -> u64 {
    let each = me.links_used().map(|link| if link.protocol() == Some(Protocol::Block) { 3 } else { 2 });
    match each.sum::<u64>() {
        0 => 0,
        frames => (frames + 2).min(parzelle_xen::grants::FRAMES_MAX as u64),
    }
}

/// The guest's grants, if it has devices.
pub fn grants(me: &Partition, ram: &GuestRam) -> Option<&'static Grants<Frame>> {
    let frames = grant_frames(me);
    (frames > 0).then(|| GRANTS.call_once(|| Grants::new(frames as u32, Some(ram.grants()))))
}

/// What the vCPUs know of them without the lock.
#[derive(Debug)]
pub struct Devices {
    /// The events of all links.
    events: u64,
    /// Those that have come.
    news: AtomicU64,
    /// There is more to do.
    busy: AtomicBool,
    store: Option<u32>,
}

impl Devices {
    /// Takes the partition's links, and begins the store in `page`; without links there is none.
    ///
    /// # Errors
    /// They are too many, or two of one name.
    pub fn find(
        me: &Partition,
        vcpus: u32,
        page: Option<Frame>,
        channels: &Events<'_, Frame, GiveWay>,
    ) -> Result<Self, Failure> {
        let mut found = Self { events: 0, news: AtomicU64::new(0), busy: AtomicBool::new(false), store: None };
        let mut all = ALL.lock();
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
                return Err(Failure::Link(link.name()));
            }
            found.events |= link.event();
        }
        if let Some(page) = page.filter(|_| me.links_used().next().is_some()) {
            found.store = Some(all.begin(me.name(), vcpus, page, channels).map_err(|_| Failure::NoGuest)?);
            // Whoever serves the links is to know that we are there.
            all.look_at_all();
            found.busy.store(true, Ordering::Relaxed);
        }
        Ok(found)
    }

    /// The store's port, if there is a store.
    #[must_use]
    pub const fn store_port(&self) -> Option<u32> {
        self.store
    }

    /// The events of links, as a mask.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Events have come.
    #[inline]
    pub fn told(&self, events: u64) {
        if events & self.events != 0 {
            self.news.fetch_or(events & self.events, Ordering::Relaxed);
            self.busy.store(true, Ordering::Release);
        }
    }

    /// Whether there is something to do.
    #[inline]
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire)
    }

    /// The guest has signalled one of its devices.
    pub fn signalled(&self, end: u32, shared: &Shared) -> VcpuSet {
        ALL.lock().signalled(end);
        self.serve(shared)
    }

    /// Does what there is to do, and tells who is to be kicked.
    pub fn serve(&self, shared: &Shared) -> VcpuSet {
        let Some(grants) = GRANTS.get() else {
            self.busy.store(false, Ordering::Relaxed);
            return VcpuSet::NONE;
        };
        let mut all = ALL.lock();
        self.busy.store(false, Ordering::SeqCst);
        all.links_told(self.news.swap(0, Ordering::SeqCst));
        let kick = all.serve(&Around { events: shared.domain.channels(), frames: &shared.ram, grants });
        if all.is_marked() {
            self.busy.store(true, Ordering::Release);
        }
        let broken = all.take_broken();
        drop(all);
        if let Some(devices::Broken { class, number }) = broken {
            say_broken(shared, class, number);
        }
        kick
    }
}

/// The guest's driver has written what makes no sense.
#[cold]
fn say_broken(shared: &Shared, class: &str, number: u32) {
    let mut output = shared.output.lock();
    output.say(format_args!("the guest's ring of device {class}/{number} makes no sense: it is closed"));
    drop(output);
    // Without an error for a message of this length.
    let _ = health::raise(ErrorId::ApplicationError, b"the guest's ring of a device makes no sense");
}
