// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `cargo xtask bench guest`: what Linux's services cost in a partition, against the bare board.
//!
//! ```text
//!   vmlinuz + bench.img ──▶ QEMU, the board's processor ─────────────▶ BENCH name ticks ─┐
//!        └───▶ tests/systems/guest-bench ──▶ Parzelle ──▶ partition ──▶ BENCH name ticks ─┴─▶ ratio
//! ```
//!
//! Kernel, program, processor model and memory are the same, and a tick is an instruction.

use std::time::Duration;

use anyhow::{Result, bail};
use parzelle_harness::{Board, Expectation, Native, Options, Transcript, qemu};

use crate::house::House;
use crate::setup;
use crate::table::{Table, thousands};

/// The system that is measured, below `tests/systems`.
const SYSTEM: &str = "guest-bench";

/// A metric: its name, and its instructions.
type Metric = (String, u64);

/// A metric on both sides.
struct Pair {
    name: String,
    native: u64,
    parzelle: u64,
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.parzelle as f64 / self.native as f64
    }
}

/// Measures and prints; `false` if a metric is missing on one side.
pub(super) fn run(house: &House, only: Option<Board>, json: bool) -> Result<bool> {
    setup::guest_programs(house)?;
    let directory = house.path("tests/systems").join(SYSTEM);
    let expect = Expectation::load(&directory.join("expect.toml"))?;
    let mut complete = true;
    for board in Board::ALL {
        if only.is_some_and(|wanted| wanted != board) {
            continue;
        }
        if !expect.boards.contains(&board) {
            eprintln!("{board}: tests/systems/{SYSTEM} does not name this board");
            complete &= only.is_none();
            continue;
        }
        let native = alone(house, board)?;
        let image = house.build_image(&directory.join(&expect.system), board, SYSTEM, &[])?;
        let run = qemu::run(board, &image, &expect.options(board)?, |_| {})?;
        if !finished(&run.console) {
            bail!("the guest on {board}: {}\n{}\n{}", run.ending, run.console.tail(25), run.complaints);
        }
        let parzelle = metrics(&run.console);
        if !native.iter().map(|(name, _)| name).eq(parzelle.iter().map(|(name, _)| name)) {
            eprintln!("{board}: metrics are missing");
            complete = false;
        }
        let pairs = pairs(native, &parzelle);
        if json {
            for pair in &pairs {
                let (Pair { name, native, parzelle }, ratio) = (pair, pair.ratio());
                // Names of boards and metrics need no escaping.
                println!(
                    "{{\"board\":\"{board}\",\"name\":\"{name}\",\"native\":{native},\"parzelle\":{parzelle},\
                     \"ratio\":{ratio:.4}}}"
                );
            }
        } else {
            println!("{board}, instructions\n\n{}", set(&pairs));
        }
    }
    Ok(complete)
}

/// What the metrics are without Parzelle.
fn alone(house: &House, board: Board) -> Result<Vec<Metric>> {
    let guests = house.cache().join("guests");
    let native = Native {
        kernel: guests.join("debian-12").join(board.arch()).join("vmlinuz"),
        initrd: guests.join("programs").join(board.arch()).join("bench.img"),
        // As in the description of the system. Without `nokaslr` Linux on QEMU's arm64 board, which has a
        // seed for it, would separate kernel and programs (KPTI), and do so at each exception.
        cmdline: "quiet nokaslr".to_owned(),
        memory: "512M".to_owned(),
    };
    let options = Options { timeout: Duration::from_secs(120), ..Options::default() };
    let run = qemu::run_native(board, &native, &options, |_| {})?;
    if !native.ended_well(&run) || !finished(&run.console) {
        bail!("Linux alone on {board}: {}\n{}\n{}", run.ending, run.console.tail(25), run.complaints);
    }
    Ok(metrics(&run.console))
}

/// Whether the program has come to its end, without complaint.
fn finished(console: &Transcript) -> bool {
    let says = |text: &str| console.lines().any(|line| line.text.starts_with(text));
    says("BENCH done") && !says("BENCH FAILED")
}

/// The metrics in a console, in their order: `BENCH name value`.
fn metrics(console: &Transcript) -> Vec<Metric> {
    let read = |text: &str| {
        let (name, value) = text.strip_prefix("BENCH ")?.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    console.lines().filter_map(|line| read(&line.text)).collect()
}

/// The metrics that both sides have.
fn pairs(native: Vec<Metric>, parzelle: &[Metric]) -> Vec<Pair> {
    let other = |name: &str| parzelle.iter().find(|(other, _)| other == name).map(|&(_, value)| value);
    let pair = |(name, native): Metric| Some(Pair { native, parzelle: other(&name)?, name });
    native.into_iter().filter_map(pair).collect()
}

/// The geometric mean of the ratios.
fn mean(pairs: &[Pair]) -> f64 {
    (pairs.iter().map(|pair| pair.ratio().ln()).sum::<f64>() / pairs.len() as f64).exp()
}

fn set(pairs: &[Pair]) -> String {
    let mut table = Table::new(["metric", "native", "Parzelle", "ratio"]);
    let number = |value: u64| thousands(i64::try_from(value).unwrap_or(i64::MAX));
    for pair in pairs {
        let ratio = format!("{:.3}", pair.ratio());
        table.row(vec![pair.name.clone(), number(pair.native), number(pair.parzelle), ratio]);
    }
    table.row(vec!["geometric mean".to_owned(), String::new(), String::new(), format!("{:.3}", mean(pairs))]);
    table.set()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_both_sides_meet() {
        let native = metrics(&Transcript::new("BENCH a 100\nnoise\nBENCH b 200\r\nBENCH c 1\nBENCH done\n"));
        let other = metrics(&Transcript::new("[guest] BENCH b 400\n[guest] BENCH a 200\n"));
        let pairs = pairs(native, &other);
        let all: Vec<_> = pairs.iter().map(|it| (it.name.as_str(), it.native, it.parzelle)).collect();
        assert_eq!(all, [("a", 100, 200), ("b", 200, 400)]);
        assert!((mean(&pairs) - 2.0).abs() < 1e-9);
        assert!(set(&pairs).lines().last().unwrap().ends_with("2.000"));
    }

    #[test]
    fn a_run_that_complained_is_not_finished() {
        assert!(finished(&Transcript::new("BENCH done\n")));
        assert!(!finished(&Transcript::new("BENCH FAILED: x\nBENCH done\n")));
    }
}
