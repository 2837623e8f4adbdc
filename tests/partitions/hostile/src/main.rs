// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The attacker: random kernel calls, reads, writes and jumps all over the address space outside its
//! own, every privileged instruction, and garbage in its vCPU page while calls run.
//!
//! ```text
//!   attack ──► fault ──► upcall ──► a probe's: go on behind it
//!     ▲                    └──────► anything else: begin `attack` anew, on a fresh stack
//!     └── restart ◄── health monitor ◄── fault with upcalls masked, mode calls, watch's patience
//! ```
//! What it has done is counted in shared memory, which outlives all restarts; `watch` reads it
//! there. Whatever it manages to do that it should not is a breach, and spoils the verdict.
#![no_std]
#![no_main]

mod calls;
mod memory;
mod page;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parzelle_rt::abi::health::Mode;
use parzelle_rt::abi::info::MAGIC;
use parzelle_rt::arch::frame_for;
use parzelle_rt::health;
use parzelle_rt::upcall::{self, Registration, Stack, Upcall};
use parzelle_rt::{Error, Once, Partition, Volatile};
use test_support::progress::{BREACHES, CALLS, GARBAGE, LOGGED, MEMORY, PRIVILEGED, STARTS};
use test_support::{Random, Test, probe};

/// Operations between two looks at the log.
const BATCH: u64 = 100_000;

static UPCALLS: Once<Stack<8192>> = Once::new(Stack::new());
/// The state of the random numbers, so that a fresh `attack` doesn't repeat the last one.
static SEED: AtomicU64 = AtomicU64::new(0);

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    if me.header().magic != MAGIC {
        astray();
    }
    let progress = me.shared("progress")?.memory();
    SEED.store(0x1234_5678_9abc ^ add(&progress, STARTS, 1) << 32, Relaxed);
    page::save();
    parzelle_rt::ready()?;
    attack(0)
}

/// Leaves an entry that is no start: a random call named `_start` as the handler of upcalls, and the
/// next upcall has come here, with registers that name no information pages.
fn astray() -> ! {
    // If even that is refused, `watch` loses its patience.
    let _ = health::set_mode(Mode::WarmStart);
    parzelle_rt::idle()
}

/// Adds to a counter in shared memory; returns what it was.
fn add(progress: &Volatile, counter: u64, by: u64) -> u64 {
    let before = progress.load_u64(counter).unwrap_or(0);
    progress.store_u64(counter, before.wrapping_add(by));
    before
}

/// The upcall handler.
fn handle(upcall: &mut Upcall<'_>) {
    if probe::handle(upcall) {
        return;
    }
    let stack = Partition::get().header().stack_top;
    // SAFETY: `attack` needs nothing of what ran before but statics, so the stack may begin anew.
    unsafe { upcall.set_frame(&frame_for(attack, stack, 0)) };
}

/// Keeps the registration of upcalls: random calls take it away.
fn registration() -> Option<Registration> {
    static KEPT: [AtomicU64; 1] = [AtomicU64::new(0)];
    static PLACE: Once<Option<Registration>> = Once::new(None);
    if let Some(place) = PLACE.take() {
        let stack = UPCALLS.take()?;
        *place = upcall::enable(0, handle, stack, 0).ok();
        KEPT[0].store(core::ptr::from_ref(place) as u64, Relaxed);
    }
    // SAFETY: stored above, from a static that nobody else refers to any more.
    unsafe { *(KEPT[0].load(Relaxed) as *const Option<Registration>) }
}

/// What the parts of the attack need.
struct Attack {
    progress: Volatile,
    random: Random,
    upcalls: Registration,
}

/// Attacks, for ever.
extern "C" fn attack(_: u64) -> ! {
    page::restore();
    let progress = Partition::get().shared("progress").map(|shared| shared.memory());
    let (Ok(progress), Some(upcalls)) = (progress, registration()) else { parzelle_rt::idle() };
    // Refused never; without upcalls the next fault is a restart.
    let _ = upcalls.renew();
    let mut it = Attack { progress, random: Random::new(SEED.load(Relaxed)), upcalls };
    loop {
        SEED.store(it.random.word(), Relaxed);
        match it.random.below(1000) {
            0..940 => {
                it.call();
                let calls = add(&progress, CALLS, 1);
                it.report(calls);
            }
            940..980 => {
                add(&progress, MEMORY, 1);
                it.memory();
            }
            980..996 => it.privileged(),
            _ => {
                add(&progress, GARBAGE, 1);
                it.garbage();
            }
        }
    }
}

impl Attack {
    /// Executes the next privileged instruction, and one that is merely odd.
    fn privileged(&mut self) {
        let number = add(&self.progress, PRIVILEGED, 1) as usize;
        let argument = self.random.edge();
        let (text, instruction) = probe::PRIVILEGED[number % probe::PRIVILEGED.len()];
        // SAFETY: the kernel takes it. If not, that is a breach, and what it does is wanted.
        if unsafe { probe::run(instruction, argument) }.is_ok() {
            self.breach(format_args!("`{text}` was executed"));
        }
        let (_, instruction) = probe::ALLOWED[number % probe::ALLOWED.len()];
        // SAFETY: these change nothing that this program relies on.
        let _ = unsafe { probe::run(instruction, argument) };
    }

    /// Notes something that should not have been possible; the first few are told.
    fn breach(&mut self, what: core::fmt::Arguments<'_>) {
        if add(&self.progress, BREACHES, 1) < 10 {
            Test::new("hostile").fail(what);
        }
    }

    /// Says how far it is, every now and then.
    fn report(&mut self, calls: u64) {
        let said = self.progress.load_u64(LOGGED).unwrap_or(0);
        if calls / BATCH > said {
            self.progress.store_u64(LOGGED, calls / BATCH);
            let count = |counter| self.progress.load_u64(counter).unwrap_or(0);
            log::info!(
                "{calls} calls, {} accesses, {} instructions, {} times garbage, {} starts, {} breaches",
                count(MEMORY),
                count(PRIVILEGED),
                count(GARBAGE),
                count(STARTS),
                count(BREACHES),
            );
        }
    }
}
