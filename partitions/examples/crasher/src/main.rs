// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Crashes on purpose a second after every start. Its panic goes to the health monitor, whose table
//! says `warm-start`; what lies in `.retained` memory outlives that.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};

use parzelle_rt::time::{SECOND, sleep};
use parzelle_rt::{Error, VcpuPage};

parzelle_rt::retained! {
    /// How often this has been started.
    static STARTS: AtomicU64;
}

parzelle_rt::entry!(main);

#[allow(clippy::panic)] // That is the idea.
fn main() -> Result<(), Error> {
    let start = STARTS.fetch_add(1, Ordering::Relaxed) + 1;
    let page = VcpuPage::first();
    log::info!("start {start}: {}, generation {}", page.condition().name(), page.generation());
    parzelle_rt::ready()?;
    sleep(SECOND);
    panic!("crash {start}, on purpose");
}
