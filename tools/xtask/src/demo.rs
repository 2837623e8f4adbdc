// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `cargo xtask demo`: real-time partitions beside stock Debian, and what each of them got.

mod report;
mod seconds;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use parzelle_harness::console::{Line, Transcript};
use parzelle_harness::{Board, Ending, Options, qemu};

use crate::house::House;
use crate::setup;

/// The description files of the demo, below the root: on one core, where time is judged, and on
/// four.
const ONE_CORE: &str = "config/systems/demo.toml";
const FOUR_CORES: &str = "config/systems/demo-4.toml";
/// Where their variants go: ignored by git, and as deep below the root as the demo's own folder, for
/// the paths in a description are relative to it.
const VARIANTS: &str = "target/systems";
/// Virtual seconds that an interactive run lasts at most: a day.
const DAY: u64 = 86_400;

/// How to show it.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The board to play.
    #[arg(long, default_value = "qemu-virt-aarch64")]
    board: Board,
    /// Seconds of the board's time that it runs; without it, as the description says.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// On one core, where every window is judged to the instruction, or on four, where an emulator
    /// that runs its cores in turn shows who gets which, but not how promptly.
    #[arg(long, default_value = "1", value_parser = ["1", "4"])]
    cores: String,
    /// Talk to Debian's shell; Ctrl-A X leaves. Time is the host's then and is not judged.
    #[arg(long, conflicts_with = "seconds")]
    interactive: bool,
}

/// Runs the demo; `true` if no window was missed and everything ended as it should.
pub(crate) fn run(house: &House, arguments: &Arguments) -> Result<bool> {
    setup::run(house)?;
    let board = arguments.board;
    let (file, cores) = if arguments.cores == "4" { (FOUR_CORES, 4) } else { (ONE_CORE, 1) };
    eprintln!("demo: building {file} for {board}");
    let has_debian = has_debian(&std::fs::read_to_string(house.path(file))?, board)?;
    let image = build(house, file, arguments)?;
    if arguments.interactive {
        eprintln!("demo: the terminal is the board's console; Ctrl-A X leaves");
        match has_debian {
            true => eprintln!("demo: Debian's shell comes when its load is done, in some ten seconds"),
            false => eprintln!("demo: there is no Debian on this board yet, so nobody reads what you type"),
        }
        eprintln!("demo: time is this machine's: where it is late, the monitor counts states as wrong");
        let status = qemu::interact(board, &image, &Options { icount: false, cores, ..Options::default() })?;
        return Ok(status.code().is_some());
    }
    eprintln!("demo: running it under icount: one instruction is one nanosecond of its time");
    // Guests execute some ten million instructions per second of a slow host.
    let patience = 300 + 120 * arguments.seconds.unwrap_or(5);
    let options = Options { timeout: Duration::from_secs(patience), cores, ..Options::default() };
    let mut lines = Lines::default();
    let run = qemu::run(board, &image, &options, |bytes| lines.show(bytes))?;
    println!();
    let reports = report::collect(&run.console);
    print!("{}", report::table(&reports));
    println!("{}\n\n{}", report::LEGEND, report::accounts(&run.console));
    let mut faults = report::faults(&reports, cores == 1);
    if run.ending != Ending::Success {
        faults.push(format!("the system ended otherwise than in order: {}", run.ending));
    }
    if has_debian {
        faults.extend(guest_faults(&run.console));
    }
    if !faults.is_empty() && !run.complaints.is_empty() {
        faults.push(format!("QEMU said: {}", run.complaints));
    }
    for fault in &faults {
        println!("demo: {fault}");
    }
    if faults.is_empty() {
        let verdict = if cores == 1 { "missed" } else { "lost" };
        println!("demo: no real-time window was {verdict} ({:.0} s of wall time)", run.took.as_secs_f64());
    }
    Ok(faults.is_empty())
}

/// Builds the image, with another length of the run if one is asked for.
fn build(house: &House, file: &str, arguments: &Arguments) -> Result<PathBuf> {
    let file = house.path(file);
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let length = if arguments.interactive { Some(DAY) } else { arguments.seconds };
    let Some(length) = length else {
        return house.build_image(&file, arguments.board, &name, &[]);
    };
    let name = format!("{name}-{length}s");
    let folder = house.path(VARIANTS);
    std::fs::create_dir_all(&folder)?;
    let variant = folder.join(&name).with_extension("toml");
    std::fs::write(&variant, seconds::replace(&std::fs::read_to_string(&file)?, length)?)?;
    house.build_image(&variant, arguments.board, &name, &[])
}

/// Whether the demo is described with its guest on this board.
fn has_debian(description: &str, board: Board) -> Result<bool> {
    let table: toml::Table = toml::from_str(description)?;
    let own = table.get("board").and_then(|boards| boards.get(board.name()));
    let without = own.and_then(|own| own.get("without")).and_then(toml::Value::as_array);
    Ok(!without.is_some_and(|names| names.iter().any(|name| name.as_str() == Some("debian"))))
}

/// What Debian owes: its name, and the end of its load.
fn guest_faults(console: &Transcript) -> Vec<String> {
    let owed =
        [("Linux ", "Debian did not print its `uname -a`"), ("load: finished", "Debian did not finish its load")];
    let said: Vec<String> = console.of("debian").collect();
    let is_missing = |text: &str| {
        // The kernel's own log also names Linux; its lines begin with a time stamp in brackets.
        !said.iter().any(|line| line.contains(text) && !line.starts_with('['))
    };
    owed.iter().filter(|(text, _)| is_missing(text)).map(|(_, fault)| (*fault).to_owned()).collect()
}

/// Prints whole lines as they come, and leaves out those that are meant for tools.
#[derive(Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn show(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let text = String::from_utf8_lossy(&line);
            if Line::parse(&text).report().is_none() {
                println!("{}", plain(&text).trim_end());
            }
        }
    }
}

/// A text without its control sequences. A shell asks the terminal where the cursor is, and the
/// terminal would answer to whoever reads the keyboard when the demo is over.
fn plain(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // Parameters, then one letter (ECMA-48, 5.4).
        let end = part.find(|c: char| ('@'..='~').contains(&c)).map_or(part.len(), |last| last + 1);
        plain.push_str(part.get(end..).unwrap_or_default());
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_terminal_is_asked_nothing() {
        assert_eq!(plain("/ # \x1b[6n"), "/ # ");
        assert_eq!(plain("\x1b[1;34mbin\x1b[m [x]"), "bin [x]");
    }

    #[test]
    fn paths_in_a_variant_are_those_of_the_demo() {
        let up = |folder: &Path| folder.components().count();
        for file in [ONE_CORE, FOUR_CORES] {
            assert_eq!(Some(up(Path::new(VARIANTS))), Path::new(file).parent().map(up));
        }
    }

    #[test]
    fn who_is_left_out_owes_nothing() {
        let [arm, q35] = ["qemu-virt-aarch64", "qemu-q35-x86_64"].map(|name| name.parse().unwrap());
        let text = "[board.qemu-q35-x86_64]\nwithout = [\"debian\"]\n";
        assert!(has_debian(text, arm).unwrap() && !has_debian(text, q35).unwrap());
        assert!(has_debian("", q35).unwrap());
    }

    #[test]
    fn debian_has_to_finish() {
        let good = "[debian] Linux (none) 6.1.0 aarch64 GNU/Linux\n[debian] load: finished, sha256 0\n";
        assert!(guest_faults(&Transcript::new(good)).is_empty());
        let log = "[debian] [    0.000000] Linux version 6.1.0\n[control] load: finished\n";
        assert_eq!(guest_faults(&Transcript::new(log)).len(), 2);
    }
}
