// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Beside an attacker that can be told nothing: sees in each of its windows that its program and memory are
//! what they were, and that the windows come when the plan says. It ends when the attacker, `config.beside`, is
//! NORMAL, or after `config.seconds`.
#![no_std]
#![no_main]

use parzelle_rt::abi::event;
use parzelle_rt::abi::health::Mode;
use parzelle_rt::health::{End, finish, own_statistics};
use parzelle_rt::time::{MILLISECOND, SECOND};
use parzelle_rt::{Error, Partition, VcpuPage, now, println, wait};
use test_support::{Test, Witness};

/// The distance of windows.
const PERIOD: u64 = 10 * MILLISECOND;
/// Windows between two looks at the memory: that takes long.
const LOOKS: u64 = 8;

parzelle_rt::entry!(main);

fn main() -> Result<(), Error> {
    let me = Partition::get();
    parzelle_rt::ready()?;
    let attacker = me.other(me.config().text("beside").unwrap_or("hostile"))?;
    let limit = me.config().number("seconds").unwrap_or(60) * SECOND;
    let (mut test, mut witness) = (Test::new("beside"), Witness::begin());
    let (mut last, mut windows, mut latest) = (0, 0, 0);
    while now() < limit && attacker.status()?.mode != Mode::Normal {
        test.check(wait(now() + SECOND, event::WINDOW) != 0, "a window did not come");
        let (now, start) = (now(), VcpuPage::first().window_start());
        if last != 0 {
            test.equal("distance of windows", start - last, PERIOD);
        }
        // The first one may have been under way when this program was loaded.
        latest = if windows > 2 { now.saturating_sub(start).max(latest) } else { 0 };
        (last, windows) = (start, windows + 1);
        if windows % LOOKS == 0 {
            witness.look(&mut test);
        }
    }
    test.equal("the attacker's mode", attacker.status()?.mode, Mode::Normal);
    // Under icount several cores share one clock, and an audit is long: then windows say nothing.
    let most = me.config().number("late");
    let own = own_statistics()?;
    let missed = most.map_or(0, |_| own.windows_missed);
    test.equal("my accounts", (missed, own.health_events, own.restarts), (0, 0, 0));
    let accounts = attacker.statistics()?;
    log::info!(
        "{windows} windows, the latest start {latest} ns late, {} hashes; the attacker: {} health events, {} restarts",
        witness.count(),
        accounts.health_events,
        accounts.restarts,
    );
    match own.longest_masked {
        0 => test.within("lateness", latest, 0, most.unwrap_or(u64::MAX)),
        // A kernel that measures itself is slower: its figure is the result, not the starts.
        masked => println!("##{{\"bench\":\"longest_masked_path\",\"instructions\":{masked}}}"),
    }
    test.verdict();
    finish(End::Stop)
}
