// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Accessed and dirty bits, as programs see them: what the kernel does with pages depends on them.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use guest_support::memory::{Map, PAGE, WRITE};
use guest_support::process::Child;

use crate::verdict::{Verdict, absent, equal, within};

/// A value of the mapping that begins at an address, by `/proc/self/smaps`, in KiB.
fn of_mapping(address: usize, key: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/smaps").ok()?;
    let begin = format!("{address:x}-");
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&begin)).skip(1);
    let line = lines.find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A mapping between two pages for nobody, so that the kernel doesn't merge it with others.
fn alone(pages: usize) -> std::io::Result<Map> {
    let map = Map::private((pages + 2) * PAGE, guest_support::memory::NONE)?;
    map.protect(1..pages + 1, WRITE)?;
    map.advise(1..pages + 1, libc::MADV_NOHUGEPAGE)?;
    Ok(map)
}

/// Switches to another process and back, which makes the processor forget what it knew of pages.
fn forget() -> Verdict {
    for _ in 0..2 {
        Child::new(|| 0)?.wait()?;
    }
    Ok(())
}

/// Pages that may be freed are freed, unless they were written again: then that must be kept.
pub(crate) fn lazy_free() -> Verdict {
    const PAGES: usize = 64;
    for round in 0..5 {
        let map = Map::private(PAGES * PAGE, WRITE)?;
        map.advise(map.pages(), libc::MADV_NOHUGEPAGE)?;
        map.fill(100);
        map.advise(map.pages(), libc::MADV_FREE)?;
        for page in map.pages().step_by(2) {
            map.write(page * PAGE, 200 + page as u64);
        }
        // Takes away what is clean.
        map.advise(map.pages(), libc::MADV_PAGEOUT)?;
        let mut freed = 0;
        for page in map.pages() {
            let found = map.read(page * PAGE);
            if page % 2 == 0 {
                equal(format!("page {page}, written again, in round {round}"), 200 + page as u64, found)?;
            } else if found == 0 {
                freed += 1;
            } else {
                equal(format!("page {page}, in round {round}"), 100 + page as u64, found)?;
            }
        }
        // Some may have been busy.
        within("pages that were freed", PAGES / 4, PAGES / 2, freed)?;
    }
    Ok(())
}

/// The kernel sees which pages were used since it asked last.
pub(crate) fn referenced() -> Verdict {
    const PAGES: usize = 48;
    let map = alone(PAGES)?;
    for page in 1..=PAGES {
        map.write(page * PAGE, 1);
    }
    // The mapping begins behind a page for nobody, whose line comes first.
    let inner = map.page(1);
    for used in [0, 1, 17, PAGES] {
        fs::write("/proc/self/clear_refs", "1")?;
        forget()?;
        for page in 1..=used {
            std::hint::black_box(map.read(page * PAGE));
        }
        equal("KiB that were used", Some(4 * used as u64), of_mapping(inner, "Referenced:"))?;
    }
    Ok(())
}

/// Pages whose bit in `/proc/self/pagemap` says that they were written since it was cleared.
fn written(map: &Map) -> std::io::Result<Vec<usize>> {
    let pagemap = File::open("/proc/self/pagemap")?;
    let mut found = Vec::new();
    for page in map.pages() {
        let mut word = [0; 8];
        pagemap.read_exact_at(&mut word, (map.page(page) / PAGE * 8) as u64)?;
        if u64::from_le_bytes(word) >> 55 & 1 == 1 {
            found.push(page);
        }
    }
    Ok(found)
}

/// The same for writes, page by page.
pub(crate) fn soft_dirty() -> Verdict {
    let map = Map::private(64 * PAGE, WRITE)?;
    map.advise(map.pages(), libc::MADV_NOHUGEPAGE)?;
    map.fill(1);
    if written(&map)?.is_empty() {
        return absent("this kernel doesn't have it");
    }
    for step in [1, 3, 7, 64] {
        fs::write("/proc/self/clear_refs", "4")?;
        equal("pages that were written to before", Vec::new(), written(&map)?)?;
        let wanted: Vec<usize> = map.pages().step_by(step).collect();
        for page in &wanted {
            map.write(page * PAGE, 2);
        }
        for page in map.pages() {
            std::hint::black_box(map.read(page * PAGE));
        }
        equal("pages that were written to", wanted, written(&map)?)?;
    }
    Ok(())
}
