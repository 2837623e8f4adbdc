// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `parzelle check`: proves a description, for all its boards.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use parzelle_resolve::check::{Outcome, check};
use parzelle_resolve::environment::Environment;
use parzelle_resolve::render::{json, status};

use crate::describe::show;

/// What `check` takes.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The description.
    file: PathBuf,
    /// Prints findings as JSON on standard output, one object per line.
    #[arg(long)]
    json: bool,
    /// `warnings`: fails on warnings too.
    #[arg(long, value_name = "WHAT", value_parser = ["warnings"])]
    deny: Option<String>,
}

/// Checks; the status is 0 without errors, 1 with errors, 2 if the file cannot be read.
pub(crate) fn run(args: &Check) -> Result<ExitCode> {
    let outcome = check(&args.file, &Environment::new(crate::house::root()));
    let deny = args.deny.is_some();
    if let Some(why) = &outcome.unreadable {
        eprintln!("error: {why}");
    } else if args.json {
        print!("{}", json(&outcome));
    } else {
        show(&outcome, deny);
        if outcome.findings.is_empty() {
            eprintln!("{}: nothing is wrong on {}", args.file.display(), outcome.boards.join(", "));
        }
        trusted(&outcome);
    }
    Ok(ExitCode::from(status(&outcome, deny)))
}

/// Lists the partitions that could reach all memory by their devices: the holes that are written down.
fn trusted(outcome: &Outcome) {
    for system in &outcome.systems {
        for partition in &system.partitions {
            let devices: Vec<&str> = system.unfenced(partition).map(|device| device.name.as_str()).collect();
            if !devices.is_empty() {
                let (board, name, devices) = (&system.board.name, &partition.name, devices.join(", "));
                eprintln!("trusted on {board}: `{name}`, whose devices reach all memory ({devices})");
            }
        }
    }
}
