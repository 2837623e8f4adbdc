// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Mappings: what may be done with their pages, where they are, and what they show.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use guest_support::memory::{EXECUTE, Map, NONE, PAGE, READ, WRITE};
use guest_support::{arch as machine, attempt};

use crate::verdict::{Verdict, equal};

/// What may be done with a page: reading, writing, both as the kernel's rights say.
fn may(map: &Map, page: usize) -> (bool, bool) {
    let address = map.page(page) + 16;
    (attempt::load(address).is_ok(), attempt::store(address, 1).is_ok())
}

/// Each change of rights holds at once, for each page, in either direction.
pub(crate) fn access() -> Verdict {
    let map = Map::private(64 * PAGE, WRITE)?;
    map.fill(1);
    let rights = [(NONE, (false, false)), (READ, (true, false)), (WRITE, (true, true))];
    for round in 0..30_usize {
        let (access, wanted) = rights[round * 7 % 3];
        let (first, last) = (round % 16, 64 - round % 7);
        map.protect(0..64, WRITE)?;
        map.protect(first..last, access)?;
        for page in map.pages() {
            let wanted = if (first..last).contains(&page) { wanted } else { (true, true) };
            equal(format!("rights of page {page} in round {round}"), wanted, may(&map, page))?;
        }
    }
    map.protect(0..64, READ)?;
    equal("what the pages hold", None, map.stray(1))
}

/// Code runs where it may be executed, and nowhere else.
pub(crate) fn execute() -> Verdict {
    let map = Map::private(8 * PAGE, WRITE)?;
    map.load(&machine::RETURNS_42);
    for _ in 0..5 {
        map.protect(0..8, EXECUTE)?;
        equal("code", Ok(42), attempt::call(map.address()))?;
        equal("writing to code", Err(libc::SIGSEGV), attempt::store(map.address(), 0).map_err(|it| it.signal))?;
        map.protect(0..8, WRITE)?;
        let found = attempt::call(map.address()).map_err(|it| (it.signal, it.address));
        equal("executing data", Err((libc::SIGSEGV, map.address())), found)?;
    }
    Ok(())
}

/// Pages in the middle go away and come back zeroed; those beside them stay.
pub(crate) fn holes() -> Verdict {
    let map = Map::private(64 * PAGE, WRITE)?;
    for round in 0..10 {
        map.fill(500);
        // No memory may be asked for while the hole is there: it could be given out.
        map.unmap(20..40)?;
        let there: [bool; 64] = std::array::from_fn(|page| attempt::load(map.page(page)).is_ok());
        let fixed = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let filler = std::mem::ManuallyDrop::new(Map::new(map.page(20), 20 * PAGE, WRITE, fixed, -1)?);
        for (page, there) in there.into_iter().enumerate() {
            equal(format!("page {page} in round {round}"), !(20..40).contains(&page), there)?;
        }
        equal("the place of the filler", map.page(20), filler.address())?;
        for page in map.pages() {
            let wanted = if (20..40).contains(&page) { 0 } else { 500 + page as u64 };
            equal(format!("page {page}"), wanted, map.read(page * PAGE))?;
        }
        map.advise(0..10, libc::MADV_DONTNEED)?;
        equal("a page that was not needed", 0, map.read(0))?;
    }
    Ok(())
}

/// Shared mappings write to their file, private ones don't; both show what is written to it.
pub(crate) fn file() -> Verdict {
    let name = "/tmp/check-file";
    let mut file: File = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(name)?;
    file.write_all(&vec![0; 16 * PAGE])?;
    let shared = Map::new(0, 16 * PAGE, WRITE, libc::MAP_SHARED, file.as_raw_fd())?;
    let private = Map::new(0, 16 * PAGE, WRITE, libc::MAP_PRIVATE, file.as_raw_fd())?;
    fs::remove_file(name)?;
    shared.fill(70);
    equal("a private mapping of what was written", None, private.stray(70))?;
    let mut word = [0; 8];
    file.read_exact_at(&mut word, 5 * PAGE as u64)?;
    equal("the file", 75, u64::from_le_bytes(word))?;
    private.fill(900);
    equal("the shared mapping", None, shared.stray(70))?;
    file.write_all_at(&1234_u64.to_le_bytes(), 9 * PAGE as u64)?;
    equal("a write to the file, shared", 1234, shared.read(9 * PAGE))?;
    equal("a write to the file, private and copied", 909, private.read(9 * PAGE))?;
    file.set_len(4 * PAGE as u64)?;
    equal("beyond the new end", Err(libc::SIGBUS), attempt::load(shared.page(4)).map_err(|it| it.signal))?;
    file.set_len(16 * PAGE as u64)?;
    equal("what was cut off", Ok(0), attempt::load(shared.page(4)))
}

/// Mappings lie where they are asked to be, from the lowest to the highest address.
pub(crate) fn places() -> Verdict {
    let wanted = [0x1_0000, 0x1000_0000, 0x8000_0000, 0x1_0000_0000, 0x1234_5678_9000, 0x7fff_0000_0000];
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let mut kept = Vec::new();
    for address in wanted {
        let map = Map::new(address, 4 * PAGE, WRITE, flags, -1)?;
        equal("the place", address, map.address())?;
        map.fill(address as u64);
        kept.push(map);
    }
    for map in kept {
        equal(format!("memory at {:#x}", map.address()), None, map.stray(map.address() as u64))?;
    }
    Ok(())
}

/// A mapping that moves takes its contents with it.
pub(crate) fn moves() -> Verdict {
    let mut map = Map::private(16 * PAGE, WRITE)?;
    for round in 0..6 {
        map.fill(30);
        let old = map.address();
        // In the way, so that it has to move.
        let blocker = Map::new(old + map.len(), PAGE, READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)?;
        let pages = map.pages().end;
        map.resize((pages + 64) * PAGE)?;
        for page in 0..pages {
            equal(format!("page {page} in round {round}"), 30 + page as u64, map.read(page * PAGE))?;
        }
        equal("the first new page", 0, map.read(pages * PAGE))?;
        if map.address() != old && !(map.address()..map.address() + map.len()).contains(&old) {
            equal("the old place", Err(libc::SIGSEGV), attempt::load(old).map_err(|it| it.signal))?;
        }
        drop(blocker);
        let end = map.page(pages);
        map.resize(pages * PAGE)?;
        equal("what was cut off", Err(libc::SIGSEGV), attempt::load(end).map_err(|it| it.signal))?;
    }
    Ok(())
}
