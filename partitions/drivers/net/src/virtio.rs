// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A virtio network device (virtio 1.2, 5.1): a queue each way, a buffer of its own for each slot.
//!
//! ```text
//!   buffer n: 4 unused │ header 12 │ frame           2 KiB of DMA memory, one descriptor
//! ```
//! Frames begin at whole words, as they do in the rings: so copies go by words.
//!
//! Without the control queue's filters the device gives all frames that arrive: whom they are for is
//! the switch's business.

use heapless::Vec;
use net::Uplink;
use parzelle_rt::Partition;
use parzelle_virtio::{Buffer, Device, Dma, Error, Kind, Queue, Region};

/// Frames under way, each way.
const SLOTS: usize = 128;
/// Bytes of a buffer.
const STRIDE: u32 = 2048;
/// Bytes of the header before a frame (5.1.6: with virtio 1 always 12).
const HEADER: u32 = 12;
/// Where the header lies in a buffer, and where the frame.
const BEGIN: u32 = 4;
const FRAME: u64 = (BEGIN + HEADER) as u64;
/// The queue of frames that come in.
const RECEIVE: u16 = 0;
/// The queue of frames that go out.
const TRANSMIT: u16 = 1;

/// The device tells whether it has a network.
const STATUS: u64 = 1 << 16;

/// A network card.
#[derive(Debug)]
pub(crate) struct Card {
    device: Device,
    incoming: Queue<SLOTS, 1>,
    outgoing: Queue<SLOTS, 1>,
    incoming_buffers: Region,
    outgoing_buffers: Region,
    free: Vec<u16, SLOTS>,
    features: u64,
}

impl Card {
    /// Opens and resets the device of that name.
    pub(crate) fn open(me: &Partition, name: &str) -> Result<Self, Error> {
        let mut device = Device::open(me, name, Kind::Network)?;
        let features = device.begin(STATUS)?;
        let mut dma = Dma::of(me).map_err(|_| Error::Memory)?;
        let mut buffers = || dma.take(u64::from(STRIDE) * SLOTS as u64, 4096).ok_or(Error::Memory);
        let (incoming_buffers, outgoing_buffers) = (buffers()?, buffers()?);
        let incoming = device.queue(RECEIVE, &mut dma)?;
        let mut outgoing = device.queue::<SLOTS, 1>(TRANSMIT, &mut dma)?;
        // Buffers that were sent are taken back when they are needed.
        outgoing.be_quiet();
        let free = (0..SLOTS as u16).collect();
        let mut card = Self { device, incoming, outgoing, incoming_buffers, outgoing_buffers, free, features };
        (0..SLOTS).for_each(|slot| card.offer(slot));
        card.device.start()?;
        card.kick();
        Ok(card)
    }

    /// The events of its interrupts.
    pub(crate) fn events(&self) -> u64 {
        self.device.events()
    }

    /// Lets the next interrupt come, if one was among these events. Returns whether the network may
    /// have come or gone.
    pub(crate) fn acknowledge(&mut self, events: u64) -> bool {
        self.device.acknowledge(events)
    }

    /// Whether it has a network.
    pub(crate) fn is_up(&self) -> bool {
        self.features & STATUS == 0 || self.device.config::<u16>(6).is_some_and(|status| status & 1 != 0)
    }

    /// Gives the device a buffer for a frame.
    fn offer(&mut self, slot: usize) {
        let bus = self.incoming_buffers.bus + u64::from(STRIDE) * slot as u64 + u64::from(BEGIN);
        // Only slots that have ended are offered again: there is nothing to refuse.
        let _ = self.incoming.begin(slot, &[Buffer::written(bus, STRIDE - BEGIN)]);
    }

    /// Puts a frame into a buffer and gives it to the device.
    fn put(&mut self, slot: usize, pieces: [&[u8]; 3]) -> Option<()> {
        let buffer = self.outgoing_buffers.part(u64::from(STRIDE) * slot as u64, STRIDE.into())?;
        // No offloads: a header of zeros.
        buffer.memory.store_u64(0, 0)?;
        buffer.memory.store_u64(8, 0)?;
        let mut end = FRAME;
        for piece in pieces {
            buffer.memory.write(end, piece)?;
            end += piece.len() as u64;
        }
        self.outgoing.begin(slot, &[Buffer::read(buffer.bus + u64::from(BEGIN), end as u32 - BEGIN)])
    }
}

impl Uplink for Card {
    fn receive(&mut self, into: &mut [u8]) -> Option<usize> {
        let (slot, bytes) = self.incoming.finished()?;
        // A length that can't be: a frame that is none, which the switch throws away.
        let length = bytes.clamp(HEADER, STRIDE - BEGIN) - HEADER;
        let length = into.len().min(length as usize);
        let at = u64::from(STRIDE) * slot as u64 + FRAME;
        let frame = into.get_mut(..length).unwrap_or_default();
        let copied = self.incoming_buffers.memory.read(at, frame);
        self.offer(slot);
        copied.map(|()| length)
    }

    fn send(&mut self, pieces: [&[u8]; 3], _: u32) -> bool {
        if self.free.is_empty() {
            while let Some((slot, _)) = self.outgoing.finished() {
                // At most as many come back as there are.
                let _ = self.free.push(slot as u16);
            }
        }
        self.free.pop().is_some_and(|slot| self.put(slot.into(), pieces).is_some())
    }

    fn kick(&mut self) {
        if self.incoming.must_tell() {
            self.device.tell(RECEIVE);
        }
        if self.outgoing.must_tell() {
            self.device.tell(TRANSMIT);
        }
    }
}
