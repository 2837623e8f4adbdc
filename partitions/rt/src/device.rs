// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a partition has beyond ports: shared memory, doorbells, device registers, interrupts.

use parzelle_abi::Call;
use parzelle_abi::info::{ObjectInfo, ObjectKind};

use crate::call::plain;
use crate::error::Error;
use crate::mem::Volatile;
use crate::partition::Partition;
use crate::port::mask;

/// The memory of an object that the tool has mapped.
pub(crate) fn memory(object: &ObjectInfo) -> Volatile {
    if !Partition::get().holds(object) {
        return Volatile::EMPTY;
    }
    // SAFETY: the object stands in the information pages, so the tool has mapped what it
    // describes, for as long as the partition runs, and gives the range to no program segment;
    // it holds integers only.
    unsafe { Volatile::new(object.address, object.size) }
}

/// What an object of the information pages gives to the program.
pub trait Mapped {
    /// Its memory: shared memory, device registers, rings. Empty for what has none.
    fn memory(&self) -> Volatile;
}

impl Mapped for &'static ObjectInfo {
    fn memory(&self) -> Volatile {
        memory(self)
    }
}

/// Memory that other partitions see too. What is read from it may be anything.
#[derive(Clone, Copy, Debug)]
pub struct Shared(&'static ObjectInfo);

impl Shared {
    /// The memory.
    pub fn memory(&self) -> Volatile {
        memory(self.0)
    }

    /// Whether this partition may write to it.
    pub fn is_writable(&self) -> bool {
        self.0.extra & 1 != 0
    }
}

/// A bell of ours that a peer hears.
#[derive(Clone, Copy, Debug)]
pub struct Doorbell(u32);

impl Doorbell {
    /// The doorbell of that number in this partition; `None` for "there is none" in an object.
    pub fn of_number(number: u32) -> Option<Self> {
        (number != u32::MAX).then_some(Self(number))
    }

    /// Raises the doorbell's event in the peer.
    ///
    /// # Errors
    /// None for a doorbell of this partition.
    #[inline]
    pub fn ring(&self) -> Result<(), Error> {
        Ok(plain(Call::Ring, [u64::from(self.0), 0, 0]).map(|_| ())?)
    }

    /// The number that kernel calls take.
    pub fn number(&self) -> u32 {
        self.0
    }
}

/// Registers of a device, in memory.
#[derive(Clone, Copy, Debug)]
pub struct Registers(Volatile);

impl Registers {
    /// The registers, by offset.
    pub fn memory(&self) -> Volatile {
        self.0
    }

    /// Reads a register; 0 outside of them.
    #[inline]
    pub fn read(&self, offset: u64) -> u32 {
        self.0.load_u32(offset).unwrap_or(0)
    }

    /// Writes a register; nothing happens outside of them.
    #[inline]
    pub fn write(&self, offset: u64, value: u32) {
        self.0.store_u32(offset, value);
    }
}

/// An interrupt line of a device that this partition owns.
#[derive(Clone, Copy, Debug)]
pub struct Interrupt(&'static ObjectInfo);

impl Interrupt {
    /// The event that it raises, as a mask.
    pub fn event(&self) -> u64 {
        mask(self.0)
    }

    /// Unmasks the line: at first, and after each interrupt was served.
    ///
    /// # Errors
    /// None for a line of this partition.
    #[inline]
    pub fn acknowledge(&self) -> Result<(), Error> {
        Ok(plain(Call::AckInterrupt, [u64::from(self.0.number), 0, 0]).map(|_| ())?)
    }

    /// The number that kernel calls take.
    pub fn number(&self) -> u32 {
        self.0.number
    }
}

impl Partition {
    /// The shared memory of that name.
    ///
    /// # Errors
    /// [`Error::Missing`] if the description gives none.
    pub fn shared(&self, name: &str) -> Result<Shared, Error> {
        self.object(ObjectKind::Shared, name).map(Shared)
    }

    /// The doorbell that `peer` hears.
    ///
    /// # Errors
    /// [`Error::Missing`] if no memory is shared with a partition of that name.
    pub fn doorbell(&self, peer: &str) -> Result<Doorbell, Error> {
        self.object(ObjectKind::DoorbellOut, peer).map(|object| Doorbell(object.number))
    }

    /// The event, as a mask, that `peer` raises here by its doorbell.
    ///
    /// # Errors
    /// [`Error::Missing`] if no memory is shared with a partition of that name.
    pub fn doorbell_event(&self, peer: &str) -> Result<u64, Error> {
        self.object(ObjectKind::DoorbellIn, peer).map(mask)
    }

    /// The registers of a device; of several blocks the first.
    ///
    /// # Errors
    /// [`Error::Missing`] if the partition doesn't own it, or it has none.
    pub fn registers(&self, device: &str) -> Result<Registers, Error> {
        self.object(ObjectKind::Registers, device).map(|object| Registers(memory(object)))
    }

    /// The (first, count) of a device's I/O ports (x86-64).
    ///
    /// # Errors
    /// [`Error::Missing`] if the partition doesn't own it, or it has none.
    pub fn io_ports(&self, device: &str) -> Result<(u16, u16), Error> {
        let object = self.object(ObjectKind::IoPorts, device)?;
        Ok((object.address as u16, object.size as u16))
    }

    /// A device's interrupt line; of several the first.
    ///
    /// # Errors
    /// [`Error::Missing`] if the partition doesn't own it, or it has none.
    pub fn interrupt(&self, device: &str) -> Result<Interrupt, Error> {
        self.object(ObjectKind::Interrupt, device).map(Interrupt)
    }

    /// All interrupt lines of a device, in the order of the description; of a PCI function, of its
    /// messages.
    pub fn interrupts(&self, device: &str) -> impl Iterator<Item = Interrupt> {
        self.objects_of(ObjectKind::Interrupt).filter(move |line| line.name.as_str() == device).map(Interrupt)
    }
}
