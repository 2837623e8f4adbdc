// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Upcalls and `resume`: two user-level threads that use FP registers and are preempted at random,
//! and a main thread that sees whether they compute what they would compute undisturbed.
//!
//! ```text
//!   timer event ──► upcall: frame and FP registers of the thread ──► its place
//!                           those of a random other thread       ◄── its place ──► resume
//! ```
//! The floating-point loops are assembly, so that they are the same on a target whose compiler
//! doesn't touch these registers.
#![no_std]
#![no_main]

mod scheduler;
#[cfg_attr(target_arch = "aarch64", path = "work/aarch64.rs")]
#[cfg_attr(target_arch = "x86_64", path = "work/x86_64.rs")]
mod work;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parzelle_rt::abi::health::ErrorId;
use parzelle_rt::abi::info::layout;
use parzelle_rt::health::{End, finish};
use parzelle_rt::time::SECOND;
use parzelle_rt::upcall::{self, Stack};
use parzelle_rt::{Error, Once, Partition, now};
use test_support::{Test, probe};
use work::work;

/// Results that each thread goes through, over and over.
const RESULTS: usize = 16;
/// Iterations of the loop behind one result.
const ROUNDS: u64 = 2_000;
/// Results that each thread has to give.
const WANTED: u64 = 2_000;

static UPCALLS: Once<Stack<8192>> = Once::new(Stack::new());
/// What the threads should find, by thread and result.
static EXPECTED: [[AtomicU64; RESULTS]; 2] = [const { [const { AtomicU64::new(0) }; RESULTS] }; 2];
/// What they have found: good, bad.
static GOOD: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static BAD: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    parzelle_rt::ready()?;
    let Some(stack) = UPCALLS.take() else { return Ok(()) };
    upcall::enable(0, scheduler::handle, stack, parzelle_rt::abi::event::TIMER)?;
    faults();

    let mut test = Test::new("user-level threads with FP");
    test.check(me.has_fp(), "the partition has no FP registers");
    for (thread, row) in EXPECTED.iter().enumerate() {
        for (number, place) in row.iter().enumerate() {
            place.store(compute(thread, number), Relaxed);
        }
    }
    scheduler::begin([first, second]);
    let deadline = now() + 30 * SECOND;
    while GOOD.iter().any(|good| good.load(Relaxed) < WANTED) && now() < deadline {
        core::hint::spin_loop();
    }
    upcall::disable()?;
    let [one, two] = [&GOOD[0], &GOOD[1]].map(|good| good.load(Relaxed));
    log::info!("{} switches, {one} and {two} results", scheduler::switches());
    for thread in 0..2 {
        test.check(GOOD[thread].load(Relaxed) >= WANTED, "a thread is too slow");
        test.equal("wrong results", BAD[thread].load(Relaxed), 0);
    }
    test.check(scheduler::switches() > 1_000, "they were hardly ever preempted");
    test.verdict();
    finish(End::Stop)
}

/// Faults that come as upcalls, with the address that was touched.
fn faults() {
    let mut test = Test::new("faults as upcalls");
    for address in [0, layout::INFO - 1, layout::LOADER - 1, layout::END - 1] {
        let fault = probe::read(address).err();
        let told = fault.map(|fault| (fault.error, fault.address));
        test.equal("read", told, Some((ErrorId::MemoryViolation, address)));
    }
    // SAFETY: nothing of this program lies there.
    let fault = unsafe { probe::jump(layout::END - 16) }.err();
    test.equal("jump", fault.map(|fault| fault.error), Some(ErrorId::MemoryViolation));
    for &(text, instruction) in probe::PRIVILEGED.iter().take(4) {
        // SAFETY: the kernel takes it; if not, the test has found what it looks for.
        let fault = unsafe { probe::run(instruction, 0) }.err();
        let error = fault.map(|fault| fault.error);
        test.check(error == Some(ErrorId::IllegalRequest), format_args!("{text}: {error:?}"));
    }
    test.verdict();
}

/// One result.
fn compute(thread: usize, number: usize) -> u64 {
    // SAFETY: the function takes two numbers and keeps to the calling convention.
    unsafe { work((thread * 1000 + number * 7 + 1) as u64, ROUNDS) }
}

/// A thread: computes and compares, for ever.
fn run(thread: usize) -> ! {
    for number in (0..RESULTS).cycle() {
        let good = compute(thread, number) == EXPECTED[thread][number].load(Relaxed);
        let count = if good { &GOOD[thread] } else { &BAD[thread] };
        count.fetch_add(1, Relaxed);
    }
    parzelle_rt::idle()
}

extern "C" fn first(_: u64) -> ! {
    run(0)
}

extern "C" fn second(_: u64) -> ! {
    run(1)
}
