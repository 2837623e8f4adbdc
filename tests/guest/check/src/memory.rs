// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What memory holds: after forks, between processes, and again and again.

use std::fs;

use guest_support::memory::{Map, PAGE, WRITE};
use guest_support::process::{Child, Status};

use crate::verdict::{Verdict, equal, within};

/// Writes of one process are not seen by its relatives.
pub(crate) fn copy_on_write() -> Verdict {
    let map = Map::private(300 * PAGE, WRITE)?;
    map.fill(1000);
    let child = Child::new(|| {
        let inherited = map.stray(1000).is_none();
        map.fill(2000);
        let grandchild = Child::new(|| {
            let inherited = map.stray(2000).is_none();
            map.fill(3000);
            i32::from(!inherited || map.stray(3000).is_some())
        });
        let good = grandchild.and_then(|grandchild| grandchild.wait()).is_ok_and(|it| it == Status::Exited(0));
        i32::from(!inherited) + 2 * i32::from(!good) + 4 * i32::from(map.stray(2000).is_some())
    })?;
    // The parent writes while its child does, to half of the pages.
    for page in map.pages().step_by(2) {
        map.write(page * PAGE + 8, 7);
    }
    equal("the child's pages", Status::Exited(0), child.wait()?)?;
    equal("the parent's pages", None, map.stray(1000))?;
    map.fill(4000);
    equal("the parent's pages, written again", None, map.stray(4000))
}

/// Writes to shared memory are seen by everybody.
pub(crate) fn shared() -> Verdict {
    let map = Map::shared(64 * PAGE)?;
    for round in 0..10 {
        let child = Child::new(|| {
            map.fill(round * 100);
            0
        })?;
        equal("the child", Status::Exited(0), child.wait()?)?;
        equal("what it wrote", None, map.stray(round * 100))?;
    }
    Ok(())
}

/// A value of `/proc/meminfo`, in KiB.
pub(crate) fn available(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let value = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Half of the memory is filled and freed, over and over: it keeps what was written, comes back zeroed,
/// and nothing is lost.
pub(crate) fn cycles() -> Verdict {
    let before = available("MemAvailable");
    let pages = (before as usize / 2 / 4).min(32 << 10);
    within("pages to work with", 1000, usize::MAX, pages)?;
    for round in 0..4 {
        let map = Map::private(pages * PAGE, WRITE)?;
        for page in map.pages().step_by(97) {
            equal("fresh memory", 0, map.read(page * PAGE + 8))?;
        }
        map.fill(round << 32);
        equal(format!("memory of round {round}"), None, map.stray(round << 32))?;
    }
    let lost = before.saturating_sub(available("MemAvailable"));
    within("KiB that are lost", 0, before / 10, lost)
}
