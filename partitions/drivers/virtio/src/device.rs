// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A virtio device of the partition: found by its name, reset, negotiated with.

use core::fmt;
use core::ptr::NonNull;

use parzelle_rt::abi::info::ObjectKind;
use parzelle_rt::{Interrupt, Partition, Volatile};
use virtio_drivers::transport::mmio::{MmioTransport, MmioVersion, VirtIOHeader};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, SomeTransport, Transport};
use zerocopy::{FromBytes, IntoBytes};

use crate::dma::Dma;
use crate::pci;
use crate::queue::Queue;
use crate::{ACCESS_PLATFORM, VERSION_1};

pub use virtio_drivers::transport::DeviceType as Kind;

/// How often the status is looked at after a reset, until the device has done it.
const PATIENCE: usize = 1_000_000;

/// The most interrupts of a device that are used: for changes of the configuration, and two queues.
const LINES: usize = 3;

/// Why a device can't be driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The description doesn't give it to this partition.
    Missing,
    /// It is no virtio device, or not of the kind that is wanted.
    Kind,
    /// It speaks only the version before virtio 1.
    Legacy,
    /// It does not leave its reset, or refuses the features.
    Refused,
    /// It has no such queue, or none so large.
    Queue,
    /// There is not enough DMA memory.
    Memory,
    /// A PCI function that isn't what it should be.
    Pci,
    /// The interrupt can't be had.
    Interrupt,
    /// The function has no MSI-X message for a queue.
    Vector,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Missing => "the description doesn't give the device to this partition",
            Error::Kind => "no virtio device of this kind is there",
            Error::Legacy => "the device speaks no virtio 1",
            Error::Refused => "the device refuses to be driven",
            Error::Queue => "the device has no such queue",
            Error::Memory => "not enough `dma-memory`",
            Error::Pci => "the PCI function is not what it should be",
            Error::Interrupt => "the device's interrupt can't be had",
            Error::Vector => "the device has no message for its queue",
        })
    }
}

impl core::error::Error for Error {}

/// A device.
#[derive(Debug)]
pub struct Device {
    transport: SomeTransport<'static>,
    /// PCI: the common configuration, where queues get their MSI-X vectors.
    common: Option<Volatile>,
    lines: [Option<Interrupt>; LINES],
}

impl Device {
    /// Opens the partition's device of that name.
    ///
    /// # Errors
    /// What it is not.
    pub fn open(me: &Partition, name: &str, kind: DeviceType) -> Result<Self, Error> {
        let mut all = me.interrupts(name);
        let lines = core::array::from_fn(|_| all.next());
        if lines.first().is_none_or(Option::is_none) {
            return Err(Error::Interrupt);
        }
        let (transport, common) = match me.object(ObjectKind::PciFunction, name) {
            Ok(function) => {
                let (transport, common) = pci::open(me, function)?;
                (SomeTransport::Pci(transport), Some(common))
            }
            Err(_) => (SomeTransport::Mmio(mmio(me, name)?), None),
        };
        if transport.device_type() != kind {
            return Err(Error::Kind);
        }
        Ok(Self { transport, common, lines })
    }

    /// Resets the device and agrees on features: those of `wanted` that it has. Nothing of an
    /// earlier life of this program is under way afterwards.
    ///
    /// # Errors
    /// [`Error::Legacy`], [`Error::Refused`].
    pub fn begin(&mut self, wanted: u64) -> Result<u64, Error> {
        self.transport.set_status(DeviceStatus::empty());
        let mut looks = 0..PATIENCE;
        if !looks.any(|_| self.transport.get_status() == DeviceStatus::empty()) {
            return Err(Error::Refused);
        }
        let known = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER;
        self.transport.set_status(known);
        let features = self.transport.read_device_features() & (wanted | VERSION_1 | ACCESS_PLATFORM);
        if features & VERSION_1 == 0 {
            return Err(Error::Legacy);
        }
        self.transport.write_driver_features(features);
        self.transport.set_status(known | DeviceStatus::FEATURES_OK);
        if let Some(common) = self.common {
            pci::set_configuration_vector(&common)?;
        }
        let agreed = self.transport.get_status().contains(DeviceStatus::FEATURES_OK);
        if agreed { Ok(features) } else { Err(Error::Refused) }
    }

    /// Makes a queue. With MSI-X, message 0 tells of changes of the configuration, message n + 1 of
    /// queue n, if there are so many; else the last one tells of all.
    ///
    /// # Errors
    /// [`Error::Queue`], [`Error::Memory`].
    pub fn queue<const SLOTS: usize, const CHAIN: usize>(
        &mut self,
        number: u16,
        dma: &mut Dma,
    ) -> Result<Queue<SLOTS, CHAIN>, Error> {
        let size = Queue::<SLOTS, CHAIN>::SIZE.into();
        if self.transport.max_queue_size(number) < size || self.transport.queue_used(number) {
            return Err(Error::Queue);
        }
        if let Some(common) = self.common {
            let messages = self.lines.iter().flatten().count() as u16;
            pci::set_vector(&common, number, (number + 1).min(messages.saturating_sub(1)))?;
        }
        let queue = Queue::new(dma).ok_or(Error::Memory)?;
        let [descriptors, available, used] = queue.places();
        self.transport.queue_set(number, size, descriptors, available, used);
        Ok(queue)
    }

    /// Lets the device work, and its interrupt come.
    ///
    /// # Errors
    /// [`Error::Interrupt`].
    pub fn start(&mut self) -> Result<(), Error> {
        self.transport.finish_init();
        self.lines.iter().flatten().try_for_each(Interrupt::acknowledge).map_err(|_| Error::Interrupt)
    }

    /// Tells the device that a queue has news.
    pub fn tell(&mut self, queue: u16) {
        self.transport.notify(queue);
    }

    /// Reads a field of the device's configuration; `None` if it has no such.
    pub fn config<T: FromBytes + IntoBytes>(&self, offset: usize) -> Option<T> {
        self.transport.read_config_space(offset).ok()
    }

    /// The events of its interrupts, as a mask.
    pub fn events(&self) -> u64 {
        self.lines.iter().flatten().fold(0, |mask, line| mask | line.event())
    }

    /// Lets the next interrupts come, after some of `events` were heard and before the queues are
    /// looked at. Returns whether the configuration may have changed.
    pub fn acknowledge(&mut self, events: u64) -> bool {
        let heard = |line: &&Interrupt| events & line.event() != 0;
        let all = || self.lines.iter().flatten();
        let [mut has_changed, is_ours] =
            [all().next().is_some_and(|line| heard(&line)), all().any(|line| heard(&line))];
        // With MSI-X there is no status to clear (virtio 1.2, 4.1.4.5).
        if is_ours && self.common.is_none() {
            has_changed = self.transport.ack_interrupt().contains(InterruptStatus::DEVICE_CONFIGURATION_INTERRUPT);
        }
        for line in self.lines.iter().flatten().filter(heard) {
            // It is a line of ours: the kernel has no reason to refuse.
            let _ = line.acknowledge();
        }
        has_changed
    }
}

/// Opens a device by its registers in memory.
fn mmio(me: &Partition, name: &str) -> Result<MmioTransport<'static>, Error> {
    let registers = me.registers(name).map_err(|_| Error::Missing)?.memory();
    let header = NonNull::new(registers.address() as *mut VirtIOHeader).ok_or(Error::Missing)?;
    if !header.is_aligned() {
        return Err(Error::Missing);
    }
    // SAFETY: the tool has mapped these registers, so many bytes of them, for as long as the
    // partition runs; nothing else of the program touches them. The transport checks the length.
    let transport = unsafe { MmioTransport::new(header, registers.len() as usize) };
    let transport = transport.map_err(|_| Error::Kind)?;
    if transport.version() == MmioVersion::Legacy { Err(Error::Legacy) } else { Ok(transport) }
}
