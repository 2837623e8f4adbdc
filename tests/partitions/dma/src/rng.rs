// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A virtio entropy device over PCI (virtio 1.2, §2.7, §4.1, §5.4), as little of it as makes it write.

use parzelle_rt::abi::info::{ObjectInfo, ObjectKind};
use parzelle_rt::device::Mapped;
use parzelle_rt::time::{MILLISECOND, SECOND};
use parzelle_rt::{Error, Interrupt, Partition, Volatile, now, wait};
use test_support::Test;

/// Entries of the queue.
const SIZE: u16 = 8;
/// Where the parts of the queue lie in the DMA memory: descriptors, available, used, buffer.
const AVAILABLE: u64 = 0x100;
const USED: u64 = 0x200;
const BUFFER: u64 = 0x1000;

/// VIRTIO_F_VERSION_1 and VIRTIO_F_ACCESS_PLATFORM, bits 32 and 33.
const FEATURES: u32 = 0b11;

/// The device.
pub(crate) struct Rng {
    common: Volatile,
    notify: Volatile,
    memory: Volatile,
    bus: u64,
    line: Interrupt,
    asked: u16,
}

impl Rng {
    /// Finds it by its configuration space.
    pub(crate) fn open(me: &Partition, test: &mut Test) -> Result<Self, Error> {
        let config = me.object(ObjectKind::PciFunction, "rng0")?.memory();
        let word = |at: u64| config.load_u32(at).unwrap_or(0);
        test.equal("ids", word(0), 0x1044_1af4);
        test.equal("decoding, master, no INTx", word(4) & 0x406, 0x406);
        let (mut common, mut notify) = (None, None);
        let mut at = u64::from(word(0x34) & 0xfc);
        while at != 0 {
            let head = word(at);
            // Vendor-specific: which part, behind which register, from where on.
            match (head & 0xff, head >> 24) {
                (9, 1) => common = part(me, word(at + 4), word(at + 8)),
                (9, 2) => notify = part(me, word(at + 4), word(at + 8)),
                _ => {}
            }
            at = u64::from(head >> 8 & 0xfc);
        }
        let dma: &'static ObjectInfo = me.object(ObjectKind::DmaMemory, "dma-memory")?;
        let (common, notify) = (common.unwrap_or(Volatile::EMPTY), notify.unwrap_or(Volatile::EMPTY));
        test.check(!common.is_empty() && !notify.is_empty(), "registers are missing");
        let line = me.interrupt("rng0")?;
        Ok(Self { common, notify, memory: dma.memory(), bus: dma.extra, line, asked: 0 })
    }

    /// Resets it and sets up its queue (§3.1.1).
    pub(crate) fn begin(&mut self) {
        let common = self.common;
        let status = |value: u8| common.store_u8(0x14, value);
        status(0);
        self.asked = 0;
        self.zero(0);
        status(1);
        status(3);
        for (half, features) in [(0, 0), (1, FEATURES)] {
            common.store_u32(0x08, half);
            common.store_u32(0x0c, features);
        }
        status(11);
        common.store_u16(0x16, 0);
        common.store_u16(0x18, SIZE);
        common.store_u16(0x1a, 0);
        for (register, part) in [(0x20, 0), (0x28, AVAILABLE), (0x30, USED)] {
            common.store_u32(register, (self.bus + part) as u32);
            common.store_u32(register + 4, ((self.bus + part) >> 32) as u32);
        }
        common.store_u16(0x1c, 1);
        status(15);
        let _ = self.line.acknowledge();
    }

    /// Where the buffer is for the device.
    pub(crate) fn buffer(&self) -> u64 {
        self.bus + BUFFER
    }

    /// Empties the buffer.
    pub(crate) fn clear(&self) {
        self.zero(BUFFER);
    }

    /// Zeroes a page of the DMA memory.
    fn zero(&self, page: u64) {
        for at in (page..page + 4096).step_by(8) {
            self.memory.store_u64(at, 0);
        }
    }

    /// Whether the buffer is not empty any more.
    pub(crate) fn is_random(&self) -> bool {
        (0..8).all(|word| self.memory.load_u64(BUFFER + 8 * word).is_some_and(|word| word != 0))
    }

    /// Asks for bytes at a bus address.
    pub(crate) fn ask(&mut self, address: u64, bytes: u32) {
        let memory = self.memory;
        memory.store_u64(0, address);
        memory.store_u32(8, bytes);
        // The device writes.
        memory.store_u32(12, 2);
        memory.store_u16(AVAILABLE + 4 + 2 * u64::from(self.asked % SIZE), 0);
        self.asked += 1;
        memory.store_u16(AVAILABLE + 2, self.asked);
        self.notify.store_u16(0, 0);
    }

    /// Waits for its interrupt, which comes once.
    pub(crate) fn hear(&self, test: &mut Test) {
        let event = self.line.event();
        test.equal("its message", wait(now() + SECOND, event), event);
        test.equal("masked until acknowledged", wait(now() + MILLISECOND, event), 0);
        let _ = self.line.acknowledge();
    }

    /// How many bytes the latest answer has; `None` if there is none.
    pub(crate) fn answer(&self) -> Option<u32> {
        let index = self.memory.load_u16(USED + 2)?;
        let last = u64::from(index.wrapping_sub(1) % SIZE);
        if index == self.asked { self.memory.load_u32(USED + 4 + 8 * last + 4) } else { None }
    }
}

/// A part of the registers behind a base address register.
fn part(me: &Partition, bar: u32, offset: u32) -> Option<Volatile> {
    let mut all = me.objects_of(ObjectKind::Registers);
    let registers = all.find(|object| object.number == bar & 0xff)?;
    registers.memory().part(u64::from(offset), 0x1000)
}
