// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The whole of `parzelle check`: one description on all its boards.
//!
//! ```text
//!  text ─► common part + overrides ─┬─► board A: merge ─► read ─► rules ─► System A
//!                                   └─► board B: merge ─► read ─► rules ─► System B
//!                                         findings that are the same: once
//! ```

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use parzelle_schema::board::BoardFile;
use parzelle_schema::diagnostic::{Diagnostic, Severity};
use parzelle_schema::file::{self, Description, Override};
use parzelle_schema::form;
use parzelle_schema::merge::merge;
use parzelle_schema::nearest::{listed, nearest};
use parzelle_schema::reader::{Cx, Text};
use parzelle_schema::source::{At, FileId, Sources};
use parzelle_schema::tree::Table;

use crate::derive;
use crate::environment::Environment;
use crate::model::{Arch, Derived, System};
use crate::rules::{self, Ctx, Facts};
use crate::without;

/// A finding and the boards on which it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub diagnostic: Diagnostic,
    /// Where it holds; empty if it is about the file as such.
    pub boards: Vec<String>,
}

/// What checking gave.
#[derive(Debug)]
pub struct Outcome {
    /// All texts that findings point into; the description is the first.
    pub sources: Sources,
    /// Everything that was found, in the order of the file.
    pub findings: Vec<Finding>,
    /// The boards of the description that exist.
    pub boards: Vec<String>,
    /// One system per board without errors, in the order of `boards`.
    pub systems: Vec<System>,
    /// A file that could not be read, with the reason.
    pub unreadable: Option<String>,
}

impl Outcome {
    /// Number of errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// Number of warnings.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.diagnostic.severity == severity).count()
    }
}

/// Checks a file for all its boards.
pub fn check(path: &Path, env: &Environment) -> Outcome {
    let shown = path.display().to_string();
    match std::fs::read(path) {
        Err(error) => Outcome {
            sources: Sources::default(),
            findings: Vec::new(),
            boards: Vec::new(),
            systems: Vec::new(),
            unreadable: Some(format!("{shown}: {error}")),
        },
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => check_text(&shown, text, path.parent().unwrap_or(Path::new(".")), env),
            Err(_) => Outcome {
                sources: Sources::default(),
                findings: Vec::new(),
                boards: Vec::new(),
                systems: Vec::new(),
                unreadable: Some(format!("{shown}: not UTF-8")),
            },
        },
    }
}

/// Checks a text, which is shown as `shown` and whose paths start at `folder`.
pub fn check_text(shown: &str, text: String, folder: &Path, env: &Environment) -> Outcome {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut sources = Sources::default();
    let file = sources.add(shown, text);
    let mut out = Vec::new();
    let mut outcome = Outcome {
        sources: Sources::default(),
        findings: Vec::new(),
        boards: Vec::new(),
        systems: Vec::new(),
        unreadable: None,
    };
    if let Some(root) = form::read(&sources, file, &mut out) {
        let (common, overrides) = file::split(&root, &mut Cx { sources: &sources, out: &mut out });
        let boards = file::boards(&common);
        known_boards(env, &boards, &overrides, &mut out);
        let names: BTreeSet<String> = env.board_names().into_iter().collect();
        let mut loaded: Vec<(At<Text>, BoardFile)> = Vec::new();
        for board in &boards {
            if !names.contains(&board.value.text) || loaded.iter().any(|(b, _)| b.value.text == board.value.text) {
                continue;
            }
            if let Some(read) = load_board(env, &mut sources, &board.value.text, &mut out) {
                loaded.push((board.clone(), read));
            }
        }
        let own_name = name_of(Path::new(shown), folder);
        for (board, read) in &loaded {
            let over = overrides.iter().find(|o| o.board.value == board.value.text);
            let (findings, system) =
                one_board(env, &sources, &common, over, (&board.value.text, read), &boards, &loaded, folder, &own_name);
            collect(&mut outcome.findings, findings, &board.value.text);
            outcome.systems.extend(system);
            outcome.boards.push(board.value.text.clone());
        }
        if !out.iter().any(|d| d.severity == Severity::Error) {
            without_partitions(&common, &mut outcome);
        }
        if loaded.is_empty() {
            // Nothing can be looked up, but the form can be judged.
            Description::read(&common, None, &mut Cx { sources: &sources, out: &mut out });
        }
    }
    let general = out.into_iter().map(|diagnostic| Finding { diagnostic, boards: Vec::new() });
    outcome.findings.extend(general);
    let failed = |f: &Finding| f.diagnostic.severity == Severity::Error && f.boards.is_empty();
    if outcome.findings.iter().any(failed) {
        outcome.systems.clear();
    }
    outcome.findings.sort_by_key(|f| (f.diagnostic.primary.as_ref().map(|p| p.place), f.diagnostic.code));
    outcome.findings.dedup_by(|a, b| a.diagnostic == b.diagnostic);
    outcome.sources = sources;
    outcome
}

/// How a system is called whose file doesn't say so: like the file or, where each system has a folder
/// of its own and its file is called `system.toml`, like the folder.
fn name_of(file: &Path, folder: &Path) -> Derived<String> {
    let name = |part: Option<&OsStr>| part.and_then(OsStr::to_str).map(str::to_owned);
    let file = name(file.file_stem()).unwrap_or_else(|| "system".to_owned());
    // `.` has a name, too.
    let folder = || name(folder.canonicalize().ok()?.file_name());
    match (file == "system").then(folder).flatten() {
        Some(folder) => Derived::from(folder, "from the folder's name"),
        None => Derived::from(file, "from the file's name"),
    }
}

/// Checks one board. The system is there if there was no error.
#[expect(clippy::too_many_arguments, reason = "called once; a struct would only name them again")]
fn one_board(
    env: &Environment,
    sources: &Sources,
    common: &Table,
    over: Option<&Override>,
    (name, board): (&str, &BoardFile),
    boards: &[At<Text>],
    files: &[(At<Text>, BoardFile)],
    folder: &Path,
    own_name: &Derived<String>,
) -> (Vec<Diagnostic>, Option<System>) {
    let mut out = Vec::new();
    let mut idle = Vec::new();
    let merged = match over {
        Some(over) => {
            let mut table = over.table.clone();
            table.entries.retain(|(k, _)| !matches!(k.name.as_str(), "option" | "without"));
            merge(common, &table, &mut idle)
        }
        None => common.clone(),
    };
    for (again, old) in idle {
        out.push(
            Diagnostic::warning("PZ0010", "this override changes nothing", again, "the same value")
                .counter(old, "already so in the common part")
                .help("delete the override"),
        );
    }
    let mut d = Description::read(&merged, over.map(|o| &o.table), &mut Cx { sources, out: &mut out });
    without::apply(&mut d, &mut out);
    let Some(arch) = board.arch.good() else {
        return (out, None);
    };
    let arch = if arch.value == "aarch64" { Arch::Aarch64 } else { Arch::X86_64 };
    let mut cx = Ctx {
        sources,
        d: &d,
        board,
        board_name: name,
        arch,
        boards,
        files,
        env,
        folder,
        facts: Facts::default(),
        out: Vec::new(),
    };
    rules::run(&mut cx);
    out.append(&mut cx.out);
    let system = if out.iter().any(|d| d.severity == Severity::Error) { None } else { derive::system(&cx, own_name) };
    (out, system)
}

/// PZ0211 (warning), only where nothing else is wrong: a slip that hides the partitions is enough.
fn without_partitions(common: &Table, outcome: &mut Outcome) {
    let nobody = |s: &&System| s.partitions.iter().all(|p| p.derived);
    let boards: Vec<String> = outcome.systems.iter().filter(nobody).map(|s| s.board.name.clone()).collect();
    let Some(head) = common.table("system").map(|system| system.head).filter(|_| !boards.is_empty()) else {
        return;
    };
    let diagnostic = Diagnostic::warning("PZ0211", "nothing runs in this system", head, "it has no partition")
        .help("add one, such as `[partition.hello]` with `crate = \"hello\"`");
    outcome.findings.push(Finding { diagnostic, boards });
}

/// Adds findings of a board; one that another board has too is kept once.
fn collect(all: &mut Vec<Finding>, new: Vec<Diagnostic>, board: &str) {
    for diagnostic in new {
        match all.iter_mut().find(|f| f.diagnostic == diagnostic) {
            Some(known) => {
                if !known.boards.iter().any(|b| b == board) {
                    known.boards.push(board.to_owned());
                }
            }
            None => all.push(Finding { diagnostic, boards: vec![board.to_owned()] }),
        }
    }
}

/// PZ0106 and PZ0011.
fn known_boards(env: &Environment, boards: &[At<Text>], overrides: &[Override], out: &mut Vec<Diagnostic>) {
    let names = env.board_names();
    for (at, board) in boards.iter().enumerate() {
        let name = board.value.text.as_str();
        if let Some(first) = boards[..at].iter().find(|b| b.value.text == name) {
            out.push(
                Diagnostic::error("PZ0003", format!("the board `{name}` is given twice"), board.place, "again here")
                    .counter(first.place, "first here")
                    .help("remove one of them"),
            );
        }
        if names.iter().any(|n| n == name) {
            continue;
        }
        let d = Diagnostic::error(
            "PZ0106",
            format!("no board is called `{name}`"),
            board.place,
            "there is no such folder in `bsp`",
        )
        .note(format!("the boards are {}", listed(names.iter().map(String::as_str))));
        out.push(match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => d.fix("a board with a similar name", board.place, format!("\"{near}\"")),
            None => d,
        });
    }
    for over in overrides {
        let name = over.board.value.as_str();
        if boards.is_empty() || boards.iter().any(|b| b.value.text == name) {
            continue;
        }
        let first = boards.first().map(|b| b.place);
        let head = if over.table.head.start < over.table.head.end { over.table.head } else { over.board.place };
        let d =
            Diagnostic::error("PZ0011", format!("the file is not for the board `{name}`"), head, "an override for it")
                .counter_if(first, "the boards of the file");
        out.push(match nearest(name, boards.iter().map(|b| b.value.text.as_str())) {
            Some(near) => d.fix("a board of the file with a similar name", over.board.place, near),
            None => d.help(format!("add `\"{name}\"` to `boards`, or delete the override")),
        });
    }
}

fn load_board(env: &Environment, sources: &mut Sources, name: &str, out: &mut Vec<Diagnostic>) -> Option<BoardFile> {
    let text = std::fs::read_to_string(env.boards().join(name).join("board.toml")).ok()?;
    let file: FileId = sources.add(format!("bsp/{name}/board.toml"), text);
    let table = form::read(sources, file, out)?;
    Some(BoardFile::read(&table, &mut Cx { sources, out }))
}
