// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Virtual disks: ranges of a device's sectors, with a right each.

use core::ops::Range;

use parzelle_ring::block::{Operation, Status};

/// Bytes of a sector, everywhere (virtio 1.2, 5.2.4: `capacity` counts 512 bytes, whatever the
/// device's own blocks are).
pub const SECTOR: u64 = 512;

/// A virtual disk. Holding one means that its sectors lie within the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    first: u64,
    sectors: u64,
    read_only: bool,
}

impl Disk {
    /// The disk of these sectors, of a device with `capacity` of them. `None` if it is empty or
    /// does not lie within.
    pub fn new(range: Range<u64>, read_only: bool, capacity: u64) -> Option<Self> {
        let sectors = range.end.checked_sub(range.start).filter(|&sectors| sectors > 0)?;
        (range.end <= capacity).then_some(Self { first: range.start, sectors, read_only })
    }

    /// The disk of `bytes` bytes from byte `start` on. `None` also if these are no whole sectors.
    pub fn of_bytes(start: u64, bytes: u64, read_only: bool, capacity: u64) -> Option<Self> {
        let whole = start.is_multiple_of(SECTOR) && bytes.is_multiple_of(SECTOR);
        let end = start.checked_add(bytes).filter(|_| whole)?;
        Self::new(start / SECTOR..end / SECTOR, read_only, capacity)
    }

    /// Its size in sectors.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Whether it may only be read.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Its sectors on the device.
    pub fn range(&self) -> Range<u64> {
        self.first..self.first + self.sectors
    }

    /// Where on the device `bytes` bytes at `sector` of this disk lie.
    ///
    /// # Errors
    /// The answer to a request that asks for what this disk does not give.
    pub fn place(&self, operation: Operation, sector: u64, bytes: u64) -> Result<u64, Status> {
        if matches!(operation, Operation::Write | Operation::Discard) && self.read_only {
            return Err(Status::ReadOnly);
        }
        if bytes == 0 || !bytes.is_multiple_of(SECTOR) {
            return Err(Status::Invalid);
        }
        let end = sector.checked_add(bytes / SECTOR).ok_or(Status::Invalid)?;
        if end > self.sectors { Err(Status::Invalid) } else { Ok(self.first + sector) }
    }
}

/// The disks of a device, by name. The same disk may be there for several clients; different disks
/// have no sector in common.
#[derive(Debug)]
pub struct Table<'a, const DISKS: usize> {
    disks: heapless::Vec<(&'a str, Range<u64>), DISKS>,
}

impl<const DISKS: usize> Default for Table<'_, DISKS> {
    fn default() -> Self {
        Self { disks: heapless::Vec::new() }
    }
}

impl<'a, const DISKS: usize> Table<'a, DISKS> {
    /// Enters a client's disk under the disk's name.
    ///
    /// # Errors
    /// The name of the disk with which it shares sectors; its own name, if that has another range
    /// already or the table is full.
    pub fn enter(&mut self, name: &'a str, disk: &Disk) -> Result<(), &'a str> {
        let range = disk.range();
        for (other, taken) in &self.disks {
            match *other == name {
                true if *taken == range => return Ok(()),
                false if taken.end <= range.start || range.end <= taken.start => {}
                _ => return Err(other),
            }
        }
        self.disks.push((name, range)).map_err(|_| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_disk_lies_within_its_device() {
        assert!(Disk::new(10..20, false, 20).is_some());
        assert_eq!(Disk::new(10..21, false, 20), None);
        assert_eq!(Disk::new(10..10, false, 20), None);
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = Disk::new(11..10, false, 20);
        assert_eq!(reversed, None);
        assert_eq!(Disk::of_bytes(512, 1024, true, 3).map(|disk| disk.range()), Some(1..3));
        assert_eq!(Disk::of_bytes(511, 1024, true, 30), None);
        assert_eq!(Disk::of_bytes(u64::MAX - 511, 1024, true, u64::MAX), None);
    }

    #[test]
    fn different_disks_share_nothing() {
        let disk = |range| Disk::new(range, false, 100).unwrap();
        let mut table = Table::<3>::default();
        assert_eq!(table.enter("a", &disk(10..20)), Ok(()));
        assert_eq!(table.enter("a", &disk(10..20)), Ok(()));
        assert_eq!(table.enter("a", &disk(20..30)), Err("a"));
        assert_eq!(table.enter("b", &disk(19..30)), Err("a"));
        assert_eq!(table.enter("b", &disk(20..30)), Ok(()));
        assert_eq!(table.enter("c", &disk(0..10)), Ok(()));
        assert_eq!(table.enter("d", &disk(90..91)), Err("d"));
    }

    proptest! {
        /// Whatever is asked: what is granted lies within the disk, and only on writable ones
        /// something changes.
        #[test]
        fn nothing_granted_lies_outside(
            first in 0u64..1000,
            sectors in 1u64..1000,
            read_only: bool,
            operation in prop::sample::select(&[Operation::Read, Operation::Write, Operation::Discard]),
            sector in prop_oneof![0u64..2000, any::<u64>()],
            bytes in prop_oneof![0u64..600_000, (0u64..1200).prop_map(|n| n * 512), any::<u64>()],
        ) {
            let disk = Disk::new(first..first + sectors, read_only, 2000).unwrap();
            match disk.place(operation, sector, bytes) {
                Ok(at) => {
                    prop_assert!(at >= first && at + bytes / 512 <= first + sectors && bytes > 0);
                    prop_assert_eq!(bytes % 512, 0);
                    prop_assert_eq!(at - first, sector);
                    prop_assert!(!read_only || operation == Operation::Read);
                }
                Err(Status::ReadOnly) => prop_assert!(read_only && operation != Operation::Read),
                Err(status) => {
                    prop_assert_eq!(status, Status::Invalid);
                    let is_outside = u128::from(sector) + u128::from(bytes / 512) > u128::from(sectors);
                    prop_assert!(is_outside || bytes == 0 || bytes % 512 != 0);
                }
            }
        }
    }
}
