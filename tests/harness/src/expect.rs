// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What a test system is expected to do: its `expect.toml`. `tests/systems/README.md` shows the format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;

use crate::ask::Ask;
use crate::board::Board;
use crate::qemu::Options;

/// How a system is run, and what makes the run a good one.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The boards on which it runs: those of the description unless it names its own.
    pub boards: Vec<Board>,
    /// Whether quick runs of the tests leave it out.
    pub slow: bool,
    /// Whether it is run with every stock kernel, one after the other; only if all tests are asked for.
    pub versions: bool,
    /// Whether only `--all` runs it.
    pub all: bool,
    /// The description file, relative to the directory of this file.
    pub system: PathBuf,
    /// The board-independent part.
    common: Terms,
    /// What differs on a board.
    board: BTreeMap<String, Terms>,
}

/// How the run has to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// The system switches off and is content.
    #[default]
    Success,
    /// The kernel gives up, or refuses to begin.
    Failure,
    /// It resets the machine.
    Reset,
    /// It runs until its time is up.
    Timeout,
}

/// Something to type into the serial line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Type when this has been printed (after what earlier inputs waited for).
    pub after: String,
    /// What to type, with its line end.
    pub send: String,
}

/// What a partition's accounts have to show, see `judge`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Bounds {
    /// At least so many windows were entered.
    pub windows: Option<i64>,
    /// At most so many were missed.
    pub missed: Option<i64>,
    /// At most so many ns between the earliest and the latest start of a window, against plan.
    pub jitter_ns: Option<i64>,
    /// Exactly so many restarts.
    pub restarts: Option<i64>,
}

/// The keys of the file, all of which may differ from board to board.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Terms {
    timeout: Option<String>,
    icount: Option<bool>,
    cores: Option<u32>,
    gic: Option<u32>,
    qemu: Option<Vec<String>>,
    input: Option<Vec<Input>>,
    ask: Option<Vec<Ask>>,
    exit: Option<Exit>,
    verdicts: Option<usize>,
    twice: Option<bool>,
    measure: Option<bool>,
    audit: Option<bool>,
    shim: Option<PathBuf>,
    same_paths: Option<PathBuf>,
    bench: Option<BTreeMap<String, i64>>,
    report: Option<BTreeMap<String, Bounds>>,
    says: Option<BTreeMap<String, Vec<String>>>,
    never: Option<Vec<String>>,
}

/// What the run on one board has to fulfil.
#[derive(Clone, Debug)]
pub struct Demand {
    /// How it has to end.
    pub exit: Exit,
    /// Whether a second run has to print the same bytes.
    pub twice: bool,
    /// Whether the kernel has to be one that measures its masked paths.
    pub measure: bool,
    /// Whether the kernel has to be one that audits page tables of guests when it ends, and finds nothing
    /// (x86-64; nothing elsewhere).
    pub audit: bool,
    /// A crate that runs in place of the shim of guests, relative to the directory of this file.
    pub shim: Option<PathBuf>,
    /// Another description, relative to the directory of this file, with which the paths from
    /// interrupts on core 0 have to have the same lengths, see [`crate::paths`].
    pub same_paths: Option<PathBuf>,
    /// Figures that have to be printed, and the most that each may be.
    pub bench: BTreeMap<String, i64>,
    /// What the accounts of partitions, as a reporter prints them, have to show.
    pub report: BTreeMap<String, Bounds>,
    /// At least so many verdicts `pass`; a single `fail` spoils the run anyway.
    pub verdicts: usize,
    /// Per partition: texts that occur in its lines, in this order.
    pub says: BTreeMap<String, Vec<String>>,
    /// Texts that occur in no line.
    pub never: Vec<String>,
}

impl Expectation {
    /// Reads `expect.toml`, and from the description which boards there are if it names none.
    pub fn load(path: &Path) -> Result<Self> {
        let mut expectation = Self::parse(&read(path)?).with_context(|| path.display().to_string())?;
        if expectation.boards.is_empty() {
            let system = path.with_file_name(&expectation.system);
            let described = described_boards(&read(&system)?);
            expectation.boards = described.with_context(|| system.display().to_string())?;
        }
        Ok(expectation)
    }

    /// Reads the text of an `expect.toml`.
    pub fn parse(text: &str) -> Result<Self> {
        // What is not of a kind with the keys of a board's table is taken out first; serde's
        // `flatten` does not go with `deny_unknown_fields`.
        let mut file: toml::Table = toml::from_str(text)?;
        let mut take = |key: &str| file.remove(key);
        let boards: Vec<String> = take("boards").map_or(Ok(Vec::new()), toml::Value::try_into)?;
        let slow = take("slow").map_or(Ok(false), toml::Value::try_into)?;
        let versions = take("versions").map_or(Ok(false), toml::Value::try_into)?;
        let all = take("all").map_or(Ok(false), toml::Value::try_into)?;
        let system = take("system").map_or(Ok("system.toml".into()), toml::Value::try_into)?;
        let board: BTreeMap<String, Terms> = take("board").map_or(Ok(BTreeMap::new()), toml::Value::try_into)?;
        let common: Terms = toml::Value::Table(file).try_into()?;
        for name in board.keys() {
            name.parse::<Board>()?;
        }
        let boards = boards.iter().map(|name| name.parse()).collect::<Result<_>>()?;
        let expectation = Self { boards, slow, versions, all, system, common, board };
        for board in Board::ALL {
            expectation.options(board)?;
        }
        Ok(expectation)
    }

    /// How to run the system on `board`.
    pub fn options(&self, board: Board) -> Result<Options> {
        let default = Options::default();
        let timeout = match self.pick(board, |terms| &terms.timeout) {
            Some(text) => seconds(&text)?,
            None => default.timeout,
        };
        let ask = self.pick(board, |terms| &terms.ask).unwrap_or_default();
        let ask = ask.into_iter().map(Ask::placed).collect::<Result<Vec<_>>>()?;
        Ok(Options {
            icount: self.pick(board, |terms| &terms.icount).unwrap_or(default.icount),
            cores: self.pick(board, |terms| &terms.cores).unwrap_or(default.cores),
            gic: self.pick(board, |terms| &terms.gic).unwrap_or(default.gic),
            timeout,
            extra: self.pick(board, |terms| &terms.qemu).unwrap_or_default(),
            input: self.pick(board, |terms| &terms.input).unwrap_or_default(),
            forward: ask.iter().map(Ask::forward).collect(),
            ask,
        })
    }

    /// What the run on `board` has to fulfil.
    ///
    /// `says` is merged partition by partition, everything else is replaced by the board's own.
    pub fn demand(&self, board: Board) -> Demand {
        let mut says = self.common.says.clone().unwrap_or_default();
        if let Some(own) = self.board.get(board.name()).and_then(|terms| terms.says.clone()) {
            says.extend(own);
        }
        Demand {
            exit: self.pick(board, |terms| &terms.exit).unwrap_or_default(),
            twice: self.pick(board, |terms| &terms.twice).unwrap_or_default(),
            measure: self.pick(board, |terms| &terms.measure).unwrap_or_default(),
            audit: board == Board::QemuQ35X86_64 && self.pick(board, |terms| &terms.audit).unwrap_or_default(),
            shim: self.pick(board, |terms| &terms.shim),
            same_paths: self.pick(board, |terms| &terms.same_paths),
            bench: self.pick(board, |terms| &terms.bench).unwrap_or_default(),
            report: self.pick(board, |terms| &terms.report).unwrap_or_default(),
            verdicts: self.pick(board, |terms| &terms.verdicts).unwrap_or_default(),
            says,
            never: self.pick(board, |terms| &terms.never).unwrap_or_default(),
        }
    }

    /// The board's own value, else the common one.
    fn pick<T: Clone>(&self, board: Board, of: impl Fn(&Terms) -> &Option<T>) -> Option<T> {
        let own = self.board.get(board.name()).and_then(|terms| of(terms).clone());
        own.or_else(|| of(&self.common).clone())
    }
}

/// Reads a file; the error names it.
fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// The boards that a description names and QEMU plays.
fn described_boards(system: &str) -> Result<Vec<Board>> {
    let system: toml::Table = toml::from_str(system)?;
    let names = system.get("system").and_then(|system| system.get("boards"));
    let names = names.and_then(toml::Value::as_array);
    let names = names.ok_or_else(|| anyhow!("`[system]` has no `boards`"))?;
    Ok(names.iter().filter_map(|name| name.as_str()?.parse().ok()).collect())
}

/// Reads whole seconds of wall time: `"60s"`.
fn seconds(text: &str) -> Result<Duration> {
    let number = text.strip_suffix('s').and_then(|digits| digits.parse().ok());
    number
        .map(Duration::from_secs)
        .ok_or_else(|| anyhow!("`{text}` is no time-out: write whole seconds with their unit, like \"60s\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r##"
        timeout = "90s"
        cores   = 2
        verdicts = 3
        never   = ["fatal"]
        input   = [{ after = "# ", send = "uname -a\n" }]
        says.hello  = ["one", "two"]
        says.kernel = ["boot"]
        [board.qemu-q35-x86_64]
        verdicts = 2
        icount   = false
        says.hello = ["three"]
    "##;

    #[test]
    fn a_board_replaces_what_it_names() {
        let expect = Expectation::parse(FILE).unwrap();
        assert!(expect.boards.is_empty());
        let (arm, x86) = (Board::QemuVirtAarch64, Board::QemuQ35X86_64);
        assert!(expect.options(arm).unwrap().icount && !expect.options(x86).unwrap().icount);
        assert_eq!(expect.options(x86).unwrap().timeout.as_secs(), 90);
        assert_eq!(expect.options(arm).unwrap().input.len(), 1);
        assert_eq!((expect.demand(arm).verdicts, expect.demand(x86).verdicts), (3, 2));
        assert_eq!(expect.demand(x86).says["hello"], ["three"]);
        assert_eq!(expect.demand(x86).says["kernel"], ["boot"]);
        assert_eq!(expect.demand(x86).exit, Exit::Success);
    }

    #[test]
    fn the_description_names_the_boards() {
        let text = "[system]\nboards = [\"qemu-q35-x86_64\", \"some-other\"]";
        assert_eq!(described_boards(text).unwrap(), [Board::QemuQ35X86_64]);
        assert!(described_boards("[system]").is_err());
    }

    #[test]
    fn mistakes_are_found() {
        assert!(Expectation::parse("timeout = \"5\"").is_err());
        assert!(Expectation::parse("verdict = 1").is_err());
        assert!(Expectation::parse("boards = [\"qemu\"]").is_err());
        assert!(Expectation::parse("[board.qemu]\ncores = 1").is_err());
    }
}
