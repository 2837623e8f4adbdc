// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where the disks of a device lie on it.
//!
//! ```text
//!   0        1 MiB                                               last MiB
//!   │ table  │ disk, by name │ disk │ … │ a range stays where it is │ table again │
//! ```
//! Disks with a range stay there; those in GPT partitions get the first gap that is large enough, at
//! multiples of 1 MiB. A device on which all disks have ranges has no table.

use parzelle_resolve::model::{Device, DeviceIndex, Disk, DiskPlace, System};

/// What partitions begin at, and what the tables at both ends get.
pub(super) const ALIGN: u64 = 1 << 20;
/// Bytes of a device on which there is no disk.
const EMPTY: u64 = 16 << 20;

/// A disk on a device.
#[derive(Debug)]
pub(super) struct Lying<'a> {
    /// The disk.
    pub(super) disk: &'a Disk,
    /// The first byte.
    pub(super) start: u64,
    /// Its bytes.
    pub(super) bytes: u64,
}

/// A device with its disks.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    /// The device.
    pub(super) device: &'a Device,
    /// All its bytes.
    pub(super) bytes: u64,
    /// Those in GPT partitions, in the order of the table.
    pub(super) partitions: Vec<Lying<'a>>,
    /// Those that have ranges.
    pub(super) ranges: Vec<Lying<'a>>,
}

/// Lays out a device.
pub(super) fn layout(system: &System, index: DeviceIndex) -> Option<Layout<'_>> {
    let device = system.board.devices.get(index.0)?;
    let disks = || system.disks.iter().filter(|disk| disk.device == index);
    let ranges: Vec<Lying<'_>> = disks()
        .filter_map(|disk| match &disk.lies {
            DiskPlace::Range(range) => Some(Lying { disk, start: range.start, bytes: range.size }),
            DiskPlace::Gpt(_) => None,
        })
        .collect();
    let mut taken: Vec<(u64, u64)> = ranges.iter().map(|r| (r.start, r.start.saturating_add(r.bytes))).collect();
    let mut partitions = Vec::new();
    for disk in disks().filter(|disk| matches!(disk.lies, DiskPlace::Gpt(_))) {
        let bytes = disk.size.value.next_multiple_of(ALIGN);
        let start = gap(&taken, bytes);
        taken.push((start, start + bytes));
        partitions.push(Lying { disk, start, bytes });
    }
    let end = taken.iter().map(|(_, end)| *end).max().unwrap_or(EMPTY).next_multiple_of(ALIGN);
    let bytes = if partitions.is_empty() { end } else { end + ALIGN };
    Some(Layout { device, bytes, partitions, ranges })
}

/// The first gap of so many bytes.
fn gap(taken: &[(u64, u64)], bytes: u64) -> u64 {
    let mut start = ALIGN;
    while let Some((_, end)) = taken.iter().find(|(from, to)| *from < start + bytes && start < *to) {
        start = end.next_multiple_of(ALIGN);
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_lie_around_what_is_taken() {
        let mib = |n: u64| n << 20;
        assert_eq!(gap(&[], mib(4)), mib(1));
        assert_eq!(gap(&[(mib(1), mib(5))], mib(4)), mib(5));
        assert_eq!(gap(&[(mib(8), mib(9)), (mib(1), mib(5) + 512)], mib(2)), mib(6));
        assert_eq!(gap(&[(mib(8), mib(9)), (mib(1), mib(5) + 512)], mib(3)), mib(9));
    }
}
