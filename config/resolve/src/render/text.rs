// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Findings as text, in the look of rustc, by `annotate-snippets`.
//!
//! Replacements are shown as the old and the new line (`-`, `+`): that is how this crate and
//! rustc itself draw them now.

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use parzelle_schema::diagnostic::{Diagnostic, Help, Label, Severity};
use parzelle_schema::source::{FileId, Place, Sources};

use crate::check::{Finding, Outcome};

/// With colours or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For files and tests.
    Plain,
    /// For terminals.
    Coloured,
}

/// Writes all findings, each followed by an empty line.
pub fn text(outcome: &Outcome, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    }
    .term_width(400);
    let mut out = String::new();
    for finding in &outcome.findings {
        out.push_str(&one(&renderer, outcome, finding));
        out.push_str("\n\n");
    }
    out
}

fn one(renderer: &Renderer, outcome: &Outcome, finding: &Finding) -> String {
    let d = &finding.diagnostic;
    let sources = &outcome.sources;
    let level = match d.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(d.title.as_str()).id(d.code));
    for file in files(d) {
        let labels = d
            .primary
            .iter()
            .map(|l| (AnnotationKind::Primary, l))
            .chain(d.counters.iter().map(|l| (AnnotationKind::Context, l)));
        let mut snippet = Snippet::source(sources.text(file)).path(sources.path(file));
        for (kind, label) in labels.filter(|(_, l)| l.place.file == file) {
            snippet = snippet.annotation(kind.span(span(sources, label)).label(label.text.as_str()));
        }
        group = group.element(snippet);
    }
    for note in &d.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    let some = !finding.boards.is_empty() && finding.boards.len() < outcome.boards.len();
    if some && !finding.boards.iter().any(|b| d.title.contains(b.as_str())) {
        let names: Vec<&str> = finding.boards.iter().map(String::as_str).collect();
        group = group.element(Level::NOTE.message(format!("on {} only", parzelle_schema::nearest::listed(names))));
    }
    let mut report = vec![group];
    for help in &d.helps {
        report.push(way_out(sources, help));
    }
    renderer.render(&report)
}

/// The files of a finding, the primary one first.
fn files(d: &Diagnostic) -> Vec<FileId> {
    let mut files: Vec<FileId> = Vec::new();
    for label in d.primary.iter().chain(&d.counters) {
        if !files.contains(&label.place.file) {
            files.push(label.place.file);
        }
    }
    files
}

fn span(sources: &Sources, label: &Label) -> std::ops::Range<usize> {
    clamp(sources, label.place)
}

/// A range that lies within the text, on boundaries of characters.
fn clamp(sources: &Sources, place: Place) -> std::ops::Range<usize> {
    let text = sources.text(place.file);
    let boundary = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary(place.start as usize);
    start..boundary(place.end as usize).max(start)
}

fn way_out<'a>(sources: &'a Sources, help: &'a Help) -> Group<'a> {
    let title = Level::HELP.secondary_title(help.text.as_str());
    let Some(first) = help.edits.first() else {
        return Group::with_title(title);
    };
    let file = first.place.file;
    let mut snippet = Snippet::source(sources.text(file));
    for edit in help.edits.iter().filter(|e| e.place.file == file) {
        let mut at = clamp(sources, edit.place);
        let text = sources.text(file);
        let mut new = edit.text.clone();
        // A file's end is the empty line after its last newline, which can't be shown:
        // add behind the last line instead.
        if at.start == text.len() && at.is_empty() && text.ends_with('\n') {
            at = at.start - 1..at.start - 1;
            new = format!("\n{}", new.trim_end_matches('\n'));
        }
        snippet = snippet.patch(Patch::new(at, new));
    }
    title.element(snippet)
}
