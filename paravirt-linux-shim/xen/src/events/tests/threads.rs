// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Several raisers and a guest that takes, at the same time: what is raised is taken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::guest::{House, Queues, take};

const RAISERS: usize = 3;
const ROUNDS: u64 = 2000;

fn race(queued: bool) {
    let house = House::new(1, 200);
    let events = house.events();
    let queues = queued.then(|| Queues::begin(&events, 1, 1));
    let ports: Vec<u32> = (0..RAISERS).map(|_| events.bind_ipi(0).unwrap()).collect();
    let wanted: Vec<AtomicU64> = (0..RAISERS).map(|_| AtomicU64::new(0)).collect();
    let done = AtomicBool::new(false);
    let seen = |port: u32| {
        let index = ports.iter().position(|known| *known == port).unwrap();
        wanted[index].fetch_sub(1, Ordering::SeqCst);
    };
    thread::scope(|scope| {
        let raisers: Vec<_> = ports
            .iter()
            .zip(&wanted)
            .map(|(port, wanted)| {
                let events = &events;
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        // One at a time: each has to be taken before the next.
                        wanted.fetch_add(1, Ordering::SeqCst);
                        events.raise(*port);
                        while wanted.load(Ordering::SeqCst) != 0 {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                if events.is_deliverable(0) {
                    let ports = match &queues {
                        Some(queues) => queues.take(&house.shared, 0),
                        None => take(&house.shared, 0, |_| true),
                    };
                    ports.into_iter().for_each(seen);
                }
                thread::yield_now();
            }
        });
        for raiser in raisers {
            raiser.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn nothing_is_lost_between_raisers_and_a_taker_of_bitmaps() {
    race(false);
}

#[test]
fn nothing_is_lost_between_raisers_and_a_taker_of_queues() {
    race(true);
}
