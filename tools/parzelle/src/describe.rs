// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From a description's file to the system of one board; what is wrong with it is printed.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Result, bail};
use parzelle_resolve::check::{Finding, Outcome, check};
use parzelle_resolve::environment::Environment;
use parzelle_resolve::model::System;
use parzelle_resolve::render::{Style, summary, text};
use parzelle_schema::diagnostic::Diagnostic;

/// A system without errors, and the texts that later findings point into.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The system on the board that was asked for.
    pub(crate) system: System,
    outcome: Outcome,
}

impl Checked {
    /// Prints findings that needed the built programs.
    pub(crate) fn print(mut self, findings: &[Diagnostic]) {
        let boards = vec![self.system.board.name.clone()];
        self.outcome.findings =
            findings.iter().map(|d| Finding { diagnostic: d.clone(), boards: boards.clone() }).collect();
        show(&self.outcome, false);
    }
}

/// Checks a description and takes the system of one board, by default the first. `None` if there
/// are errors; everything that was found has been printed then.
pub(crate) fn system(file: &Path, board: Option<&str>) -> Result<Option<Checked>> {
    let mut outcome = check(file, &Environment::new(crate::house::root()));
    if let Some(why) = &outcome.unreadable {
        bail!("{why}");
    }
    show(&outcome, false);
    if outcome.errors() > 0 {
        return Ok(None);
    }
    let wanted = board.or(outcome.boards.first().map(String::as_str)).unwrap_or("");
    let Some(at) = outcome.systems.iter().position(|s| s.board.name == wanted) else {
        bail!("{} is not for the board `{wanted}`: its boards are {}", file.display(), outcome.boards.join(", "));
    };
    let system = outcome.systems.swap_remove(at);
    Ok(Some(Checked { system, outcome }))
}

/// Prints findings and the closing line on standard error.
pub(crate) fn show(outcome: &Outcome, deny_warnings: bool) {
    let style = if std::io::stderr().is_terminal() { Style::Coloured } else { Style::Plain };
    eprint!("{}", text(outcome, style));
    if let Some(line) = summary(outcome, deny_warnings) {
        eprintln!("{line}");
    }
}
