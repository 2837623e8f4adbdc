// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What people who work on Parzelle run: `cargo xtask setup | demo | test | bench | size`.
//!
//! ```text
//!   setup ◀── demo, test, bench       installs what is missing; costs nothing when nothing is
//!               │
//!               ├──▶ parzelle build   the tool that users run makes the images
//!               └──▶ tests/harness    runs them in QEMU and judges the console
//! ```

#[macro_use]
extern crate parzelle_output;

mod bench;
mod demo;
mod house;
mod paths;
mod setup;
mod size;
mod table;
mod test;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::house::House;

/// Tools for working on Parzelle.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

/// What to do.
#[derive(Subcommand)]
enum Verb {
    /// Install what is missing and fetch the guests; a second run costs nothing.
    Setup,
    /// Build the demo, run it and print what each partition got.
    Demo(demo::Arguments),
    /// Run all tests: formatting, lints, host tests, rejected files, systems on both boards.
    Test(test::Arguments),
    /// Measure, in instructions, and print each figure beside its target.
    Bench(bench::Arguments),
    /// Count the lines that have to be trusted, and find unsafe code where it should not be.
    Size,
}

fn main() -> ExitCode {
    parzelle_output::run(verb)
}

fn verb() -> ExitCode {
    let verb = Arguments::parse().verb;
    match House::find().and_then(|house| run(&house, verb)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one verb; `false` means that it ran and that the answer is no.
fn run(house: &House, verb: Verb) -> Result<bool> {
    match verb {
        Verb::Setup => setup::run(house).map(|()| true),
        Verb::Demo(arguments) => demo::run(house, &arguments),
        Verb::Test(arguments) => test::run(house, &arguments),
        Verb::Bench(arguments) => bench::run(house, &arguments),
        Verb::Size => size::run(house),
    }
}
