// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From the information pages to a server: which link has which range of the device.

use core::fmt;

use block::gpt::{self, State, Tables};
use block::{Bell as Ring, Command, Device, Disk, SECTOR, Served, Server, Table};
use gpt_disk_io::BlockIo;
use gpt_disk_io::gpt_disk_types::{BlockSize, Lba};
use parzelle_ring::block::Geometry;
use parzelle_rt::abi::info::{LINK_READ_ONLY, Protocol};
use parzelle_rt::time::{MILLISECOND, SECOND};
use parzelle_rt::{Link, Once, Partition, now, wait};
use parzelle_virtio::{Dma, Region};

use crate::{LINKS, Links, virtio};

/// Bytes that are read at once before there are clients.
const BOUNCE: u64 = 16 * 1024;
/// How long a device may take for that.
const PATIENCE: u64 = 10 * SECOND;

/// All disks of the device, and both partition tables.
type All = Table<'static, { LINKS + 2 }>;

static BUFFER: Once<[u8; gpt::BUFFER]> = Once::new([0; gpt::BUFFER]);

/// Why nobody is served.
#[derive(Debug)]
pub(crate) enum Error {
    /// The device can't be driven.
    Device(parzelle_virtio::Error),
    /// The kernel refused something.
    Kernel(parzelle_rt::Error),
}

impl From<parzelle_virtio::Error> for Error {
    fn from(error: parzelle_virtio::Error) -> Self {
        Self::Device(error)
    }
}

impl From<parzelle_rt::Error> for Error {
    fn from(error: parzelle_rt::Error) -> Self {
        Self::Kernel(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Device(error) => error.fmt(f),
            Error::Kernel(error) => error.fmt(f),
        }
    }
}

/// The bell of a link's client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bell(Link);

impl Ring for Bell {
    fn name(&self) -> &str {
        self.0.peer()
    }

    fn ring(&mut self) {
        self.0.ring();
    }
}

/// Serves all links whose disk is there. What is wrong with the others is told, and they stay
/// without a server: that harms nobody else.
pub(crate) fn serve(me: &Partition, disk: &mut virtio::Disk, dma: &mut Dma) -> Result<Links, Error> {
    let bounce = dma.take(BOUNCE, SECTOR).ok_or(parzelle_virtio::Error::Memory)?;
    let (capacity, block) = (disk.capacity(), disk.block());
    log::info!("{} sectors, blocks of {block} bytes", capacity);
    let wants_tables = me.links_served().any(|link| !link.info().gpt.as_str().is_empty());
    let tables = if wants_tables { tables(Early { disk, bounce }) } else { None };
    let mut table = All::default();
    if let Some(usable) = tables.as_ref().map(Tables::usable) {
        // A client that writes to a table would decide what other clients' disks are.
        for (name, range) in [("the first table", 0..usable.start), ("the second table", usable.end..capacity)] {
            // The table of disks has room, and nothing in it yet.
            let _ = Disk::new(range, true, capacity).map(|sectors| table.enter(name, &sectors));
        }
    }
    let mut server = Server::new();
    for link in me.links_served().filter(|link| link.protocol() == Some(Protocol::Block)) {
        match range(&link, disk, tables.as_ref()).and_then(|found| enter(&mut table, &link, found)) {
            Ok(found) => add(&mut server, disk, link, found),
            Err(why) => log::error!("{} `{}` of {}: {why}", link.info().of.as_str(), link.name(), link.peer()),
        }
    }
    Ok(server)
}

/// Reads the partition table.
fn tables(early: Early<'_>) -> Option<Tables<'static>> {
    let read = Tables::read(early, BUFFER.take()?);
    match &read {
        Ok(tables) => match tables.state() {
            State::Both => {}
            State::First => log::warn!("the second partition table is damaged"),
            State::Second => log::warn!("the first partition table is damaged: the second stands in"),
        },
        Err(why) => log::error!("{why}"),
    }
    read.ok()
}

/// The range of a link's disk.
fn range(link: &Link, disk: &virtio::Disk, tables: Option<&Tables<'_>>) -> Result<Disk, &'static str> {
    let info = link.info();
    let is_read_only = info.flags & LINK_READ_ONLY != 0 || disk.is_read_only();
    let found = match info.gpt.as_str() {
        "" => Disk::of_bytes(info.start, info.bytes, is_read_only, disk.capacity()),
        name => {
            let range = tables.ok_or("no partition table")?.find(name).map_err(|error| error.text())?;
            Disk::new(range, is_read_only, disk.capacity())
        }
    };
    let per_block = u64::from(disk.block()) / SECTOR;
    let is_whole =
        |disk: &Disk| disk.range().start.is_multiple_of(per_block) && disk.sectors().is_multiple_of(per_block);
    found.filter(is_whole).ok_or("its range is not within the device, or no whole blocks")
}

/// Sees to it that disks share nothing.
fn enter(table: &mut All, link: &Link, disk: Disk) -> Result<Disk, &'static str> {
    let entered = table.enter(link.info().of.as_str(), &disk);
    entered.map(|()| disk).map_err(|_| "it shares sectors with another disk, or with the partition table")
}

/// Serves a disk.
fn add(server: &mut Links, device: &virtio::Disk, link: Link, disk: Disk) {
    let geometry = Geometry {
        block: device.block(),
        physical: device.block().max(4096),
        read_only: disk.is_read_only(),
        flush: device.can_flush(),
        discard: device.can_discard(),
        ..Geometry::new(disk.sectors())
    };
    let info = link.info();
    let ring = match parzelle_ring::block::Server::new(link.out(), link.incoming(), geometry) {
        Ok(ring) => ring,
        Err(why) => return log::error!("{}: {why}", link.peer()),
    };
    let (peer, of) = (link.peer(), info.of.as_str());
    let rights = if disk.is_read_only() { "reads" } else { "reads and writes" };
    log::info!("{peer} {rights} `{of}`, sectors {:?}", disk.range());
    let served = Served::new(ring, Bell(link), info.out_bus, info.incoming_bus);
    if server.add(served, disk).is_err() {
        log::error!("{peer}: only {LINKS} links are served");
    }
}

/// The device before it has clients: one request at a time.
struct Early<'a> {
    disk: &'a mut virtio::Disk,
    bounce: Region,
}

/// The device fails, or does not answer.
#[derive(Debug)]
pub(crate) struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the device failed")
    }
}

impl Early<'_> {
    /// Reads sectors, at most as many as fit the bounce buffer.
    fn read(&mut self, sector: u64, into: &mut [u8]) -> Option<()> {
        let bytes = into.len() as u64;
        let end = sector.checked_add(bytes.div_ceil(SECTOR))?;
        if bytes > BOUNCE || end > self.disk.capacity() {
            return None;
        }
        self.disk.begin(0, Command::Read { sector, bytes: bytes as u32, bus: self.bounce.bus });
        self.disk.kick();
        let deadline = now() + PATIENCE;
        while now() < deadline {
            if let Some((_, success)) = self.disk.finished() {
                return if success { self.bounce.memory.read(0, into) } else { None };
            }
            let events = self.disk.events();
            self.disk.acknowledge(wait(now() + 10 * MILLISECOND, events));
        }
        None
    }
}

impl BlockIo for Early<'_> {
    type Error = Failed;

    fn block_size(&self) -> BlockSize {
        BlockSize::BS_512
    }

    fn num_blocks(&mut self) -> Result<u64, Failed> {
        Ok(self.disk.capacity())
    }

    fn read_blocks(&mut self, first: Lba, into: &mut [u8]) -> Result<(), Failed> {
        let mut sector = first.to_u64();
        for piece in into.chunks_mut(BOUNCE as usize) {
            self.read(sector, piece).ok_or(Failed)?;
            sector = sector.saturating_add(BOUNCE / SECTOR);
        }
        Ok(())
    }

    fn write_blocks(&mut self, _: Lba, _: &[u8]) -> Result<(), Failed> {
        Err(Failed)
    }

    fn flush(&mut self) -> Result<(), Failed> {
        Ok(())
    }
}
