// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `parzelle`: checks descriptions, builds images of them, runs and inspects images.

#[macro_use]
extern crate parzelle_output;

mod assemble;
mod build;
mod cargo;
mod check;
mod describe;
mod devices;
mod disks;
mod explain;
mod house;
mod image;
mod inspect;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds systems of partitions from one description file.
#[derive(Debug, Parser)]
#[command(version)]
struct Parzelle {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Proves a description, for all its boards.
    Check(check::Check),
    /// Explains a rule.
    Explain(explain::Explain),
    /// Builds an image of a description.
    Build(build::Build),
    /// Builds and starts the board's emulator.
    Run(run::Run),
    /// Shows what is in an image.
    Inspect(inspect::Inspect),
}

fn main() -> ExitCode {
    parzelle_output::run(verb)
}

fn verb() -> ExitCode {
    let verb = Parzelle::parse().verb;
    let done = match &verb {
        Verb::Check(args) => check::run(args),
        Verb::Explain(args) => explain::run(args),
        Verb::Build(args) => build::run(args),
        Verb::Run(args) => run::run(args),
        Verb::Inspect(args) => inspect::run(args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
