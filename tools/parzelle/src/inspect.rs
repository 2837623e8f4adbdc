// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `parzelle inspect`: what is in an image, from nothing but the image.

mod links;
mod memory;
mod schedule;
mod trust;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use parzelle_plan::Plan;
use parzelle_resolve::lower::{Proof, Report, prove};
use zerocopy::IntoBytes;

use crate::image;

/// What `inspect` takes.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// An image of `parzelle build`.
    image: PathBuf,
    /// What to show; everything if nothing is named.
    what: Option<What>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Who has which memory, and what each space maps.
    Memory,
    /// Who runs when.
    Schedule,
    /// Who can reach whom.
    Links,
    /// Derived values with their origins, and what must be trusted.
    Trust,
}

/// Prints what was asked for.
pub(crate) fn run(args: &Inspect) -> Result<ExitCode> {
    let file = std::fs::read(&args.image).with_context(|| args.image.display().to_string())?;
    let appendix = image::appendix(&file)?;
    let start = usize::try_from(appendix.plan)?;
    let bytes = file.get(start..).context("the image was cut")?;
    let length = Plan::total_bytes(aligned(bytes.get(..Plan::HEADER_BYTES).unwrap_or(&[])).as_bytes())
        .map_err(|error| anyhow!("{error}"))?;
    let bytes = bytes.get(..usize::try_from(length)?).context("the image was cut")?;
    let words = aligned(bytes);
    let plan = Plan::read(words.as_bytes()).map_err(|error| anyhow!("{error}"))?;
    let wants = |what| args.what.is_none_or(|wanted| wanted == what);
    head(&plan, bytes);
    if wants(What::Memory) {
        memory::print(&plan);
    }
    if wants(What::Schedule) {
        schedule::print(&plan);
    }
    if wants(What::Links) {
        links::print(&plan, &appendix.report);
    }
    if wants(What::Trust) {
        trust::print(&plan, &appendix.report);
    }
    Ok(fence(&plan, &appendix.report))
}

/// Proves from the plan that no partition maps another's memory, and says it; a hole is a failure.
fn fence(plan: &Plan<'_>, report: &Report) -> ExitCode {
    match prove(plan, &report.shared) {
        Ok(Proof { regions, shared, reached }) => {
            println!(
                "\nNo partition maps another's memory, but what they share by name: {} of {}, {shared} of them shared; \
                 {reached} are reached by devices, too",
                count(regions, "region"),
                count(plan.partitions().len(), "partition"),
            );
            ExitCode::SUCCESS
        }
        Err(hole) => {
            println!("\nTHE FENCE HAS A HOLE: {hole}");
            ExitCode::FAILURE
        }
    }
}

/// The bytes again, where words of 8 bytes can be read.
fn aligned(bytes: &[u8]) -> Vec<u64> {
    let mut words = vec![0u64; bytes.len().div_ceil(8)];
    if let Some(slot) = words.as_mut_bytes().get_mut(..bytes.len()) {
        slot.copy_from_slice(bytes);
    }
    words
}

fn head(plan: &Plan<'_>, bytes: &[u8]) {
    let system = plan.system;
    println!(
        "{} on {}: {}, {}, plan digest {:016x}, {}",
        system.name.as_str(),
        system.board.as_str(),
        count(plan.partitions().len(), "partition"),
        count(plan.cores().len(), "core"),
        digest(bytes),
        size(bytes.len() as u64),
    );
}

/// How many there are of something.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The plan's digest, as the kernel prints it: the second word.
fn digest(bytes: &[u8]) -> u64 {
    bytes.get(8..16).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// A size, for people.
fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes < 1 << 10 => format!("{bytes} B"),
        _ if bytes < 1 << 20 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ => format!("{:.2} MiB", bytes as f64 / f64::from(1 << 20)),
    }
}

/// A time, for people.
fn time(nanoseconds: u64) -> String {
    for (unit, name) in [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")] {
        if nanoseconds >= unit {
            let value = nanoseconds as f64 / unit as f64;
            return format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').to_owned() + " " + name;
        }
    }
    format!("{nanoseconds} ns")
}

/// A partition's name.
fn partition(plan: &Plan<'_>, index: u32) -> String {
    let record = plan.partitions().get(index as usize);
    record.map_or("kernel".to_owned(), |record| record.name.as_str().to_owned())
}
