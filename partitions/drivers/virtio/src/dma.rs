// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The memory that a driver shares with its devices: handed out once, in pieces, never given back.

use parzelle_rt::abi::info::ObjectKind;
use parzelle_rt::device::Mapped;
use parzelle_rt::{Error, Partition, Volatile};

/// A piece, by the addresses of both sides.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// For the program. The device may change it at any time.
    pub memory: Volatile,
    /// For the device.
    pub bus: u64,
}

impl Region {
    /// A part of it; `None` if that is not all within.
    pub fn part(&self, offset: u64, bytes: u64) -> Option<Region> {
        Some(Region { memory: self.memory.part(offset, bytes)?, bus: self.bus + offset })
    }
}

/// What is left.
#[derive(Debug)]
pub struct Dma {
    all: Region,
    used: u64,
}

impl Dma {
    /// The partition's DMA memory (`dma-memory` in the description or the program's metadata).
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none.
    pub fn of(me: &Partition) -> Result<Self, Error> {
        let mut objects = me.objects_of(ObjectKind::DmaMemory);
        let object = objects.next().ok_or(Error::Bounds)?;
        Ok(Self::new(Region { memory: object.memory(), bus: object.extra }))
    }

    /// Hands out pieces of this.
    pub fn new(all: Region) -> Self {
        Self { all, used: 0 }
    }

    /// A piece that begins at a multiple of `align`, a power of two from 8 on. What it holds may be
    /// from an earlier life. `None` when there is not so much left.
    pub fn take(&mut self, bytes: u64, align: u64) -> Option<Region> {
        let start = self.all.bus.checked_add(self.used)?.checked_next_multiple_of(align)? - self.all.bus;
        let region = self.all.part(start, bytes)?;
        self.used = start + bytes;
        Some(region)
    }

    /// As [`Self::take`], filled with zeros.
    pub fn zeroed(&mut self, bytes: u64, align: u64) -> Option<Region> {
        let region = self.take(bytes.next_multiple_of(8), align)?;
        (0..bytes.div_ceil(8)).try_for_each(|word| region.memory.store_u64(8 * word, 0))?;
        Some(region)
    }
}
