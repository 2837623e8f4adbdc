// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A virtio block device (virtio 1.2, 5.2) with many requests under way.
//!
//! ```text
//!   request n: header 16 │ range to discard 16 │ status 1     64 bytes of DMA memory, its own
//!              descriptors 4 n …: header, data, status
//! ```

use block::{Command, Device as Commands};
use parzelle_rt::Partition;
use parzelle_virtio::{Buffer, Device, Dma, Error, Kind, Queue, Region};

/// Requests under way.
pub(crate) const SLOTS: usize = 64;
/// Descriptors of a request: a power of two, of which three are used.
const CHAIN: usize = 4;
/// Bytes of a request in DMA memory.
const STRIDE: u64 = 64;
/// Where the range to discard lies in these.
const RANGE: u64 = 16;
/// Where the device puts the status.
const STATUS: u64 = 32;

/// The device may only be read.
const READ_ONLY: u64 = 1 << 5;
/// It tells the size of its blocks.
const BLOCK_SIZE: u64 = 1 << 6;
/// It has a cache that flushes empty.
const FLUSH: u64 = 1 << 9;
/// It takes discards.
const DISCARD: u64 = 1 << 13;

/// A disk.
#[derive(Debug)]
pub(crate) struct Disk {
    device: Device,
    queue: Queue<SLOTS, CHAIN>,
    requests: Region,
    features: u64,
    capacity: u64,
    block: u32,
    /// Sectors that one discard takes.
    most_discarded: u32,
}

impl Disk {
    /// Opens and resets the device that the partition owns: the one that its links name. Gives what
    /// is left of the DMA memory, too.
    pub(crate) fn open(me: &Partition) -> Result<(Self, Dma), Error> {
        let mut names = me.links_served().map(|link| link.info().device.as_str());
        let name = names.next().ok_or(Error::Missing)?;
        let mut device = Device::open(me, name, Kind::Block)?;
        let features = device.begin(READ_ONLY | BLOCK_SIZE | FLUSH | DISCARD)?;
        let mut dma = Dma::of(me).map_err(|_| Error::Memory)?;
        let queue = device.queue(0, &mut dma)?;
        let requests = dma.take(STRIDE * SLOTS as u64, STRIDE).ok_or(Error::Memory)?;
        let field = |offset| device.config::<u32>(offset).unwrap_or(0);
        let capacity = u64::from(field(0)) | u64::from(field(4)) << 32;
        let block = if features & BLOCK_SIZE == 0 { 512 } else { field(20) };
        let most_discarded = if features & DISCARD == 0 { 0 } else { field(36) };
        device.start()?;
        Ok((Self { device, queue, requests, features, capacity, block, most_discarded }, dma))
    }

    /// Bytes of its blocks: what is moved are whole ones.
    pub(crate) fn block(&self) -> u32 {
        self.block
    }

    /// The events of its interrupts.
    pub(crate) fn events(&self) -> u64 {
        self.device.events()
    }

    /// Lets the next interrupt come, if one was among these events.
    pub(crate) fn acknowledge(&mut self, events: u64) {
        self.device.acknowledge(events);
    }

    /// Puts a request into its place; `None` if that is not there or taken.
    fn put(&mut self, slot: usize, command: Command) -> Option<()> {
        let request = self.requests.part(STRIDE * slot as u64, STRIDE)?;
        let (kind, sector) = match command {
            Command::Read { sector, .. } => (0, sector),
            Command::Write { sector, .. } => (1, sector),
            Command::Flush => (4, 0),
            Command::Discard { .. } => (11, 0),
        };
        request.memory.store_u32(0, kind)?;
        request.memory.store_u32(4, 0)?;
        request.memory.store_u64(8, sector)?;
        // No status that there is: the device has to write one.
        request.memory.store_u8(STATUS, 0xff)?;
        let (header, status) = (Buffer::read(request.bus, 16), Buffer::written(request.bus + STATUS, 1));
        match command {
            Command::Read { bytes, bus, .. } => self.queue.begin(slot, &[header, Buffer::written(bus, bytes), status]),
            Command::Write { bytes, bus, .. } => self.queue.begin(slot, &[header, Buffer::read(bus, bytes), status]),
            Command::Flush => self.queue.begin(slot, &[header, status]),
            Command::Discard { sector, sectors } => {
                request.memory.store_u64(RANGE, sector)?;
                // A discard is a wish: what is beyond what the device takes at once is left alone.
                request.memory.store_u32(RANGE + 8, sectors.min(self.most_discarded))?;
                request.memory.store_u32(RANGE + 12, 0)?;
                self.queue.begin(slot, &[header, Buffer::read(request.bus + RANGE, 16), status])
            }
        }
    }
}

impl Commands for Disk {
    const SLOTS: usize = SLOTS;

    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn is_read_only(&self) -> bool {
        self.features & READ_ONLY != 0
    }

    fn can_flush(&self) -> bool {
        self.features & FLUSH != 0
    }

    fn can_discard(&self) -> bool {
        self.most_discarded > 0
    }

    fn begin(&mut self, slot: usize, command: Command) {
        if self.put(slot, command).is_none() {
            // The server begins only in slots that are free: one that isn't would be a fault of this
            // program, and its client would wait for ever.
            parzelle_rt::start::fail(format_args!("slot {slot} is not free"));
        }
    }

    fn kick(&mut self) {
        if self.queue.must_tell() {
            self.device.tell(0);
        }
    }

    fn finished(&mut self) -> Option<(usize, bool)> {
        let (slot, _) = self.queue.finished()?;
        let status = self.requests.memory.load_u8(STRIDE * slot as u64 + STATUS);
        Some((slot, status == Some(0)))
    }
}
