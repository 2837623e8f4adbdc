// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Disk images: for each device with disks one file beside the system's image, which `run` plugs in.
//!
//! The same description and content give the same file, byte for byte: ids in the partition table are
//! made from names. Where content has zeros, or there is none, the file has holes. A file is written
//! anew only when its layout or some content has changed, which a note beside it tells: what was
//! written to it in `parzelle run --keep-disks` stays there until then.

mod layout;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use gpt::disk::LogicalBlockSize;
use gpt::partition::Partition;
use gpt::{GptConfig, mbr::ProtectiveMBR, partition_types};
use parzelle_resolve::model::{Device, DeviceIndex, DiskPlace, System};
use uuid::Uuid;

use layout::{Layout, Lying, layout};

const SECTOR: u64 = 512;
/// Holes in files are made of these.
const CHUNK: usize = 64 << 10;

/// The disk image of a device, beside a system's image.
pub(crate) fn path(image: &Path, device: &str) -> PathBuf {
    image.with_extension(format!("{device}.img"))
}

/// The devices that need one: what holds disks, and what drivers of disks own.
fn devices(system: &System) -> impl Iterator<Item = DeviceIndex> {
    let all = system.board.devices.iter().enumerate();
    all.filter(|(_, device)| is_disk(device) && device.owner.is_some()).map(|(index, _)| DeviceIndex(index))
}

/// Whether a device is a disk.
pub(crate) fn is_disk(device: &Device) -> bool {
    device.class == "block"
}

/// Writes the disk images of a system that need it; all of them are returned.
pub(crate) fn write(system: &System, image: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for layout in devices(system).filter_map(|index| layout(system, index)) {
        let path = path(image, &layout.device.name);
        let note = path.with_extension("img.note");
        let now = describe(system, &layout)?;
        let known = path.is_file() && std::fs::read_to_string(&note).is_ok_and(|old| old == now);
        if !known {
            // A note that is there says that the file is whole, and a file that is there is.
            let _ = std::fs::remove_file(&note);
            let half = path.with_extension("img.half");
            fill(system, &layout, &half).with_context(|| half.display().to_string())?;
            std::fs::rename(&half, &path).with_context(|| path.display().to_string())?;
            std::fs::write(&note, now).with_context(|| note.display().to_string())?;
        }
        paths.push(path);
    }
    Ok(paths)
}

/// All that a disk image is made from, as text.
fn describe(system: &System, layout: &Layout<'_>) -> Result<String> {
    let mut text = format!("1 {} {} {}\n", system.name.value, layout.device.name, layout.bytes);
    for lying in layout.partitions.iter().chain(&layout.ranges) {
        let disk = lying.disk;
        text.push_str(&format!("{} {:?} {} {}", disk.name, disk.lies, lying.start, lying.bytes));
        if let Some(content) = &disk.content {
            let about = std::fs::metadata(content).with_context(|| content.display().to_string())?;
            let time = about.modified()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
            text.push_str(&format!(" {:?} {} {time}", content, about.len()));
        }
        text.push('\n');
    }
    Ok(text)
}

/// Writes a disk image.
fn fill(system: &System, layout: &Layout<'_>, path: &Path) -> Result<()> {
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    file.set_len(layout.bytes)?;
    if !layout.partitions.is_empty() {
        table(system, layout, &mut file)?;
    }
    for lying in layout.partitions.iter().chain(&layout.ranges) {
        if let Some(content) = &lying.disk.content {
            copy(content, &mut file, lying).with_context(|| content.display().to_string())?;
        }
    }
    file.sync_all()?;
    Ok(())
}

/// Writes the partition table, and its copy at the end (UEFI 2.10, §5.3).
fn table(system: &System, layout: &Layout<'_>, file: &mut File) -> Result<()> {
    let device = &layout.device.name;
    let sectors = u32::try_from(layout.bytes / SECTOR - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(sectors).overwrite_lba0(file)?;
    let config = GptConfig::new().writable(true).logical_block_size(LogicalBlockSize::Lb512);
    let mut disk = config.create_from_device(file, Some(id(&[&system.name.value, device])))?;
    let partition = |lying: &Lying<'_>| {
        let name = match &lying.disk.lies {
            DiskPlace::Gpt(name) => name.clone(),
            DiskPlace::Range(_) => String::new(),
        };
        Partition {
            part_type_guid: partition_types::LINUX_FS,
            part_guid: id(&[&system.name.value, device, &name]),
            first_lba: lying.start / SECTOR,
            last_lba: (lying.start + lying.bytes) / SECTOR - 1,
            flags: 0,
            name,
        }
    };
    let partitions: BTreeMap<u32, Partition> = (1..).zip(layout.partitions.iter().map(partition)).collect();
    disk.update_partitions(partitions)?;
    disk.write()?;
    Ok(())
}

/// An id made from names (RFC 9562, §5.8: version 8, of whoever makes it).
fn id(names: &[&str]) -> Uuid {
    let text = names.join("/");
    let half = |salt: &str| parzelle_plan::digest(format!("{salt}/{text}").as_bytes()).to_le_bytes();
    let mut bytes = [0; 16];
    let halves = half("parzelle disk").into_iter().chain(half("parzelle disk, second half"));
    for (slot, byte) in bytes.iter_mut().zip(halves) {
        *slot = byte;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Copies content to its place; zeros stay holes.
fn copy(content: &Path, file: &mut File, lying: &Lying<'_>) -> Result<()> {
    let mut from = File::open(content)?;
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let count = read_full(&mut from, &mut chunk)?;
        let piece = chunk.get(..count).unwrap_or(&[]);
        if piece.is_empty() {
            return Ok(());
        }
        if at + count as u64 > lying.bytes {
            bail!("it has become larger than its disk");
        }
        if piece.iter().any(|byte| *byte != 0) {
            file.seek(SeekFrom::Start(lying.start + at))?;
            file.write_all(piece)?;
        }
        at += count as u64;
    }
}

/// Reads until the buffer is full or there is no more.
fn read_full(from: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut count = 0;
    while let Some(rest) = buffer.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match from.read(rest)? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
