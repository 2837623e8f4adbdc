// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Makes an empty FAT16 file system (Microsoft's FAT specification 1.03) in the only partition of an
//! MBR.
//!
//! ```text
//!   0    MBR: one partition from sector 64 on
//!   64   boot sector │ FAT │ FAT │ root directory, 512 entries │ clusters …
//! ```

use embedded_sdmmc::{Block, BlockDevice, BlockIdx, Error};
use parzelle_ring::Error as Failed;

use crate::Disk;

/// First sector of the partition.
const START: u32 = 64;
/// Sectors of the root directory: 512 entries of 32 bytes.
const ROOT: u32 = 32;
/// The fewest clusters that make a FAT16; with fewer it would be a FAT12.
const FEWEST: u32 = 4085;
/// The most.
const MOST: u32 = 65524;

/// Whether nothing was ever written to the first sector.
pub(crate) fn is_empty(disk: &Disk) -> Result<bool, Error<Failed>> {
    let mut sector = [Block::new()];
    disk.read(&mut sector, BlockIdx(0)).map_err(Error::DeviceError)?;
    Ok(sector.iter().all(|block| block.contents.iter().all(|&byte| byte == 0)))
}

/// Formats the disk.
pub(crate) fn format(disk: &Disk) -> Result<(), Error<Failed>> {
    let all = disk.num_blocks().map_err(Error::DeviceError)?;
    let sectors = all.0.saturating_sub(START);
    // The smallest clusters of which there are not too many.
    let per_cluster = (sectors / MOST + 1).next_power_of_two();
    let clusters = sectors / per_cluster;
    if clusters <= FEWEST + ROOT || per_cluster > 64 {
        return Err(Error::FormatError("the disk has no size for FAT16"));
    }
    // Two bytes for each cluster, and for two that aren't there.
    let fat = (clusters + 2).div_ceil(256);
    let write = |at: u32, fields: &[(usize, &[u8])]| {
        let mut sector = [Block::new()];
        for (offset, bytes) in fields {
            let room = sector[0].contents.get_mut(*offset..*offset + bytes.len());
            room.ok_or(Failed::Range)?.copy_from_slice(bytes);
        }
        disk.write(&sector, BlockIdx(at))
    };
    let make = || {
        for at in START + 1..START + 1 + 2 * fat + ROOT {
            write(at, &[])?;
        }
        for copy in 0..2 {
            write(START + 1 + copy * fat, &[(0, &[0xf8, 0xff, 0xff, 0xff])])?;
        }
        write(
            START,
            &[
                (0, &[0xeb, 0x3c, 0x90]),
                (3, b"PARZELLE"),
                (11, &512u16.to_le_bytes()),
                (13, &[per_cluster as u8]),
                (14, &1u16.to_le_bytes()),
                (16, &[2]),
                (17, &512u16.to_le_bytes()),
                (21, &[0xf8]),
                (22, &(fat as u16).to_le_bytes()),
                (28, &START.to_le_bytes()),
                (32, &sectors.to_le_bytes()),
                (36, &[0x80, 0, 0x29]),
                (43, b"RECORDER   FAT16   "),
                (510, &[0x55, 0xaa]),
            ],
        )?;
        // Last, so that a disk that was formatted half is formatted again: bootable no, any
        // cylinders, type 0x0e (FAT16 by sectors).
        let entry =
            [[0, 0xff, 0xff, 0xff, 0x0e, 0xff, 0xff, 0xff].as_slice(), &START.to_le_bytes(), &sectors.to_le_bytes()];
        write(0, &[(446, entry[0]), (454, entry[1]), (458, entry[2]), (510, &[0x55, 0xaa])])
    };
    make().map_err(Error::DeviceError)
}
