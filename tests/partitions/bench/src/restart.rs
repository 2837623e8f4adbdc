// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Restarts: what the kernel does until the loader begins, and what the loader does for a partition
//! with 64 KiB of data until its program begins.
//!
//! ```text
//!   control ──► kernel: stop, reset, start ──► loader: copy 64 KiB, zeros ──► main
//!   ├───────── restart_kernel ────────────────┤├─── restart_reload_64k ──────┤
//! ```
//! The loader has no clock of its own: when it began follows from the partition's processor time,
//! since its priority lets it run through.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parzelle_rt::abi::health::Mode;
use parzelle_rt::health::own_statistics;
use parzelle_rt::time::{MILLISECOND, now, sleep};
use parzelle_rt::{Error, Partition};

use crate::figure;
use crate::stamps::{LOADER, RESTARTED, USED, memory};

/// Words of data.
const WORDS: usize = 64 * 1024 / 8;

/// Data that the loader has to copy.
static DATA: [AtomicU64; WORDS] = [const { AtomicU64::new(0x5555_aaaa_0f0f_f0f0) }; WORDS];

pub(crate) fn fresh(me: &Partition) -> Result<(), Error> {
    let begun = now();
    let accounts = own_statistics()?;
    let stamps = memory(me)?;
    let used = accounts.used - stamps.load_u64(USED).unwrap_or(0);
    stamps.store_u64(LOADER, accounts.now - used);
    let whole = DATA.iter().all(|word| word.swap(0, Relaxed) == 0x5555_aaaa_0f0f_f0f0);
    stamps.store_u64(RESTARTED, if whole { begun } else { u64::MAX });
    parzelle_rt::ready()
}

pub(crate) fn measure(me: &Partition) -> Result<(), Error> {
    let (stamps, fresh) = (memory(me)?, me.other("fresh")?);
    let (mut kernel, mut reload) = (u64::MAX, u64::MAX);
    for _ in 0..8 {
        stamps.store_u64(USED, fresh.statistics()?.used);
        // Away from window boundaries: a frame has 10 ms, the windows are at its begin.
        sleep(3 * MILLISECOND);
        stamps.store_u64(RESTARTED, 0);
        let before = now();
        fresh.control(Mode::ColdStart)?;
        sleep(5 * MILLISECOND);
        let [loader, begun] = [LOADER, RESTARTED].map(|at| stamps.load_u64(at).unwrap_or(0));
        if begun != 0 && before < loader && loader < begun {
            (kernel, reload) = (kernel.min(loader - before), reload.min(begun - loader));
        }
    }
    figure("restart_kernel", kernel);
    figure("restart_reload_64k", reload);
    Ok(())
}
