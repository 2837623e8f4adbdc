// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Several processors: waking each other, moving between them, and what each knows of memory.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::thread;

use guest_support::memory::{Map, PAGE, READ, WRITE};
use guest_support::{attempt, futex, processor, time};

use crate::verdict::{Fault, Verdict, absent, equal, within};

/// The processors, if there are several.
fn several() -> Result<Vec<usize>, Fault> {
    let processors = processor::allowed();
    if processors.len() < 2 {
        return absent("one processor").map(|()| processors);
    }
    Ok(processors)
}

/// Two threads hand a turn to and fro, each wherever it is told to be.
fn ping_pong(places: [Option<usize>; 2]) -> Verdict {
    const ROUNDS: u32 = 1000;
    let turn = AtomicU32::new(0);
    let done: u32 = thread::scope(|scope| {
        let turn = &turn;
        let player = move |number: u32, place: Option<usize>| {
            if place.is_some_and(|place| processor::pin(place).is_err()) {
                return 0;
            }
            // Turns count up: even ones are the first thread's.
            for round in 0..ROUNDS {
                let own = 2 * round + number;
                if own > 0 && futex::wait_while(turn, own - 1) != own {
                    return round;
                }
                futex::set(turn, own + 1);
            }
            ROUNDS
        };
        let other = scope.spawn(move || player(1, places[1]));
        player(0, places[0]).min(other.join().unwrap_or(0))
    });
    equal("rounds of both", ROUNDS, done)
}

/// On whatever processors there are.
pub(crate) fn futex() -> Verdict {
    ping_pong([None, None])
}

/// Between any two processors.
pub(crate) fn futex_across() -> Verdict {
    let processors = several()?;
    for &one in &processors {
        for &other in processors.iter().filter(|&&other| other != one) {
            ping_pong([Some(one), Some(other)])?;
        }
    }
    Ok(())
}

/// A thread runs where it is told to, at once.
pub(crate) fn migration() -> Verdict {
    let processors = several()?;
    for round in 0..200 {
        let place = processors[round % processors.len()];
        processor::pin(place)?;
        equal(format!("the processor in round {round}"), place, processor::current())?;
    }
    Ok(())
}

/// When a page is made read-only or goes away, the other processors know it at once.
pub(crate) fn translation() -> Verdict {
    let processors = several()?;
    for (round, &place) in processors.iter().cycle().take(60).enumerate() {
        let map = Map::private(PAGE, WRITE)?;
        map.write(0, 0);
        let (started, stopped) = (AtomicBool::new(false), AtomicBool::new(false));
        let signal = thread::scope(|scope| -> Result<i32, Fault> {
            let (map, started, stopped) = (&map, &started, &stopped);
            let writer = scope.spawn(move || {
                let _ = processor::pin(place);
                started.store(true, SeqCst);
                let trap = attempt::attempt(count_up, map.address(), 0);
                stopped.store(true, SeqCst);
                trap.map_or_else(|trap| trap.signal, |_| 0)
            });
            while !started.load(SeqCst) {
                processor::give_way();
            }
            time::sleep(500_000);
            map.protect(0..1, READ)?;
            let seen = map.read(0);
            time::burn(200_000);
            equal(format!("a page that is read-only, in round {round}"), seen, map.read(0))?;
            Ok(writer.join().unwrap_or(-1))
        })?;
        equal("the writer's signal", libc::SIGSEGV, signal)?;
        equal("whether it stopped", true, stopped.load(SeqCst))?;
    }
    Ok(())
}

/// Increments a word for ever.
extern "C" fn count_up(address: usize, _: usize) -> usize {
    let word = std::ptr::with_exposed_provenance_mut::<u64>(address);
    loop {
        // SAFETY: a word of the caller's mapping, whose loss is what is waited for.
        let value = unsafe { word.read_volatile() };
        // SAFETY: as above.
        unsafe { word.write_volatile(value + 1) };
    }
}

/// What processors count together is the sum of what each has counted.
pub(crate) fn atomics() -> Verdict {
    const ROUNDS: u64 = 20_000;
    let processors = several()?;
    let count = AtomicU64::new(0);
    let lock = AtomicU32::new(0);
    let guarded = Map::private(PAGE, WRITE)?;
    thread::scope(|scope| {
        for &place in &processors {
            let (count, lock, guarded) = (&count, &lock, &guarded);
            scope.spawn(move || {
                let _ = processor::pin(place);
                for _ in 0..ROUNDS {
                    count.fetch_add(1, SeqCst);
                    while lock.compare_exchange(0, 1, SeqCst, SeqCst).is_err() {
                        processor::give_way();
                    }
                    guarded.write(0, guarded.read(0) + 1);
                    lock.store(0, SeqCst);
                }
            });
        }
    });
    let wanted = ROUNDS * processors.len() as u64;
    equal("a common count", wanted, count.load(SeqCst))?;
    equal("a count behind a lock", wanted, guarded.read(0))?;
    within("processors", 2, usize::MAX, processors.len())
}
