// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `cargo xtask bench`: figures in instructions, exact and the same on every run.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use parzelle_harness::{Board, Ending, Expectation, Transcript, qemu};
use serde_json::Value;

use crate::house::House;
use crate::setup;
use crate::table::{Table, thousands};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this board.
    #[arg(long)]
    board: Option<Board>,
    /// One JSON object per figure and line, nothing else on the standard output.
    #[arg(long)]
    json: bool,
}

/// A figure, and how many instructions it may take on aarch64 and on x86-64.
///
/// `None`: it has to be there, but no target is set for it.
struct Target {
    name: &'static str,
    aarch64: Wanted,
    x86_64: Wanted,
}

/// What is wanted of a figure on one architecture.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// At most so many instructions.
    AtMost(i64),
    /// Any number.
    Any,
    /// The figure doesn't exist there.
    Absent,
}

use Wanted::{Absent, Any, AtMost};

/// The figures that `bench` has to give, in the order in which they are printed.
const TARGETS: [Target; 16] = [
    target("null_call", AtMost(80), AtMost(70)),
    target("context_switch", AtMost(140), AtMost(140)),
    target("window_switch", AtMost(180), Any),
    target("doorbell_wake", AtMost(180), AtMost(180)),
    target("port_sampling_write_64", Any, Any),
    target("port_sampling_read_64", Any, Any),
    target("port_queuing_send_receive_64", AtMost(300), Any),
    target("upcall", Any, Any),
    target("restart_kernel", Any, Any),
    target("restart_reload_64k", Any, Any),
    // The bound L of the kernel: no path with interrupts masked is longer.
    target("longest_masked_path", AtMost(1000), AtMost(1000)),
    target("window_start_jitter_max", AtMost(300), AtMost(300)),
    target("irq_to_partition", AtMost(150), AtMost(150)),
    target("guest_exit_shim_resume", AtMost(300), Absent),
    target("guest_irq_inject", Any, Absent),
    target("guest_switch", AtMost(350), Absent),
];

const fn target(name: &'static str, aarch64: Wanted, x86_64: Wanted) -> Target {
    Target { name, aarch64, x86_64 }
}

impl Target {
    fn on(&self, board: Board) -> Wanted {
        if board.arch() == "aarch64" { self.aarch64 } else { self.x86_64 }
    }
}

/// A measured figure.
struct Figure {
    name: String,
    instructions: i64,
}

/// Measures; `false` if a run failed or a figure is missing. A missed target is shown, not punished.
pub(crate) fn run(house: &House, arguments: &Arguments) -> Result<bool> {
    setup::run(house)?;
    let mut complete = true;
    for board in Board::ALL {
        if arguments.board.is_some_and(|wanted| wanted != board) {
            continue;
        }
        let figures = measure(house, board)?;
        if arguments.json {
            for Figure { name, instructions } in &figures {
                // Names of boards and figures need no escaping.
                println!("{{\"board\":\"{board}\",\"name\":\"{name}\",\"instructions\":{instructions}}}");
            }
        } else {
            println!("{board}\n\n{}{LEGEND}\n", set(board, &figures));
        }
        let missing = TARGETS
            .iter()
            .filter(|target| target.on(board) != Absent && figures.iter().all(|figure| figure.name != target.name));
        for target in missing {
            eprintln!("{board}: the figure `{}` is missing", target.name);
            complete = false;
        }
    }
    Ok(complete)
}

/// The figure that only a kernel gives which measures itself; it is slower for it.
const MASKED: &str = "longest_masked_path";

/// What the figure called jitter is; printed below the table.
const LEGEND: &str = "jitter: the latest start of a window less the earliest, each from its start in the plan to the \
                      kernel's switch to it";

/// Runs every system in `tests/systems` that is called `bench…`, on one core, counting instructions.
fn measure(house: &House, board: Board) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for entry in fs::read_dir(house.path("tests/systems"))? {
        let directory = entry?.path();
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with("bench") {
            continue;
        }
        let expect = Expectation::load(&directory.join("expect.toml"))?;
        if !expect.boards.contains(&board) {
            continue;
        }
        let file = directory.join(&expect.system);
        let plain = house.build_image(&file, board, &name, &[])?;
        let own = run_one(board, &plain, &expect)?;
        figures.extend(own.into_iter().filter(|figure| figure.name != MASKED));
        let measuring = house.build_image(&file, board, &format!("{name}-measure"), &["--measure"])?;
        let own = run_one(board, &measuring, &expect)?;
        figures.extend(own.into_iter().filter(|figure| figure.name == MASKED));
    }
    Ok(worst(figures))
}

/// Runs one image to its end and reads its figures.
fn run_one(board: Board, image: &Path, expect: &Expectation) -> Result<Vec<Figure>> {
    let run = qemu::run(board, image, &expect.options(board)?, |_| {})?;
    if run.ending != Ending::Success {
        bail!("bench on {board}: {}\n{}\n{}", run.ending, run.console.tail(25), run.complaints);
    }
    Ok(figures(&run.console))
}

/// Of figures with the same name the largest.
fn worst(mut figures: Vec<Figure>) -> Vec<Figure> {
    figures.sort_by(|a, b| (&a.name, b.instructions).cmp(&(&b.name, a.instructions)));
    figures.dedup_by(|later, kept| later.name == kept.name);
    figures
}

/// The figures in a console.
fn figures(console: &Transcript) -> Vec<Figure> {
    let read = |report: Value| {
        Some(Figure {
            name: report.get("bench")?.as_str()?.to_owned(),
            instructions: report.get("instructions")?.as_i64()?,
        })
    };
    console.reports("bench").filter_map(read).collect()
}

/// Sets the figures beside their targets; figures without an entry in the list come last.
fn set(board: Board, figures: &[Figure]) -> String {
    let place =
        |figure: &&Figure| TARGETS.iter().position(|target| target.name == figure.name).unwrap_or(TARGETS.len());
    let mut sorted: Vec<&Figure> = figures.iter().collect();
    sorted.sort_by_key(place);
    let mut table = Table::new(["figure", "instructions", "target", ""]);
    for figure in sorted {
        let target = TARGETS.iter().find(|target| target.name == figure.name);
        let (wanted, mark) = match target.map(|target| target.on(board)) {
            Some(AtMost(most)) if figure.instructions > most => (thousands(most), "above"),
            Some(AtMost(most)) => (thousands(most), ""),
            _ => ("–".to_owned(), ""),
        };
        let cells = [figure.name.clone(), thousands(figure.instructions), wanted, mark.to_owned()];
        table.row(cells.to_vec());
    }
    table.set()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_counts() {
        let figure = |name: &str, instructions| Figure { name: name.to_owned(), instructions };
        let all = worst(vec![figure("b", 1), figure("a", 2), figure("b", 3), figure("b", 2)]);
        let all: Vec<_> = all.iter().map(|it| (it.name.as_str(), it.instructions)).collect();
        assert_eq!(all, [("a", 2), ("b", 3)]);
    }

    #[test]
    fn figures_are_set_beside_their_targets() {
        let console = Transcript::new(
            "[b] ##{\"bench\":\"zzz\",\"instructions\":1}\n\
             [b] ##{\"bench\":\"null_call\",\"instructions\":81}\n",
        );
        let text = set(Board::QemuVirtAarch64, &figures(&console));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[2].starts_with("null_call") && lines[2].ends_with("80  above"));
        assert!(lines[3].starts_with("zzz"));
    }
}
