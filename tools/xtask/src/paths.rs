// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Systems whose paths through the kernel are counted, instruction by instruction: compared by
//! `cargo xtask test`, printed by `cargo xtask bench`.
//!
//! `tests/systems/paths` compares what its windows cost on core 0, with and without load on the other
//! cores: from the timer's interrupt to the next instruction of a partition, for three switches.
//!
//! ```text
//!   core 0   │ control │ beside │ filler (time partition 0) │ control …
//!            ▲         ▲        ▲
//!            start     switch   end
//! ```

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use parzelle_harness::paths::{Path, across, between_last_calls, record};
use parzelle_harness::{Board, Ending, Expectation};

use crate::house::{House, Traced};

/// Switches per frame in `tests/systems/paths`, the first of them from window to window.
const SWITCHES: usize = 3;
/// As in `tests/partitions/cores`: windows of `control` that are counted.
const COUNTED: usize = 8;
/// As in `tests/partitions/cores`: doorbells, and messages.
const ROUNDS: usize = 16;

/// Compares the paths of two systems; a remark, or what differs.
pub(crate) fn compare(expect: &Expectation, board: Board, pair: &[Traced; 2]) -> Result<Result<String, String>> {
    let [own, other] = pair;
    let (own, other) = (windows(expect, board, own)?, windows(expect, board, other)?);
    let (own, other) = (multiset(&own), multiset(&other));
    Ok(if own == other {
        Ok(format!(" (instructions × paths: {})", list(&own)))
    } else {
        Err(format!(
            "paths on core 0 differ, instructions × paths:\n  with load     {}\n  without load  {}",
            list(&own),
            list(&other)
        ))
    })
}

/// Figures of `tests/systems/paths` and `paths-across`.
pub(crate) fn figures(house: &House, board: Board) -> Result<Vec<(&'static str, i64)>> {
    let mut figures = Vec::new();
    let directory = house.path("tests/systems/paths");
    let expect = Expectation::load(&directory.join("expect.toml"))?;
    for (name, file) in [("window_switch_idle_cores", "idle.toml"), ("window_switch_loaded_cores", "system.toml")] {
        let traced = house.build_traced(&directory.join(file), board, name)?;
        let switches = windows(&expect, board, &traced)?;
        figures.push((name, worst(switches.iter().step_by(SWITCHES).copied())));
    }
    let directory = house.path("tests/systems/paths-across");
    let expect = Expectation::load(&directory.join("expect.toml"))?;
    if !expect.boards.contains(&board) {
        return Ok(figures);
    }
    let traced = house.build_traced(&directory.join("system.toml"), board, "paths-across")?;
    let paths = recorded(&expect, board, &traced)?;
    // Behind the doorbells come the messages, behind those the end.
    for (name, behind) in [("doorbell_other_core", ROUNDS + 1), ("port_other_core", 1)] {
        let pairs = across(&paths, ROUNDS, behind);
        if pairs.len() != ROUNDS {
            bail!("{name} on {board}: {} of {ROUNDS} arrived", pairs.len());
        }
        // The least: in a round in which the end of a frame falls together with the request of the
        // other core, the emulator's turns being what they are, the receiver does both.
        let least = pairs.iter().map(|(sender, receiver)| sender + receiver).min();
        figures.push((name, worst(least.into_iter())));
    }
    Ok(figures)
}

/// The paths of the counted windows on core 0, in their order, from the first switch on.
fn windows(expect: &Expectation, board: Board, traced: &Traced) -> Result<Vec<u64>> {
    let lengths = between_last_calls(&recorded(expect, board, traced)?);
    // The mark is made in a window of `control`, and so is the end.
    if lengths.len() != COUNTED * SWITCHES {
        bail!(
            "{} on {board}: {} paths on core 0 instead of {}: {lengths:?}",
            traced.image.display(),
            lengths.len(),
            COUNTED * SWITCHES
        );
    }
    Ok(lengths)
}

/// Runs a system under trace, to its good end.
fn recorded(expect: &Expectation, board: Board, traced: &Traced) -> Result<Vec<Path>> {
    let (run, paths) = record(board, &traced.image, &traced.kernel, &expect.options(board)?)?;
    if run.ending != Ending::Success {
        bail!("{} on {board}: {}\n{}\n{}", traced.image.display(), run.ending, run.console.tail(25), run.complaints);
    }
    Ok(paths)
}

/// The largest: such a figure is the same every time, so the least would hide the others.
fn worst(lengths: impl Iterator<Item = u64>) -> i64 {
    lengths.max().and_then(|most| i64::try_from(most).ok()).unwrap_or(i64::MAX)
}

/// How often each length occurs.
fn multiset(lengths: &[u64]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for &length in lengths {
        *counts.entry(length).or_default() += 1;
    }
    counts
}

fn list(counts: &BTreeMap<u64, usize>) -> String {
    let all: Vec<String> = counts.iter().map(|(length, count)| format!("{length} × {count}")).collect();
    all.join(", ")
}
