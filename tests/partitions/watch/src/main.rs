// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Sees from inside whether an attack beside it has any effect. In each of its windows it checks
//!
//! - that the window begins when the plan says, as early as before the attack began;
//! - that its program and its memory are what they were (a hash);
//! - that its ports to `partner`, which plays the other role of this program, lose and change
//!   nothing.
//!
//! It starts the attacker (which is idle at first), revives it when it has stopped or hangs, and
//! gives the verdict when the attack has been long enough.
#![no_std]
#![no_main]

mod ports;
mod time;

use parzelle_rt::abi::event;
use parzelle_rt::abi::health::Mode;
use parzelle_rt::health::{End, Other, finish, own_statistics};
use parzelle_rt::time::{MILLISECOND, SECOND};
use parzelle_rt::{Error, Partition, Volatile, now, println, wait};
use ports::Ports;
use test_support::progress::{BREACHES, CALLS, GARBAGE, MEMORY, PRIVILEGED, STARTS};
use test_support::{Test, Witness};
use time::Starts;

/// Windows before the attack, to see how early they begin.
const QUIET: u64 = 50;
/// Windows without any progress after which the attacker is restarted.
const PATIENCE: u32 = 3;
/// What the attack has to have done: (counter, how often).
const WANTED: [(u64, u64); 4] = [(CALLS, 1_000_000), (MEMORY, 20_000), (PRIVILEGED, 5_000), (GARBAGE, 1_000)];
/// Nanoseconds that the attack may take.
const LIMIT: u64 = 60 * SECOND;

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    if me.name() == "partner" {
        return ports::partner(&me);
    }
    parzelle_rt::ready()?;
    let mut test = Test::new("watch");
    let hostile = me.other("hostile")?;
    let mut ports = Ports::open(&me)?;
    let mut witness = Witness::begin();
    let mut starts = Starts::new();
    for _ in 0..QUIET {
        window(&mut starts, &mut witness, &mut ports, &mut test);
    }
    starts.end_of_quiet();
    hostile.control(Mode::ColdStart)?;

    let progress = me.shared("progress")?.memory();
    let count = |counter| progress.load_u64(counter).unwrap_or(0);
    let mut attacker = Attacker { it: hostile, done: 0, idle: 0, revivals: 0 };
    while WANTED.iter().any(|&(counter, wanted)| count(counter) < wanted) && now() < LIMIT {
        window(&mut starts, &mut witness, &mut ports, &mut test);
        attacker.supervise(&progress)?;
    }
    attacker.it.control(Mode::Idle)?;
    for _ in 0..QUIET {
        window(&mut starts, &mut witness, &mut ports, &mut test);
    }

    for (counter, wanted) in WANTED {
        test.within("what the attack did", count(counter), wanted, u64::MAX);
    }
    test.equal("breaches", count(BREACHES), 0);
    for (what, name) in [("own accounts", None), ("partner's accounts", Some("partner"))] {
        let accounts = name.map_or_else(own_statistics, |name| me.other(name)?.statistics())?;
        test.equal(what, (accounts.windows_missed, accounts.health_events, accounts.restarts), (0, 0, 0));
    }
    let accounts = attacker.it.statistics()?;
    test.check(accounts.health_events > 0, "the attack was not noticed");
    log::info!(
        "{} windows, {} restarts of the attacker ({} by me), {} health events; starts {} to {} ns late, quiet {} to {}; {} messages, {} hashes",
        starts.count(),
        accounts.restarts,
        attacker.revivals,
        accounts.health_events,
        starts.least(),
        starts.most(),
        starts.quiet().0,
        starts.quiet().1,
        ports.count(),
        witness.count(),
    );
    let masked = own_statistics()?.longest_masked;
    if masked == 0 {
        test.within("lateness", starts.most(), 0, starts.quiet().1 + time::TOLERANCE);
    } else {
        // A kernel that measures itself is slower: its figure is the result, not the starts.
        println!("##{{\"bench\":\"longest_masked_path\",\"instructions\":{masked}}}");
    }
    log::info!("{} starts of the attacker", count(STARTS));
    test.verdict();
    finish(End::Stop)
}

/// Waits for the next window and checks everything.
fn window(starts: &mut Starts, witness: &mut Witness, ports: &mut Ports, test: &mut Test) {
    let events = wait(now() + SECOND, event::WINDOW);
    starts.look(events != 0, test);
    witness.look(test);
    ports.look(test);
}

/// The attacker, as its watcher sees it.
struct Attacker {
    it: Other,
    done: u64,
    idle: u32,
    revivals: u32,
}

impl Attacker {
    /// Starts it again if it has stopped or hangs.
    fn supervise(&mut self, progress: &Volatile) -> Result<(), Error> {
        let done = [MEMORY, PRIVILEGED].map(|at| progress.load_u64(at).unwrap_or(0)).iter().sum();
        self.idle = if done == self.done { self.idle + 1 } else { 0 };
        self.done = done;
        let stopped = self.it.status()?.mode == Mode::Idle;
        if stopped || self.idle > PATIENCE {
            self.it.control(Mode::WarmStart)?;
            (self.idle, self.revivals) = (0, self.revivals + 1);
        }
        Ok(())
    }
}

/// The distance of this partition's windows, and its partner's.
pub(crate) const PERIOD: u64 = 10 * MILLISECOND;
