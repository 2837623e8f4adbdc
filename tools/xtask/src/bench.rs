// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `cargo xtask bench`: figures in instructions, exact and the same on every run.

mod guest;

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use parzelle_harness::{Board, Ending, Expectation, Transcript, qemu};
use serde_json::Value;

use crate::house::House;
use crate::paths;
use crate::setup;
use crate::table::{Table, thousands};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure: `guest` compares Linux in a partition with Linux alone; default is Parzelle itself.
    what: Option<What>,
    /// Only this board.
    #[arg(long)]
    board: Option<Board>,
    /// One JSON object per figure and line, nothing else on the standard output.
    #[arg(long)]
    json: bool,
}

/// What there is to measure beside Parzelle's own figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Linux's services in a guest partition and on the bare board.
    Guest,
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
    /// At least so much, of a figure that is a share.
    AtLeast(i64),
    /// At most as much as another figure.
    As(&'static str),
    /// Any number.
    Any,
    /// The figure doesn't exist there.
    Absent,
}

use Wanted::{Absent, Any, As, AtLeast, AtMost};

/// The figures that `bench` has to give, in the order in which they are printed.
const TARGETS: [Target; 25] = [
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
    // Several cores: counted from a trace, both sides together.
    target("doorbell_other_core", AtMost(250), Absent),
    target("port_other_core", Any, Absent),
    // The kernel's part only, from a trace: less than `window_switch`, which programs see.
    target("window_switch_idle_cores", Any, Any),
    target("window_switch_loaded_cores", As("window_switch_idle_cores"), Any),
    target("null_call_4_cores", As("null_call"), As("null_call")),
    target("schedule_switch", Any, Any),
    // Percent.
    target("slack_reclaimed", AtLeast(95), AtLeast(95)),
    target("window_switch_10_partitions", Any, Any),
    target("window_switch_1000_partitions", As("window_switch_10_partitions"), As("window_switch_10_partitions")),
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
    /// In [`Figure::unit`].
    instructions: i64,
}

impl Figure {
    /// What it is counted in.
    fn unit(&self) -> &'static str {
        if self.name == SLACK { "percent" } else { "instructions" }
    }
}

/// The figure that is a share of time.
const SLACK: &str = "slack_reclaimed";

/// Measures; `false` if a run failed or a figure is missing. A missed target is shown, not punished.
pub(crate) fn run(house: &House, arguments: &Arguments) -> Result<bool> {
    setup::run(house)?;
    if arguments.what == Some(What::Guest) {
        return guest::run(house, arguments.board, arguments.json);
    }
    let mut complete = true;
    for board in Board::ALL {
        if arguments.board.is_some_and(|wanted| wanted != board) {
            continue;
        }
        let figures = measure(house, board)?;
        if arguments.json {
            for figure in &figures {
                let (unit, Figure { name, instructions }) = (figure.unit(), figure);
                // Names of boards and figures need no escaping.
                println!("{{\"board\":\"{board}\",\"name\":\"{name}\",\"{unit}\":{instructions}}}");
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
        let measures = own.iter().any(|figure| figure.name == MASKED);
        figures.extend(own.into_iter().filter(|figure| figure.name != MASKED));
        if !measures {
            continue;
        }
        let measuring = house.build_image(&file, board, &format!("{name}-measure"), &["--measure"])?;
        let own = run_one(board, &measuring, &expect)?;
        figures.extend(own.into_iter().filter(|figure| figure.name == MASKED));
    }
    for partitions in [10, 1000] {
        figures.extend(many(house, board, partitions)?);
    }
    let traced = paths::figures(house, board)?.into_iter();
    figures.extend(traced.map(|(name, instructions)| Figure { name: name.to_owned(), instructions }));
    Ok(worst(figures))
}

/// Measures switches of windows in a system of so many partitions: those of `windows.toml` and others
/// that do nothing, whose tables are written here.
fn many(house: &House, board: Board, partitions: usize) -> Result<Vec<Figure>> {
    let template = house.path("tests/systems/bench-cores/windows.toml");
    let mut text = fs::read_to_string(&template)?.replace("\"PARTITIONS\"", &partitions.to_string());
    let own = text.matches("\n[partition.").count() + 1;
    for number in own..partitions {
        text.push_str(&format!("\n[partition.n{number}]\ncrate = \"test-checks\"\npriority = 50\n"));
    }
    let name = format!("bench-{partitions}-partitions");
    let file = house.target().join("systems").join(format!("{name}.toml"));
    fs::write(&file, text)?;
    let image = house.build_image(&file, board, &name, &[])?;
    run_one(board, &image, &Expectation::parse("timeout = \"300s\"")?)
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
            instructions: report.get("instructions").or_else(|| report.get("percent"))?.as_i64()?,
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
    let value = |figure: &Figure| match figure.unit() {
        "percent" => format!("{} %", figure.instructions),
        _ => thousands(figure.instructions),
    };
    for figure in sorted {
        let target = TARGETS.iter().find(|target| target.name == figure.name);
        let (wanted, mark) = match target.map(|target| target.on(board)) {
            Some(AtMost(most)) => (thousands(most), if figure.instructions > most { "above" } else { "" }),
            Some(AtLeast(least)) => (thousands(least), if figure.instructions < least { "below" } else { "" }),
            Some(As(other)) => match figures.iter().find(|figure| figure.name == other).map(|it| it.instructions) {
                Some(most) => (thousands(most), if figure.instructions > most { "above" } else { "" }),
                None => (other.to_owned(), ""),
            },
            _ => ("–".to_owned(), ""),
        };
        let cells = [figure.name.clone(), value(figure), wanted, mark.to_owned()];
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
