// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! How findings look: as text for people, as JSON for programs, and the closing line.

mod json;
mod text;

pub use json::json;
pub use text::{Style, text};

use crate::check::Outcome;
use parzelle_schema::diagnostic::Severity;

/// The line that sums up; `None` if there is nothing to say.
pub fn summary(outcome: &Outcome, deny_warnings: bool) -> Option<String> {
    let (errors, warnings) = (outcome.errors(), outcome.warnings());
    if errors + warnings == 0 {
        return None;
    }
    let count = |n: usize, what: &str| {
        if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
    };
    let parts: Vec<String> = [(errors, "error"), (warnings, "warning")]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| count(n, what))
        .collect();
    let boards = match outcome.boards.len() {
        0 => String::new(),
        n => format!(" on {}", count(n, "board")),
    };
    let failed = errors > 0 || deny_warnings;
    let word = if failed { "error" } else { "warning" };
    let end = if failed { "; no image was built" } else { "" };
    let worst = outcome.findings.iter().find(|f| f.diagnostic.severity == Severity::Error).or(outcome.findings.first());
    let hint = worst.map_or(String::new(), |f| format!("\n  try `cargo parzelle explain {}`", f.diagnostic.code));
    let path = outcome.sources.path(parzelle_schema::source::FileId(0));
    Some(format!("{word}: {path}: {}{boards}{end}{hint}", parts.join(", ")))
}

/// Exit status: 0 without errors, 1 with errors, 2 if a file cannot be read.
pub fn status(outcome: &Outcome, deny_warnings: bool) -> u8 {
    if outcome.unreadable.is_some() {
        2
    } else {
        u8::from(outcome.errors() > 0 || (deny_warnings && outcome.warnings() > 0))
    }
}
