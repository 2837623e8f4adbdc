// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Findings as JSON: one object per line, with the same labels as the text.

use parzelle_schema::diagnostic::{Label, Severity};
use parzelle_schema::source::{Place, Sources};
use serde_json::{Value, json as object};

use crate::check::Outcome;

/// Writes all findings, one object per line.
pub fn json(outcome: &Outcome) -> String {
    let sources = &outcome.sources;
    let mut out = String::new();
    for finding in &outcome.findings {
        let d = &finding.diagnostic;
        let labels: Vec<Value> = d.counters.iter().map(|l| label(sources, l)).collect();
        let helps: Vec<Value> = d
            .helps
            .iter()
            .map(|h| {
                let edits: Vec<Value> =
                    h.edits.iter().map(|e| object!({"at": place(sources, e.place), "text": e.text})).collect();
                object!({"text": h.text, "edits": edits})
            })
            .collect();
        let value = object!({
            "code": d.code,
            "severity": match d.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "title": d.title,
            "primary": d.primary.as_ref().map(|l| label(sources, l)),
            "counters": labels,
            "notes": d.notes,
            "helps": helps,
            "boards": finding.boards,
        });
        out.push_str(&value.to_string());
        out.push('\n');
    }
    out
}

fn label(sources: &Sources, label: &Label) -> Value {
    let mut value = place(sources, label.place);
    if let Some(map) = value.as_object_mut() {
        map.insert("text".to_owned(), label.text.clone().into());
    }
    value
}

/// A place: the file, line and column of its first byte, and its bytes.
fn place(sources: &Sources, place: Place) -> Value {
    let (line, column) = sources.line_column(place);
    object!({"file": sources.path(place.file), "line": line, "column": column, "start": place.start, "end": place.end})
}
