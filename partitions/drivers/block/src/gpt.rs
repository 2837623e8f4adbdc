// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Finds partitions by name in a GUID partition table (UEFI 2.10, 5.3).
//!
//! ```text
//!   sector 0  protective MBR (not looked at)     │ the second header, at the end, stands in
//!          1  header ── checksum, own place      │ when the first or its entries are damaged
//!          2… entries ── checksum                │
//! ```
//! A table is believed only as a whole: header and entries have good checksums, and the partition
//! that is looked for lies in the usable sectors and shares none with another one.

use core::fmt;
use core::ops::Range;

use gpt_disk_io::gpt_disk_types::{
    GptHeader, GptHeaderRevision, GptPartitionEntry, GptPartitionEntryArray, GptPartitionType, Lba,
};
use gpt_disk_io::{BlockIo, Disk as Reader, DiskError};

use crate::disk::SECTOR;

/// Bytes that [`Tables::read`] needs: the entries of an ordinary table (128 of 128 bytes).
pub const BUFFER: usize = 16 * 1024;

/// Sectors that are kept for the entries of each table, at least (UEFI 2.10, 5.3.1).
const ENTRIES: u64 = BUFFER as u64 / SECTOR;

/// Why a partition can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Neither header can be believed.
    NoTable,
    /// The device failed.
    Device,
    /// No partition has this name.
    NotFound,
    /// Two have it.
    Ambiguous,
    /// It lies outside of the usable sectors, or shares some with another partition.
    Damaged,
}

impl Error {
    /// What it means.
    pub fn text(self) -> &'static str {
        match self {
            Error::NoTable => "the device has no partition table that can be believed",
            Error::Device => "the device can't be read",
            Error::NotFound => "no partition has this name",
            Error::Ambiguous => "two partitions have this name",
            Error::Damaged => "the partition overlaps another one or lies outside",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Which of the two tables are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Both; the first is used.
    Both,
    /// Only the first.
    First,
    /// Only the second, which is used then.
    Second,
}

/// A table that was read and believed.
#[allow(missing_debug_implementations)] // The library's types have none.
pub struct Tables<'a> {
    header: GptHeader,
    entries: GptPartitionEntryArray<'a>,
    state: State,
    sectors: u64,
}

impl<'a> Tables<'a> {
    /// Reads both tables. `buffer` has [`BUFFER`] bytes; larger tables are not believed.
    ///
    /// # Errors
    /// [`Error::NoTable`], [`Error::Device`].
    pub fn read<Io: BlockIo>(mut io: Io, buffer: &'a mut [u8]) -> Result<Self, Error> {
        let sectors = io.num_blocks().map_err(|_| Error::Device)?;
        let mut reader = Reader::new(io).map_err(device)?;
        let first = header(&mut reader, Lba(1), buffer)?;
        let second = header(&mut reader, Lba(sectors.saturating_sub(1)), buffer)?;
        let state = match (first, second) {
            (Some(_), Some(_)) => State::Both,
            (Some(_), None) => State::First,
            _ => State::Second,
        };
        let header = first.or(second).ok_or(Error::NoTable)?;
        let layout = header.get_partition_entry_array_layout().map_err(|_| Error::NoTable)?;
        let entries = reader.read_gpt_partition_entry_array(layout, buffer).map_err(device)?;
        // They were read anew.
        let is_same = entries.calculate_crc32() == header.partition_entry_array_crc32;
        is_same.then_some(Self { header, entries, state, sectors }).ok_or(Error::NoTable)
    }

    /// The sectors between both tables. Whoever writes to the others decides what the partitions are.
    pub fn usable(&self) -> Range<u64> {
        let first = self.header.first_usable_lba.to_u64().max(2 + ENTRIES);
        let end = self.header.last_usable_lba.to_u64().saturating_add(1);
        first..end.min(self.sectors.saturating_sub(1 + ENTRIES))
    }

    /// Which of the two tables are good.
    pub fn state(&self) -> State {
        self.state
    }

    /// The sectors of the partition of that name.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Ambiguous`], [`Error::Damaged`].
    pub fn find(&self, name: &str) -> Result<Range<u64>, Error> {
        let mut found = self.all().filter(|(_, entry)| { entry.name }.chars().eq(name.chars()));
        let (index, entry) = found.next().ok_or(Error::NotFound)?;
        if found.next().is_some() {
            return Err(Error::Ambiguous);
        }
        let range = range(&entry).ok_or(Error::Damaged)?;
        let usable = self.usable();
        let inside = usable.start <= range.start && range.end <= usable.end;
        let mut others = self.all().filter(|&(other, _)| other != index).filter_map(|(_, other)| self::range(&other));
        let alone = others.all(|other| other.end <= range.start || range.end <= other.start);
        if inside && alone { Ok(range) } else { Err(Error::Damaged) }
    }

    /// The entries that are used, and their numbers.
    fn all(&self) -> impl Iterator<Item = (u32, GptPartitionEntry)> {
        let count = self.header.number_of_partition_entries.to_u32();
        let entries = (0..count).filter_map(|index| Some((index, *self.entries.get_partition_entry(index)?)));
        entries.filter(|(_, entry)| { entry.partition_type_guid } != GptPartitionType::UNUSED)
    }
}

/// An entry's sectors; `None` if there are none.
fn range(entry: &GptPartitionEntry) -> Option<Range<u64>> {
    let (first, last) = (entry.starting_lba.to_u64(), entry.ending_lba.to_u64());
    let end = last.checked_add(1)?;
    (first < end).then_some(first..end)
}

/// The header in a sector, if that and its entries can be believed.
fn header<Io: BlockIo>(reader: &mut Reader<Io>, place: Lba, buffer: &mut [u8]) -> Result<Option<GptHeader>, Error> {
    let mut block = [0; SECTOR as usize];
    let header = reader.read_gpt_header(place, &mut block).map_err(device)?;
    let Some(layout) = header.get_partition_entry_array_layout().ok().filter(|_| is_sound(&header, place)) else {
        return Ok(None);
    };
    // Whatever goes wrong with the entries: they are not to be had through this header.
    let Ok(entries) = reader.read_gpt_partition_entry_array(layout, buffer) else { return Ok(None) };
    Ok((entries.calculate_crc32() == header.partition_entry_array_crc32).then_some(header))
}

/// Whether a header that was read at `place` can be believed.
fn is_sound(header: &GptHeader, place: Lba) -> bool {
    header.is_signature_valid()
        && header.revision == GptHeaderRevision::VERSION_1_0
        && header.header_size.to_u32() == size_of::<GptHeader>() as u32
        && header.header_crc32 == header.calculate_header_crc32()
        && header.my_lba.to_u64() == place.to_u64()
}

/// What a failed read means.
fn device<E: fmt::Debug + fmt::Display>(error: DiskError<E>) -> Error {
    match error {
        DiskError::Io(_) => Error::Device,
        _ => Error::NoTable,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use gpt_disk_io::BlockIoAdapter;
    use gpt_disk_io::gpt_disk_types::{BlockSize, GptPartitionEntryArrayLayout, GptPartitionEntrySize, LbaLe, U32Le};
    use gpt_disk_io::gpt_disk_types::{Guid, guid};
    use proptest::prelude::*;
    use std::vec::Vec;

    const SECTORS: u64 = 256;

    /// A device with these partitions: name, first and last sector.
    fn device(partitions: &[(&str, u64, u64)]) -> Vec<u8> {
        let mut bytes = std::vec![0u8; (SECTORS * SECTOR) as usize];
        for (my, other, array) in [(1, SECTORS - 1, 2), (SECTORS - 1, 1, SECTORS - 33)] {
            let io = BlockIoAdapter::new(bytes.as_mut_slice(), BlockSize::BS_512);
            let mut disk = Reader::new(io).unwrap();
            let layout = GptPartitionEntryArrayLayout {
                start_lba: Lba(array),
                entry_size: GptPartitionEntrySize::new(128).unwrap(),
                num_entries: 128,
            };
            let mut storage = [0; BUFFER];
            let mut entries = GptPartitionEntryArray::new(layout, BlockSize::BS_512, &mut storage).unwrap();
            for (index, (name, first, last)) in partitions.iter().enumerate() {
                let mut guid: Guid = guid!("01234567-89ab-cdef-0123-456789abcd00");
                guid = Guid::from_bytes({
                    let mut bytes = guid.to_bytes();
                    bytes[15] = index as u8;
                    bytes
                });
                *entries.get_partition_entry_mut(index as u32).unwrap() = GptPartitionEntry {
                    partition_type_guid: GptPartitionType::BASIC_DATA,
                    unique_partition_guid: guid,
                    starting_lba: LbaLe::from_u64(*first),
                    ending_lba: LbaLe::from_u64(*last),
                    attributes: Default::default(),
                    name: name.parse().unwrap(),
                };
            }
            let mut header = GptHeader {
                my_lba: LbaLe::from_u64(my),
                alternate_lba: LbaLe::from_u64(other),
                first_usable_lba: LbaLe::from_u64(34),
                last_usable_lba: LbaLe::from_u64(SECTORS - 34),
                partition_entry_lba: LbaLe::from_u64(array),
                number_of_partition_entries: U32Le::from_u32(128),
                partition_entry_array_crc32: entries.calculate_crc32(),
                ..Default::default()
            };
            header.update_header_crc32();
            disk.write_gpt_partition_entry_array(&entries).unwrap();
            disk.write_gpt_header(Lba(my), &header, &mut [0; 512]).unwrap();
        }
        bytes
    }

    fn find(bytes: &[u8], name: &str) -> Result<(Range<u64>, State), Error> {
        let mut buffer = [0; BUFFER];
        let tables = Tables::read(BlockIoAdapter::new(bytes, BlockSize::BS_512), &mut buffer)?;
        Ok((tables.find(name)?, tables.state()))
    }

    #[test]
    fn partitions_are_found_by_name() {
        let bytes = device(&[("root", 40, 99), ("data", 100, 100)]);
        assert_eq!(find(&bytes, "root"), Ok((40..100, State::Both)));
        assert_eq!(find(&bytes, "data"), Ok((100..101, State::Both)));
        assert_eq!(find(&bytes, "roo"), Err(Error::NotFound));
        assert_eq!(find(&bytes, ""), Err(Error::NotFound));
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        assert_eq!(find(&device(&[("a", 40, 49), ("a", 50, 59)]), "a"), Err(Error::Ambiguous));
        let overlapping = device(&[("a", 40, 50), ("b", 50, 59), ("c", 60, 69)]);
        assert_eq!(find(&overlapping, "a"), Err(Error::Damaged));
        assert_eq!(find(&overlapping, "b"), Err(Error::Damaged));
        assert_eq!(find(&overlapping, "c"), Ok((60..70, State::Both)));
        let outside =
            device(&[("table", 0, 39), ("end", 200, SECTORS - 33), ("reversed", 60, 58), ("all", 34, u64::MAX)]);
        for name in ["table", "end", "reversed", "all"] {
            assert_eq!(find(&outside, name), Err(Error::Damaged), "{name}");
        }
        assert_eq!(find(&std::vec![0; 512 * 256], "a"), Err(Error::NoTable));
        assert_eq!(find(&std::vec![0; 512], "a"), Err(Error::Device));
        assert_eq!(find(&[], "a"), Err(Error::Device));
    }

    proptest! {
        /// One damaged byte in a header or its entries: the other table stands in, with the same
        /// partitions.
        #[test]
        fn a_damaged_table_is_replaced_by_the_other(
            second: bool,
            in_header: bool,
            offset in 0usize..BUFFER,
            value in 1u8..,
        ) {
            let mut bytes = device(&[("root", 40, 99), ("data", 100, 100)]);
            let (header, entries) = if second { (SECTORS - 1, SECTORS - 33) } else { (1, 2) };
            let at = if in_header { header as usize * 512 + offset % 92 } else { entries as usize * 512 + offset };
            bytes[at] ^= value;
            let state = if second { State::First } else { State::Second };
            prop_assert_eq!(find(&bytes, "root"), Ok((40..100, state)));
            bytes[(SECTORS - header) as usize * 512] ^= value;
            prop_assert_eq!(find(&bytes, "root"), Err(Error::NoTable));
        }

        /// Headers with good checksums and any fields: never more than an error.
        #[test]
        fn any_header_is_survived(fields: [u64; 5], count: u32, size: u32, name in "[a-d]?") {
            let mut bytes = device(&[("a", 40, 99)]);
            for my in [1, SECTORS - 1] {
                let mut header = GptHeader {
                    my_lba: LbaLe::from_u64(my),
                    alternate_lba: LbaLe::from_u64(fields[0]),
                    first_usable_lba: LbaLe::from_u64(fields[1]),
                    last_usable_lba: LbaLe::from_u64(fields[2]),
                    partition_entry_lba: LbaLe::from_u64(fields[3] % 300),
                    number_of_partition_entries: U32Le::from_u32(count % 300),
                    size_of_partition_entry: U32Le::from_u32(if size % 2 == 0 { 128 } else { size }),
                    partition_entry_array_crc32: Default::default(),
                    ..Default::default()
                };
                header.update_header_crc32();
                bytes[my as usize * 512..][..92].copy_from_slice(bytemuck_bytes(&header));
            }
            let _ = find(&bytes, &name);
        }
    }

    /// The bytes of a header, by writing it to a disk of one sector.
    fn bytemuck_bytes(header: &GptHeader) -> &'static [u8] {
        let mut sector = std::vec![0u8; 512];
        let io = BlockIoAdapter::new(sector.as_mut_slice(), BlockSize::BS_512);
        Reader::new(io).unwrap().write_gpt_header(Lba(0), header, &mut [0; 512]).unwrap();
        &sector.leak()[..92]
    }
}
