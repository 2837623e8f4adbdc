// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Page faults, mappings and their protection.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;

use guest_support::memory::{Map, NONE, PAGE, READ, WRITE};
use guest_support::process::{Child, Status};

use crate::meter::Meter;

/// Pages that are touched in a round.
const PAGES: usize = 256;
/// Pages around a fault on a file that the kernel maps with it (`fault_around_bytes`).
const AROUND: usize = 16;

/// First writes to pages of anonymous memory.
pub(crate) fn anonymous_faults(meter: &Meter) -> io::Result<()> {
    meter.rounds("fault_anon", PAGES as u64, |meter| {
        let map = Map::private(PAGES * PAGE, WRITE)?;
        map.advise(map.pages(), libc::MADV_NOHUGEPAGE)?;
        touch(meter, &map, 1)
    })
}

/// First reads of a file in the page cache, which maps sixteen pages each; first writes to a private
/// mapping of it, which copy.
pub(crate) fn file_faults(meter: &Meter) -> io::Result<()> {
    const FILE: &str = "/tmp/bench-file";
    fs::write(FILE, vec![1_u8; AROUND * PAGES * PAGE / 4])?;
    let file = File::open(FILE)?;
    let faults = PAGES / 4;
    meter.rounds("fault_file_x16", faults as u64, |meter| {
        let map = Map::new(0, AROUND * faults * PAGE, READ, libc::MAP_SHARED, file.as_raw_fd())?;
        meter.time(|| {
            for fault in 0..faults {
                std::hint::black_box(map.read(fault * AROUND * PAGE));
            }
            Ok(())
        })
    })?;
    meter.rounds("fault_cow_file", PAGES as u64, |meter| {
        let map = Map::new(0, PAGES * PAGE, WRITE, libc::MAP_PRIVATE, file.as_raw_fd())?;
        touch(meter, &map, 1)
    })?;
    drop(file);
    fs::remove_file(FILE)
}

/// A child's first writes to its parent's pages.
pub(crate) fn copies(meter: &Meter) -> io::Result<()> {
    let map = Map::private(PAGES * PAGE, WRITE)?;
    map.advise(map.pages(), libc::MADV_NOHUGEPAGE)?;
    map.fill(1);
    let result = Map::shared(PAGE)?;
    meter.rounds("fault_cow_fork", PAGES as u64, |meter| {
        let child = Child::new(|| match touch(meter, &map, 2) {
            Ok(ticks) => {
                result.write(0, ticks);
                0
            }
            Err(_) => 1,
        })?;
        match child.wait()? {
            Status::Exited(0) => Ok(result.read(0)),
            other => Err(io::Error::other(format!("{other:?}"))),
        }
    })
}

/// Mappings of 64 pages that come and go, untouched and filled.
pub(crate) fn mappings(meter: &Meter) -> io::Result<()> {
    let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let mapping = |flags| Map::new(0, 64 * PAGE, WRITE, flags, -1).map(drop);
    meter.small("mmap_munmap_64p", 100, || mapping(anonymous))?;
    meter.small("mmap_pop_munmap_64p", 20, || mapping(anonymous | libc::MAP_POPULATE))
}

/// Changes of protection, there and back, of pages that are in use.
pub(crate) fn protection(meter: &Meter) -> io::Result<()> {
    for (name, pages) in [("mprotect_1p", 1), ("mprotect_64p", 64)] {
        // Between pages that nobody may touch, so that no neighbour is merged or split.
        let map = Map::private((pages + 2) * PAGE, NONE)?;
        let middle = 1..=pages;
        map.protect(1..pages + 1, WRITE)?;
        middle.for_each(|page| map.write(page * PAGE, 1));
        let mut writable = true;
        meter.small(name, 200, || {
            writable = !writable;
            map.protect(1..pages + 1, if writable { WRITE } else { READ })
        })?;
    }
    Ok(())
}

/// Writes to each page of a mapping.
fn touch(meter: &Meter, map: &Map, value: u64) -> io::Result<u64> {
    meter.time(|| {
        for page in map.pages() {
            map.write(page * PAGE, value);
        }
        Ok(())
    })
}
