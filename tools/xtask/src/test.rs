// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `cargo xtask test`: every check that this repository has, from formatting to whole systems.
//!
//! The last line is `N passed, N failed` over all of them.

mod host;
mod lint;
mod systems;
mod versions;

use std::time::Instant;

use anyhow::{Result, bail};
use parzelle_harness::Board;

use self::versions::Versions;
use crate::house::House;
use crate::{setup, size};

/// What to test.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only what has this in its name: `format`, `lint`, `size`, `host`, `million`, `systems/NAME`.
    filter: Option<String>,
    /// Only systems on this board.
    #[arg(long)]
    board: Option<Board>,
    /// Leave out formatting, lints and the systems that call themselves slow.
    #[arg(long)]
    quick: bool,
    /// Also what takes long: guests with all of Debian's stock kernels, which are fetched for it, and tests with
    /// a million cases each.
    #[arg(long, conflicts_with = "quick")]
    all: bool,
}

impl Arguments {
    /// Whether a step or system of that name is asked for.
    fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }
}

/// What has passed and failed so far.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
}

impl Tally {
    /// Prints the line of a check that can't be made here, or was not asked for.
    fn skip(&mut self, name: &str, why: &str) {
        self.skipped += 1;
        println!("test {name} ... skipped: {}", why.trim().replace('\n', " | "));
    }

    /// Takes note of one check and prints its line; `why` may have several lines.
    fn note(&mut self, name: &str, result: Result<String, String>) {
        match result {
            Ok(remark) => {
                self.passed += 1;
                println!("test {name} ... ok{remark}");
            }
            Err(why) => {
                self.failed.push(name.to_owned());
                println!("test {name} ... FAILED");
                for line in why.lines() {
                    println!("    {line}");
                }
            }
        }
    }
}

/// Runs what is asked for; `true` if nothing failed.
pub(crate) fn run(house: &House, arguments: &Arguments) -> Result<bool> {
    let started = Instant::now();
    setup::run(house)?;
    let mut tally = Tally::default();
    if !arguments.quick && arguments.wants("format") {
        tally.note("format", lint::format(house));
    }
    if !arguments.quick && arguments.wants("lint") {
        lint::clippy(house, &mut tally);
    }
    if arguments.wants("size") {
        let over = "more code lines have to be trusted than are allowed, see above";
        tally.note("size", said(size::lines(house)?, over));
        let stray = "unsafe code where none is expected, see above";
        tally.note("size of unsafe code", said(size::confinement(house)?, stray));
    }
    let mut versions = Versions::fetch(house, arguments, &mut tally);
    if arguments.wants("host") {
        host::test(house, &mut tally)?;
    }
    if arguments.all && arguments.wants("million") {
        host::million(house, &mut tally)?;
    }
    systems::test(house, arguments, &mut versions, &mut tally)?;
    versions.print();

    println!();
    for name in &tally.failed {
        println!("failed: {name}");
    }
    if tally == Tally::default() {
        bail!(
            "nothing has `{}` in its name; names are `format`, `lint`, `size`, `host`, `million` (with `--all`) and, for the folders of \
             tests/systems, `systems/NAME`",
            arguments.filter.as_deref().unwrap_or_default()
        );
    }
    println!("finished in {} s", started.elapsed().as_secs());
    let skipped = if tally.skipped > 0 { format!(", {} skipped", tally.skipped) } else { String::new() };
    println!("{} passed, {} failed{skipped}", tally.passed, tally.failed.len());
    Ok(tally.failed.is_empty())
}

/// Makes a result of an answer that has been printed already.
fn said(good: bool, otherwise: &str) -> Result<String, String> {
    if good { Ok(String::new()) } else { Err(otherwise.to_owned()) }
}
