// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Page tables that grow and go away.

use std::thread::sleep;
use std::time::Duration;

use guest_support::memory::{Map, PAGE, WRITE};

use crate::memory::available;
use crate::verdict::{Verdict, equal, within};

/// What a last-level table maps.
const SPAN: usize = 2 << 20;
/// Tables at a time.
const TABLES: usize = 256;

/// A page here and there: each takes a table of its own, and gives it back.
pub(crate) fn sparse() -> Verdict {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let before = settled();
    for round in 0..8 {
        // Far apart in some rounds, so that tables of higher levels come and go, too.
        let step = if round % 4 == 3 { SPAN * 512 } else { SPAN };
        let count = if round % 4 == 3 { 64 } else { TABLES };
        let map = Map::new(0, count * step + PAGE, WRITE, flags, -1)?;
        map.advise(map.pages(), libc::MADV_NOHUGEPAGE)?;
        for place in 0..count {
            map.write(place * step, place as u64 + 1);
        }
        let while_used = available("PageTables");
        within("KiB of tables in use", (count * 4) as u64, u64::MAX, while_used.saturating_sub(before) + 64)?;
        for place in 0..count {
            equal(format!("page {place} in round {round}"), place as u64 + 1, map.read(place * step))?;
        }
    }
    within("KiB of tables that are left", 0, 128, settled().saturating_sub(before))
}

/// KiB of tables when those on their way out are gone: newer kernels free them after a while (RCU),
/// those of processes that have ended, too.
fn settled() -> u64 {
    let mut last = available("PageTables");
    for _ in 0..20 {
        sleep(Duration::from_millis(100));
        let now = available("PageTables");
        if now >= last {
            return now;
        }
        last = now;
    }
    last
}
