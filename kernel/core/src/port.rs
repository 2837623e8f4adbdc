// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Channels between ports: sampling (the latest message) and queuing (all of them, in order).
//!
//! The messages lie in a buffer that only the partitions at the ends have mapped for the kernel;
//! what is here is the book-keeping. The lock is a FIFO, held for one bounded copy.

use crate::call::Reply;
use crate::kernel::CoreState;
use crate::machine::{Arena, Machine};
use crate::sync::Lock;
use crate::vcpu::Vcpu;
use parzelle_abi::Error;
use parzelle_plan::{ChannelRecord, DESTINATION, Plan, QUEUING, READ, SAMPLING, SOURCE, WRITE};

/// A channel.
pub(crate) struct Channel {
    record: &'static ChannelRecord,
    /// The ports at its receiving end, as indices in the plan.
    readers: &'static [u32],
    /// Bytes from one message to the next.
    stride: u64,
    book: Lock<Book>,
}

/// The messages that are there.
struct Book {
    /// Their lengths, by slot.
    lengths: &'static mut [u32],
    head: u32,
    count: u32,
    /// Sampling: when the message was written.
    written: u64,
}

impl Channel {
    /// An empty channel.
    pub(crate) fn new(plan: &Plan<'static>, arena: &mut impl Arena, index: usize) -> Option<Channel> {
        let record = plan.channels().get(index)?;
        let lengths = arena.take(record.depth as usize, |_, _| Some(0))?;
        Some(Channel {
            record,
            readers: plan.channel_readers().get(record.readers.range())?,
            stride: u64::from(record.message_bytes.next_multiple_of(16)),
            book: Lock::new(Book { lengths, head: 0, count: 0, written: 0 }),
        })
    }

    /// Drops the messages of a queuing channel. A sampling message stays: it is the writer's.
    pub(crate) fn clear_queue(&self) {
        if self.record.kind == QUEUING {
            let mut book = self.book.lock();
            (book.head, book.count) = (0, 0);
        }
    }

    /// Where a message lies.
    fn slot(&self, slot: u32) -> u64 {
        self.record.buffer + u64::from(slot) * self.stride
    }
}

impl<M: Machine> CoreState<M> {
    /// The channel at the caller's port `number`, if that is of this kind and direction.
    fn channel(&self, caller: &Vcpu, number: u64, kind: u32, direction: u32) -> Result<&'static Channel, Error> {
        let port = bounded(caller.partition.ports, number)?;
        let channel = self.shared.channels.get(port.channel as usize).ok_or(Error::NoSuchObject)?;
        if channel.record.kind == kind && port.direction == direction { Ok(channel) } else { Err(Error::NoSuchObject) }
    }

    /// Writes or sends a message.
    pub(crate) fn send(&mut self, caller: &Vcpu, kind: u32, [number, address, length]: [u64; 3]) -> Reply {
        let channel = self.channel(caller, number, kind, SOURCE)?;
        let record = channel.record;
        if length == 0 || length > u64::from(record.message_bytes) {
            return Err(Error::WrongSize);
        }
        let from = caller.partition.locate(address, length, READ, &caller.region_hint)?;
        let now = if kind == SAMPLING { self.machine.now() } else { 0 };
        {
            let mut book = channel.book.lock();
            let slot = match book.head + book.count {
                _ if kind == SAMPLING => 0,
                _ if book.count == record.depth => return Err(Error::Full),
                slot if slot >= record.depth => slot - record.depth,
                slot => slot,
            };
            self.machine.copy(channel.slot(slot), from, length as u32);
            if let Some(entry) = book.lengths.get_mut(slot as usize) {
                *entry = length as u32;
            }
            (book.count, book.written) = (if kind == SAMPLING { 1 } else { book.count + 1 }, now);
        }
        caller.mailbox.accounts.sent.add(1);
        for &reader in channel.readers {
            self.announce(reader);
        }
        Ok(Some(0))
    }

    /// Reads or receives a message.
    pub(crate) fn receive(&mut self, caller: &Vcpu, kind: u32, [number, address, capacity]: [u64; 3]) -> Reply {
        let channel = self.channel(caller, number, kind, DESTINATION)?;
        let record = channel.record;
        let now = if kind == SAMPLING { self.machine.now() } else { 0 };
        let mut book = channel.book.lock();
        if book.count == 0 {
            return Err(Error::Empty);
        }
        let slot = book.head;
        let length = book.lengths.get(slot as usize).copied().unwrap_or(0);
        if capacity < u64::from(length) {
            return Err(Error::WrongSize);
        }
        let to = caller.partition.locate(address, u64::from(length), WRITE, &caller.region_hint)?;
        self.machine.copy(to, channel.slot(slot), length);
        let mut value = u64::from(length);
        let mut was_full = false;
        if kind == SAMPLING {
            value |= u64::from(now.saturating_sub(book.written) <= record.refresh) << 32;
        } else {
            was_full = book.count == record.depth;
            book.count -= 1;
            book.head = if slot + 1 == record.depth { 0 } else { slot + 1 };
        }
        drop(book);
        caller.mailbox.accounts.received.add(1);
        if was_full {
            self.announce(record.writer);
        }
        Ok(Some(value))
    }

    /// How many messages wait at a port of the caller.
    pub(crate) fn port_status(&self, caller: &Vcpu, number: u64) -> Reply {
        let port = bounded(caller.partition.ports, number)?;
        let channel = self.shared.channels.get(port.channel as usize).ok_or(Error::NoSuchObject)?;
        Ok(Some(u64::from(channel.book.lock().count)))
    }

    /// Raises a port's event in the vCPU that listens to it.
    fn announce(&mut self, port: u32) {
        if let Some(port) = self.shared.plan.ports().get(port as usize)
            && port.event < 64
        {
            self.signal(port.vcpu, 1 << port.event);
        }
    }
}

/// The object of that number, which a caller named. The index is masked as well as checked: a
/// processor that runs ahead of the check must not reach beyond the table either.
pub(crate) fn bounded<T>(table: &[T], number: u64) -> Result<&T, Error> {
    let length = table.len() as u64;
    if number >= length {
        return Err(Error::NoSuchObject);
    }
    // All ones if the number is below the length, computed without a branch.
    let mask = core::hint::black_box((number.wrapping_sub(length) as i64 >> 63) as u64);
    table.get((number & mask) as usize).ok_or(Error::NoSuchObject)
}
