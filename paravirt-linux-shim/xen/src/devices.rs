// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The devices of a guest: virtual disks and network ports, and the store by which it finds them.
//!
//! ```text
//!   guest's kernel                     shim                                another partition
//!   xenbus       ◀─ store's page ─▶    store ─▶ life: states of both ends
//!   xen-blkfront ◀─ ring ─▶            block   ─▶ Disk, an adapter ─▶ link ─▶ block driver
//!   xen-netfront ◀─ rings ─▶           network ─▶ Port, an adapter ─▶ link ─▶ switch
//!                     ▲                   │
//!                     └ frames, looked up in grants
//! ```
//! A shim has one of this behind a lock. The guest's signals ([`Devices::signalled`]) and those of links
//! ([`Devices::links_told`]) only mark what is to be looked at; [`Devices::serve`] does it: a bounded
//! amount each time, whatever the guest writes meanwhile.

pub mod block;
pub mod disk;
mod life;
pub mod network;
mod number;
pub mod port;
pub mod ring;

#[cfg(test)]
mod tests;

use core::fmt::Write;

use heapless::{String, Vec};
use spin::relax::RelaxStrategy;

use crate::abi::{Errno, PAGE};
use crate::events::{Events, VcpuSet};
use crate::grants::Grants;
use crate::memory::{Frames, Page};
use crate::store::{GUEST, HOME, Refusal, SERVER, Store};
use block::Block;
use disk::Disk;
use life::{Life, State};
use network::Network;
use port::Port;

/// Disks of a guest at most.
pub const DISKS: usize = 8;
/// Network ports of a guest at most.
pub const PORTS: usize = 8;

/// The shim's ends of event channels, by number. The console has 0.
mod end {
    /// The store's.
    pub(super) const STORE: u32 = 1;
    /// The first disk's; the others follow.
    pub(super) const DISK: u32 = 16;
    /// The first network port's; the others follow.
    pub(super) const PORT: u32 = 32;
}

/// What of the guest the devices use.
#[derive(Debug)]
pub struct Around<'a, 'e, P: Page, R: RelaxStrategy, F> {
    /// Its event channels.
    pub events: &'a Events<'e, P, R>,
    /// Its memory.
    pub frames: &'a F,
    /// What it has lent.
    pub grants: &'a Grants<P>,
}

/// A device that is no longer served, because its guest has broken the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// `vbd` or `vif`.
    pub class: &'static str,
    /// Which.
    pub number: u32,
}

/// A disk's end of the guest, and the disk.
#[derive(Debug)]
struct BlockDevice<P, D> {
    life: Life,
    block: Block<P>,
    disk: D,
}

/// A network port's.
#[derive(Debug)]
struct NetworkDevice<P, N> {
    life: Life,
    network: Network<P>,
    port: N,
}

/// All devices of a guest.
#[derive(Debug)]
pub struct Devices<P, D, N> {
    store: Store,
    /// The store's page and port, once it has begun.
    page: Option<P>,
    port: u32,
    disks: Vec<BlockDevice<P, D>, DISKS>,
    ports: Vec<NetworkDevice<P, N>, PORTS>,
    /// A bit for each end of the shim that is to be looked at.
    marked: u64,
    broken: Option<Broken>,
}

impl<P: Page, D: Disk, N: Port> Default for Devices<P, D, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Page, D: Disk, N: Port> Devices<P, D, N> {
    /// None, and an empty store.
    #[must_use]
    pub const fn new() -> Self {
        Self { store: Store::new(), page: None, port: 0, disks: Vec::new(), ports: Vec::new(), marked: 0, broken: None }
    }

    /// Begins the store in `page`, and gives it a port, which the guest is to be told.
    ///
    /// # Errors
    /// [`Errno::NoSpace`]: no port is left; or the store has none for what it begins with.
    pub fn begin<R: RelaxStrategy>(
        &mut self,
        name: &str,
        vcpus: u32,
        page: P,
        events: &Events<'_, P, R>,
    ) -> Result<u32, Errno> {
        (0..PAGE as usize).step_by(8).for_each(|word| page.store64(word, 0));
        let no_room = |_: Refusal| Errno::NoSpace;
        let mut put = |key: &str, value: &str| {
            let mut path: String<64> = String::new();
            write!(path, "{HOME}/{key}").map_err(|_| Errno::NoSpace)?;
            self.store.put(&path, value.as_bytes()).map_err(no_room)
        };
        put("domid", "1")?;
        put("name", name)?;
        put("device", "")?;
        put("control/shutdown", "")?;
        put("control/platform-feature-xs_reset_watches", "1")?;
        for vcpu in 0..vcpus {
            let mut key: String<32> = String::new();
            write!(key, "cpu/{vcpu}/availability").map_err(|_| Errno::NoSpace)?;
            put(&key, "online")?;
        }
        self.store.put("/local/domain/0/backend", b"").map_err(no_room)?;
        self.port = events.connected(SERVER, end::STORE)?;
        self.page = Some(page);
        Ok(self.port)
    }

    /// Gives the guest a disk. `name`: as in the guest (`xvda`). `told`: the events of its link.
    ///
    /// # Errors
    /// [`Errno::NoSpace`]: there are too many. [`Errno::Exists`]: there is one of that name.
    pub fn add_disk(&mut self, name: &str, disk: D, told: u64) -> Result<(), Errno> {
        let taken = |number| self.disks.iter().any(|other| other.life.number() == number);
        let number = number::of_disk(name, taken)?;
        if self.disks.is_full() {
            return Err(Errno::NoSpace);
        }
        let life = Life::new("vbd", number, end::DISK + self.disks.len() as u32, told);
        life.present_disk(&mut self.store).map_err(|_| Errno::NoSpace)?;
        self.disks.push(BlockDevice { life, block: Block::new(), disk }).map_err(|_| Errno::NoSpace)
    }

    /// Gives the guest a network port. `name`: `eth0`.
    ///
    /// # Errors
    /// As [`Self::add_disk`].
    pub fn add_port(&mut self, name: &str, mac: [u8; 6], port: N, told: u64) -> Result<(), Errno> {
        let taken = |number| self.ports.iter().any(|other| other.life.number() == number);
        let number = number::of_port(name, taken)?;
        if self.ports.is_full() {
            return Err(Errno::NoSpace);
        }
        let life = Life::new("vif", number, end::PORT + self.ports.len() as u32, told);
        life.present_port(&mut self.store, mac).map_err(|_| Errno::NoSpace)?;
        self.ports.push(NetworkDevice { life, network: Network::new(), port }).map_err(|_| Errno::NoSpace)
    }

    /// The guest has signalled this end of the shim. True: it is one of these.
    pub fn signalled(&mut self, end: u32) -> bool {
        self.marked |= 1u64.checked_shl(end).unwrap_or(0);
        end != 0
    }

    /// Links have said that there is something: events, as a mask.
    pub fn links_told(&mut self, events: u64) {
        let lives = self.disks.iter().map(|disk| &disk.life).chain(self.ports.iter().map(|port| &port.life));
        self.marked |= lives.filter(|life| life.told() & events != 0).fold(0, |marks, life| marks | life.mark());
    }

    /// All of them are to be looked at.
    pub const fn look_at_all(&mut self) {
        self.marked = u64::MAX;
    }

    /// Whether something is to be looked at.
    #[must_use]
    pub const fn is_marked(&self) -> bool {
        self.marked != 0
    }

    /// A device that is not served any more since the last time.
    pub const fn take_broken(&mut self) -> Option<Broken> {
        self.broken.take()
    }

    /// A disk's adapter, to be told what its link needs.
    pub fn disks(&mut self) -> impl Iterator<Item = &mut D> {
        self.disks.iter_mut().map(|device| &mut device.disk)
    }

    /// A network port's.
    pub fn ports(&mut self) -> impl Iterator<Item = &mut N> {
        self.ports.iter_mut().map(|device| &mut device.port)
    }

    /// The store, for what the host wants to tell the guest.
    pub const fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Asks the guest to power off.
    pub fn ask_to_power_off(&mut self) {
        // There is a node for that, and room for the word.
        let _ = self.store.put("/local/domain/1/control/shutdown", b"poweroff");
        self.marked |= 1 << end::STORE;
    }

    /// Looks at what is marked. Tells who is to be kicked; if something stays marked, there is more
    /// to do ([`Self::is_marked`]).
    pub fn serve<R: RelaxStrategy, F: Frames<Page = P>>(&mut self, around: &Around<'_, '_, P, R, F>) -> VcpuSet {
        let mut kick = VcpuSet::NONE;
        let marked = core::mem::take(&mut self.marked);
        if marked & 1 << end::STORE != 0 {
            kick = kick.with(self.serve_store(around));
        }
        for device in &mut self.disks {
            if marked & device.life.mark() == 0 {
                continue;
            }
            if device.life.is_waiting() {
                device.step(&mut self.store, around);
            }
            let served = device.block.serve(&mut device.disk, around.frames, around.grants);
            self.broken = device.life.served(&served, &mut self.store).or(self.broken);
            if served.raise {
                kick = kick.with(device.life.raise(around.events));
            }
            self.marked |= if served.more { device.life.mark() } else { 0 };
        }
        for device in &mut self.ports {
            if marked & device.life.mark() == 0 {
                continue;
            }
            if device.life.is_waiting() {
                device.step(&mut self.store, around);
            }
            let served = device.network.serve(&mut device.port, around.frames, around.grants);
            self.broken = device.life.served(&served, &mut self.store).or(self.broken);
            if served.raise {
                kick = kick.with(device.life.raise(around.events));
            }
            self.marked |= if served.more { device.life.mark() } else { 0 };
        }
        // States that have changed by this.
        if self.store.is_waiting() {
            kick = kick.with(self.tell_store(around));
        }
        kick
    }

    /// Answers requests to the store, and goes on with the devices' lives.
    fn serve_store<R: RelaxStrategy, F: Frames<Page = P>>(&mut self, around: &Around<'_, '_, P, R, F>) -> VcpuSet {
        let kick = self.tell_store(around);
        if self.store.take_changed() {
            self.disks.iter_mut().for_each(|device| device.step(&mut self.store, around));
            self.ports.iter_mut().for_each(|device| device.step(&mut self.store, around));
        }
        kick
    }

    fn tell_store<R: RelaxStrategy, F: Frames<Page = P>>(&mut self, around: &Around<'_, '_, P, R, F>) -> VcpuSet {
        let Some(page) = &self.page else { return VcpuSet::NONE };
        if self.store.serve(page) { around.events.raise(self.port) } else { VcpuSet::NONE }
    }
}

impl<P: Page, D: Disk> BlockDevice<P, D> {
    /// Does what the frontend's state asks for.
    fn step<R: RelaxStrategy, F: Frames<Page = P>>(&mut self, store: &mut Store, around: &Around<'_, '_, P, R, F>) {
        let Self { life, block, disk } = self;
        match life.wanted(store) {
            Some(State::Connected) => {
                let Some(geometry) = disk.geometry() else { return };
                let page = life.page("ring-ref", store, around);
                if let Some(page) = page.filter(|_| life.bind(store, around.events)) {
                    block.connect(page);
                    life.tell_geometry(store, &geometry);
                    life.go(State::Connected, store);
                } else {
                    life.go(State::Closing, store);
                }
            }
            Some(state) => {
                block.disconnect();
                life.go(state, store);
            }
            None => {}
        }
    }
}

impl<P: Page, N: Port> NetworkDevice<P, N> {
    /// Does what the frontend's state asks for.
    fn step<R: RelaxStrategy, F: Frames<Page = P>>(&mut self, store: &mut Store, around: &Around<'_, '_, P, R, F>) {
        let Self { life, network, .. } = self;
        match life.wanted(store) {
            Some(State::Connected) => {
                let [tx, rx] = ["tx-ring-ref", "rx-ring-ref"].map(|key| life.page(key, store, around));
                if let (Some(tx), Some(rx), true) = (tx, rx, life.bind(store, around.events)) {
                    network.connect(tx, rx);
                    life.go(State::Connected, store);
                } else {
                    life.go(State::Closing, store);
                }
            }
            Some(state) => {
                network.disconnect();
                life.go(state, store);
            }
            None => {}
        }
    }
}
