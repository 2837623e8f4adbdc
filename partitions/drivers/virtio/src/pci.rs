// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Virtio over PCI (virtio 1.2, 4.1), in a partition that sees one function's configuration space,
//! read-only, and its base address registers where the tool has mapped them.
//!
//! The kernel has placed and enabled everything before the first window. What the library wants to
//! write (it sizes base address registers by writing ones) is answered here, without the device: the
//! addresses it gets are those of the program.

use core::ptr::NonNull;

use parzelle_rt::abi::info::{ObjectInfo, ObjectKind};
use parzelle_rt::device::Mapped;
use parzelle_rt::{Partition, Volatile};
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction, PciRoot};
use virtio_drivers::transport::pci::{PciTransport, VIRTIO_PCI_CAP_COMMON_CFG};
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

use crate::device::Error;

/// Offset of the first base address register.
const BAR0: u8 = 0x10;
/// Behind the last one.
const BARS_END: u8 = 0x28;
/// Capability of a vendor (PCI 3.0, appendix H).
const VENDOR: u8 = 0x09;
/// In the common configuration (virtio 1.2, 4.1.4.3): the MSI-X vector of its changes.
const CONFIGURATION_VECTOR: u64 = 16;
/// Which queue is meant.
const QUEUE_SELECT: u64 = 22;
/// Its MSI-X vector.
const QUEUE_VECTOR: u64 = 26;

/// Opens the function; gives the common configuration, too.
pub(crate) fn open(me: &Partition, function: &'static ObjectInfo) -> Result<(PciTransport, Volatile), Error> {
    let space = Space::new(me, function);
    let common = space.common().ok_or(Error::Pci)?;
    let mut root = PciRoot::new(space);
    let place = DeviceFunction { bus: 0, device: 0, function: 0 };
    let transport = PciTransport::new::<Mapping, _>(&mut root, place).map_err(|error| {
        log::error!("{error}");
        Error::Pci
    })?;
    Ok((transport, common))
}

/// Gives changes of the configuration the first vector.
pub(crate) fn set_configuration_vector(common: &Volatile) -> Result<(), Error> {
    common.store_u16(CONFIGURATION_VECTOR, 0).ok_or(Error::Pci)
}

/// Gives a queue its vector.
pub(crate) fn set_vector(common: &Volatile, queue: u16, vector: u16) -> Result<(), Error> {
    common.store_u16(QUEUE_SELECT, queue).ok_or(Error::Pci)?;
    common.store_u16(QUEUE_VECTOR, vector).ok_or(Error::Pci)?;
    // A device that has no room for it says 0xffff (4.1.4.3.1).
    let taken = common.load_u16(QUEUE_VECTOR) == Some(vector);
    if taken { Ok(()) } else { Err(Error::Vector) }
}

/// The configuration space of the one function that there is.
#[derive(Clone, Copy, Debug)]
struct Space {
    memory: Volatile,
    /// Base address registers that are mapped.
    bars: [Volatile; 6],
    /// Ones were written to it last: it is being sized.
    is_sized: [bool; 6],
}

impl Space {
    /// What the tool has mapped of a function.
    fn new(me: &Partition, function: &'static ObjectInfo) -> Self {
        let mut bars = [Volatile::EMPTY; 6];
        for object in me.objects_of(ObjectKind::Registers).filter(|object| object.name == function.name) {
            if let Some(bar) = bars.get_mut(object.number as usize) {
                *bar = object.memory();
            }
        }
        Self { memory: function.memory(), bars, is_sized: [false; 6] }
    }

    /// A word as the device has it.
    fn word(&self, offset: u8) -> u32 {
        self.memory.load_u32(offset.into()).unwrap_or(u32::MAX)
    }

    /// A base address register, as it would read if the device lay where it is mapped.
    fn bar(&self, index: usize) -> u32 {
        let real = self.word(BAR0 + 4 * index as u8);
        let is_upper = index.checked_sub(1).is_some_and(|below| self.word(BAR0 + 4 * below as u8) & 7 == 4);
        let own = if is_upper { index - 1 } else { index };
        let Some(bar) = self.bars.get(own).filter(|bar| !bar.is_empty()) else { return 0 };
        let sized = self.is_sized.get(index).copied().unwrap_or(false);
        let value = if sized { !(bar.len().next_power_of_two() - 1) } else { bar.address() };
        if is_upper { (value >> 32) as u32 } else { value as u32 & !0xf | real & 0xf }
    }

    /// The common configuration.
    fn common(&self) -> Option<Volatile> {
        let mut at = self.word(0x34) as u8 & 0xfc;
        // A list has no more capabilities than fit in the space.
        for _ in 0..48 {
            let head = self.word(at);
            if at == 0 {
                return None;
            }
            if head as u8 == VENDOR && (head >> 24) as u8 == VIRTIO_PCI_CAP_COMMON_CFG {
                let bar = self.bars.get(usize::from(self.word(at + 4) as u8))?;
                return bar.part(self.word(at + 8).into(), self.word(at + 12).into());
            }
            at = (head >> 8) as u8 & 0xfc;
        }
        None
    }
}

impl ConfigurationAccess for Space {
    fn read_word(&self, _: DeviceFunction, offset: u8) -> u32 {
        match offset {
            BAR0..BARS_END => self.bar(usize::from(offset - BAR0) / 4),
            _ => self.word(offset),
        }
    }

    fn write_word(&mut self, _: DeviceFunction, offset: u8, data: u32) {
        if let Some(sized) = offset.checked_sub(BAR0).and_then(|at| self.is_sized.get_mut(usize::from(at) / 4)) {
            *sized = data == u32::MAX;
        }
    }

    unsafe fn unsafe_clone(&self) -> Self {
        *self
    }
}

/// How the library's addresses become pointers.
struct Mapping;

// SAFETY: the library asks only for addresses in base address registers, whose bounds it has
// checked, and those that `Space` gives it are where they are mapped for this program, for as long as
// it runs. It gets no memory for DMA from here: address 0 is "none".
unsafe impl Hal for Mapping {
    fn dma_alloc(_: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        (0, NonNull::dangling())
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(address as *mut u8).unwrap_or(NonNull::dangling())
    }

    unsafe fn share(_: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        0
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}
