// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Keeps a log file on its virtual disk `log`, in a FAT file system that any computer reads. An empty
//! disk is formatted first; after that, each start adds to what is there. What was written is read
//! back and checked. If the description gives a queuing port `done`, its reader hears of the end.
#![no_std]
#![no_main]

mod format;

use core::fmt::Write as _;

use embedded_sdmmc::{BlockDevice, Error, File, Mode, TimeSource, Timestamp, VolumeIdx, VolumeManager};
use parzelle_ring::block::Client;
use parzelle_ring::client::{self, Blocks};
use parzelle_rt::time::{MILLISECOND, Periodic, now};
use parzelle_rt::{Link, Partition, Volatile, start::fail};

/// The file, by a name of the old kind.
const FILE: &str = "FLIGHT.LOG";
/// Lines that one start writes.
const LINES: u32 = 50;

/// The disk, as the file system wants it.
type Disk = Blocks<Volatile, Link>;

parzelle_rt::entry!(main);

fn main() -> Result<(), parzelle_rt::Error> {
    let me = Partition::get();
    let link = me.link("log")?;
    let client = Client::new(link.out(), link.incoming()).map_err(|_| parzelle_rt::Error::Bounds)?;
    let disk = Blocks::new(client::Disk::new(client, link));
    parzelle_rt::ready()?;
    if let Err(why) = record(disk) {
        fail(format_args!("{why:?}"));
    }
    match me.queuing_source("done") {
        Ok(port) => port.send(&[1]),
        Err(_) => Ok(()),
    }
}

/// Adds lines to the file and reads it back.
fn record(disk: Disk) -> Result<(), Error<parzelle_ring::Error>> {
    if format::is_empty(&disk)? {
        let sectors = disk.num_blocks().map_err(Error::DeviceError)?;
        log::info!("an empty disk of {} sectors: formatting", sectors.0);
        format::format(&disk)?;
    }
    let manager: VolumeManager<_, _, 2, 2, 1> = VolumeManager::new_with_limits(disk, Clock, 0);
    let volume = manager.open_volume(VolumeIdx(0))?;
    let root = volume.open_root_dir()?;
    let file = root.open_file_in_dir(FILE, Mode::ReadWriteCreateOrAppend)?;
    let old = file.length();
    let mut tick = Periodic::new(2 * MILLISECOND);
    for number in 0..LINES {
        tick.wait(0);
        file.write(Line::new(number, now()).bytes())?;
    }
    file.flush()?;
    check(&file, old)?;
    file.close()?;
    manager.device(|disk| disk.flush().map_err(Error::DeviceError))
}

/// Reads what was added, and compares.
fn check<D, T, const A: usize, const B: usize, const C: usize>(
    file: &File<'_, D, T, A, B, C>,
    old: u32,
) -> Result<(), Error<D::Error>>
where
    D: BlockDevice,
    T: TimeSource,
{
    file.seek_from_start(old)?;
    let (mut good, mut buffer) = (0, [0; Line::BYTES]);
    while file.read(&mut buffer)? == Line::BYTES {
        good += u32::from(buffer.starts_with(Line::new(good, 0).number()));
    }
    log::info!("{FILE}: {} bytes, {good} of {LINES} new lines are as they were written", file.length());
    Ok(())
}

/// A line of the log, of a fixed length: its number, and when it was written.
struct Line {
    text: [u8; Self::BYTES],
    used: usize,
}

impl Line {
    /// Bytes of a line: 5 of the number, 1 space, 20 of the time in nanoseconds, the end.
    const BYTES: usize = 27;

    fn new(number: u32, time: u64) -> Self {
        let mut line = Line { text: [b' '; Self::BYTES], used: 0 };
        // It fits: 5 digits are enough for `LINES`.
        let _ = writeln!(line, "{number:05} {time:020}");
        line
    }

    fn bytes(&self) -> &[u8] {
        &self.text
    }

    fn number(&self) -> &[u8] {
        self.text.get(..6).unwrap_or_default()
    }
}

impl core::fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.text.get_mut(self.used..self.used + text.len()).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.used += text.len();
        Ok(())
    }
}

/// Nobody tells this partition the date: all files are of the first day of FAT.
struct Clock;

impl TimeSource for Clock {
    fn get_timestamp(&self) -> Timestamp {
        Timestamp { year_since_1970: 10, zero_indexed_month: 0, zero_indexed_day: 0, hours: 0, minutes: 0, seconds: 0 }
    }
}
