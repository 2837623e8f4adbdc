// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Channels between ports: sampling (the latest message) and queuing (all of them, in order).
//!
//! The messages lie in a buffer that only the partitions at the ends have mapped for the kernel;
//! what is here is the book-keeping. The lock is a FIFO, held for one bounded copy.

use crate::kernel::CoreState;
use crate::machine::{Arena, Machine};
use crate::memory::locate;
use core::sync::atomic::Ordering::Relaxed;
use parzelle_abi::Error;
use parzelle_plan::{ChannelRecord, DESTINATION, PortRecord, QUEUING, READ, SAMPLING, SOURCE, WRITE};

/// The book-keeping of a channel.
pub(crate) struct Channel {
    /// The lengths of the messages, by slot.
    lengths: &'static mut [u32],
    head: u32,
    count: u32,
    /// Sampling: when the message was written.
    written: u64,
    queuing: bool,
}

impl Channel {
    /// An empty channel.
    pub(crate) fn new(arena: &mut impl Arena, record: &ChannelRecord) -> Option<Channel> {
        Some(Channel {
            lengths: arena.take(record.depth.max(1) as usize, |_, _| Some(0))?,
            head: 0,
            count: 0,
            written: 0,
            queuing: record.kind == QUEUING,
        })
    }

    /// Drops the messages of a queuing channel. A sampling message stays: it is the writer's.
    pub(crate) fn clear_queue(&mut self) {
        if self.queuing {
            (self.head, self.count) = (0, 0);
        }
    }
}

/// Where message `slot` lies.
fn slot_address(record: &ChannelRecord, slot: u32) -> u64 {
    record.buffer + u64::from(slot) * u64::from(record.message_bytes.next_multiple_of(16))
}

impl<M: Machine> CoreState<M> {
    /// The caller's port `number`, if it is of that kind and direction, with its channel.
    #[inline]
    fn port(
        &self,
        partition: u32,
        number: u64,
        kind: u32,
        direction: u32,
    ) -> Result<(PortRecord, u32, ChannelRecord), Error> {
        let plan = &self.shared.plan;
        let span = plan.partitions().get(partition as usize).ok_or(Error::NoSuchObject)?.ports;
        let ports = plan.ports().get(span.range()).ok_or(Error::NoSuchObject)?;
        let port = usize::try_from(number).ok().and_then(|number| ports.get(number)).ok_or(Error::NoSuchObject)?;
        let channel = plan.channels().get(port.channel as usize).ok_or(Error::NoSuchObject)?;
        if channel.kind != kind || port.direction != direction {
            return Err(Error::NoSuchObject);
        }
        Ok((*port, port.channel, *channel))
    }

    /// The caller's memory for a message, physical.
    #[inline]
    fn message_memory(&mut self, caller: u32, address: u64, bytes: u64, access: u32) -> Result<u64, Error> {
        let plan = &self.shared.plan;
        let vcpu = self.data.vcpus.get_mut(caller as usize).ok_or(Error::InvalidAddress)?;
        locate(plan, vcpu.partition as usize, address, bytes, access, &mut vcpu.region_hint)
    }

    /// Writes or sends a message.
    pub(crate) fn send(
        &mut self,
        caller: u32,
        kind: u32,
        number: u64,
        address: u64,
        length: u64,
    ) -> Result<Option<u64>, Error> {
        let partition = self.partition_of(caller);
        let (_, index, record) = self.port(partition, number, kind, SOURCE)?;
        if length == 0 || length > u64::from(record.message_bytes) {
            return Err(Error::WrongSize);
        }
        let from = self.message_memory(caller, address, length, READ)?;
        let now = self.machine.now();
        let channel = self.shared.channels.get(index as usize).ok_or(Error::NoSuchObject)?;
        {
            let mut channel = channel.lock();
            let slot = if kind == SAMPLING {
                0
            } else if channel.count == record.depth {
                return Err(Error::Full);
            } else {
                let slot = channel.head + channel.count;
                if slot >= record.depth { slot - record.depth } else { slot }
            };
            self.machine.copy(slot_address(&record, slot), from, length as u32);
            if let Some(entry) = channel.lengths.get_mut(slot as usize) {
                *entry = length as u32;
            }
            if kind == SAMPLING {
                (channel.count, channel.written) = (1, now);
            } else {
                channel.count += 1;
            }
        }
        if let Some(state) = self.shared.partitions.get(partition as usize) {
            state.messages_sent.fetch_add(1, Relaxed);
        }
        let plan = &self.shared.plan;
        for reader in plan.channel_readers().get(record.readers.range()).unwrap_or(&[]) {
            self.announce(*reader);
        }
        Ok(Some(0))
    }

    /// Reads or receives a message.
    pub(crate) fn receive(
        &mut self,
        caller: u32,
        kind: u32,
        number: u64,
        address: u64,
        capacity: u64,
    ) -> Result<Option<u64>, Error> {
        let partition = self.partition_of(caller);
        let (_, index, record) = self.port(partition, number, kind, DESTINATION)?;
        let now = self.machine.now();
        let shared = self.shared;
        let mut channel = shared.channels.get(index as usize).ok_or(Error::NoSuchObject)?.lock();
        if channel.count == 0 {
            return Err(Error::Empty);
        }
        let slot = channel.head;
        let length = channel.lengths.get(slot as usize).copied().unwrap_or(0);
        if capacity < u64::from(length) {
            return Err(Error::WrongSize);
        }
        let to = self.message_memory(caller, address, u64::from(length), WRITE)?;
        self.machine.copy(to, slot_address(&record, slot), length);
        let mut value = u64::from(length);
        let mut was_full = false;
        if kind == SAMPLING {
            value |= u64::from(now.saturating_sub(channel.written) <= record.refresh) << 32;
        } else {
            was_full = channel.count == record.depth;
            channel.count -= 1;
            channel.head = if slot + 1 == record.depth { 0 } else { slot + 1 };
        }
        drop(channel);
        if let Some(state) = shared.partitions.get(partition as usize) {
            state.messages_received.fetch_add(1, Relaxed);
        }
        if was_full {
            self.announce(record.writer);
        }
        Ok(Some(value))
    }

    /// How many messages wait at a port of the caller.
    pub(crate) fn port_status(&self, caller: u32, number: u64) -> Result<Option<u64>, Error> {
        let partition = self.partition_of(caller);
        let found = [(SAMPLING, SOURCE), (SAMPLING, DESTINATION), (QUEUING, SOURCE), (QUEUING, DESTINATION)]
            .into_iter()
            .find_map(|(kind, direction)| self.port(partition, number, kind, direction).ok());
        let (_, index, _) = found.ok_or(Error::NoSuchObject)?;
        let channel = self.shared.channels.get(index as usize).ok_or(Error::NoSuchObject)?;
        Ok(Some(u64::from(channel.lock().count)))
    }

    /// Raises a port's event in the vCPU that listens to it.
    fn announce(&mut self, port: u32) {
        let plan = &self.shared.plan;
        if let Some(port) = plan.ports().get(port as usize)
            && port.event < 64
        {
            self.signal(port.vcpu, 1 << port.event);
        }
    }

    /// The partition of a vCPU of this core.
    #[inline]
    pub(crate) fn partition_of(&self, local: u32) -> u32 {
        self.data.vcpus.get(local as usize).map_or(u32::MAX, |vcpu| vcpu.partition)
    }
}
