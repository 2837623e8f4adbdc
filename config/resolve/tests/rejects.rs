// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! One wrong file per rule, `tests/rejects/<code>[-variant].toml`, with the exact text that is
//! printed for it in `.expected`. `UPDATE_EXPECT=1` writes these texts anew.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is the verdict")]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use parzelle_resolve::check::{Finding, Outcome, check_text};
use parzelle_resolve::explain::RULES;
use parzelle_resolve::lower::{Failure, GuestFiles, Inputs, Kernel, Program, lower};
use parzelle_resolve::model::{self, Partition, System};
use parzelle_resolve::render::{Style, json, summary, text};
use parzelle_schema::diagnostic::Diagnostic;

/// Rules that need built programs: for these, lowering is asked too.
const BUILT: [&str; 3] = ["PZ0301", "PZ0302", "PZ0310"];

fn folder() -> PathBuf {
    support::root().join("tests/rejects")
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

fn outcome(file: &Path) -> Outcome {
    let mut outcome = checked(file);
    let stem = file.file_stem().unwrap().to_str().unwrap();
    if BUILT.iter().any(|code| stem.starts_with(code)) {
        let found = outcome.systems.iter().flat_map(lowered).collect::<Vec<_>>();
        let boards = outcome.boards.clone();
        outcome.findings.extend(found.into_iter().map(|diagnostic| Finding { diagnostic, boards: boards.clone() }));
    }
    outcome
}

/// What lowering finds, with the files of `tests/rejects` as programs, loader and console.
fn lowered(system: &System) -> Vec<Diagnostic> {
    let read = |path: &Path| Program::parse(&std::fs::read(path).unwrap(), system.board.arch).unwrap();
    let files = folder().join("files").join(system.board.arch.name());
    let program = |p: &Partition| match &p.program.value {
        model::Program::Elf { path } => read(path),
        model::Program::Crate { .. } => read(&files.join("hello.elf")),
    };
    let programs: Vec<Program> = system.partitions.iter().map(program).collect();
    let guests = vec![GuestFiles::default(); programs.len()];
    let kernel = Kernel { load: system.board.kernel_load, bytes: 256 << 10 };
    let loader = read(&files.join("loader.elf"));
    match lower(&Inputs { system, programs: &programs, guests: &guests, loader: &loader, kernel }) {
        Ok(_) => Vec::new(),
        Err(Failure::Findings(findings)) => findings,
        Err(Failure::Internal(why)) => panic!("{why}"),
    }
}

fn checked(file: &Path) -> Outcome {
    let name = file.file_name().unwrap().to_str().unwrap();
    check_text(name, std::fs::read_to_string(file).unwrap(), &folder(), &support::environment())
}

#[test]
fn say_what_is_expected() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    for file in files() {
        let outcome = outcome(&file);
        let said = format!("{}{}\n", text(&outcome, Style::Plain), summary(&outcome, false).unwrap_or_default());
        let said: String = said.lines().map(|l| format!("{}\n", l.trim_end())).collect();
        let expected = file.with_extension("expected");
        if update {
            std::fs::write(&expected, said).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != said {
            wrong.push(format!("{}: this is said now:\n{said}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\n(`UPDATE_EXPECT=1` accepts all that)", wrong.join("\n"));
}

#[test]
fn one_mistake_one_code() {
    let mut wrong = Vec::new();
    for file in files() {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        if !stem.starts_with("PZ") {
            continue;
        }
        let outcome = outcome(&file);
        let codes: Vec<&str> = outcome.findings.iter().map(|f| f.diagnostic.code).collect();
        if codes != [&stem[..6]] {
            wrong.push(format!("{stem}: {codes:?}"));
        }
        assert!(outcome.findings.iter().all(|f| f.diagnostic.primary.is_some()));
        assert_eq!(json(&outcome).lines().count(), outcome.findings.len());
    }
    assert!(wrong.is_empty(), "one mistake, one finding:\n{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_its_wrong_file() {
    let names: BTreeSet<String> = files().iter().map(|f| f.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    for rule in &RULES {
        let built = BUILT.contains(&rule.code);
        assert!(built || names.contains(rule.code), "tests/rejects/{}.toml is missing", rule.code);
    }
    for name in names.iter().filter(|n| n.starts_with("PZ")) {
        assert!(RULES.iter().any(|r| r.code == &name[..6]), "{name}: `explain` does not know this rule");
    }
}

#[test]
fn no_code_without_a_rule() {
    let mut stack = vec![support::root().join("config")];
    let mut unknown = BTreeSet::new();
    while let Some(folder) = stack.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                stack.push(entry);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                let source = std::fs::read_to_string(&entry).unwrap();
                for (at, _) in source.match_indices("\"PZ") {
                    let code = source.get(at + 1..at + 7).unwrap_or("");
                    let digits = code.len() == 6 && code[2..].bytes().all(|b| b.is_ascii_digit());
                    if digits && !RULES.iter().any(|r| r.code == code) {
                        unknown.insert(code.to_owned());
                    }
                }
            }
        }
    }
    assert!(unknown.is_empty(), "`explain` does not know {unknown:?}");
}
