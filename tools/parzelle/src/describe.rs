// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The front half: from a description file to a checked system.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Result, bail};
use parzelle_resolve::check::{self, Finding, Outcome};
use parzelle_resolve::environment::Environment;
use parzelle_resolve::model::System;
use parzelle_resolve::render::{self, Style};
use parzelle_schema::diagnostic::Diagnostic;

use crate::house;

/// A description without errors, for one board.
pub(crate) struct Checked {
    /// The system.
    pub(crate) system: System,
    outcome: Outcome,
}

impl Checked {
    /// Prints what was found when the programs were there.
    pub(crate) fn print(mut self, findings: Vec<Diagnostic>) {
        let board = self.system.board.name;
        self.outcome.findings = findings
            .into_iter()
            .map(|diagnostic| Finding { diagnostic, boards: vec![board.clone()] })
            .collect();
        print(&self.outcome);
    }
}

/// Checks a description for a board, or its first one. What is found is printed; `None` when there
/// is an error.
pub(crate) fn system(file: &Path, board: Option<&str>) -> Result<Option<Checked>> {
    let mut outcome = check::check(file, &Environment::new(house::root()));
    if let Some(why) = &outcome.unreadable {
        bail!("{why}");
    }
    print(&outcome);
    if outcome.errors() > 0 {
        return Ok(None);
    }
    let wanted = |system: &System| board.is_none_or(|board| system.board.name == board);
    match outcome.systems.iter().position(wanted) {
        Some(at) => Ok(Some(Checked { system: outcome.systems.swap_remove(at), outcome })),
        None => bail!("{} is for {}", file.display(), outcome.boards.join(", ")),
    }
}

/// Prints findings, if there are any.
fn print(outcome: &Outcome) {
    let style = if std::io::stderr().is_terminal() { Style::Coloured } else { Style::Plain };
    if !outcome.findings.is_empty() {
        eprintln!("{}", render::text(outcome, style));
    }
    if let Some(line) = render::summary(outcome, false) {
        eprintln!("{line}");
    }
}
