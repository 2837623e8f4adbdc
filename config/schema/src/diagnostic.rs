// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the tool has to say about a file, as data. How it looks is decided elsewhere.
//!
//! ```text
//! error[PZ0701]: `uart0` is given to two partitions      severity, code, title
//!   --> a.toml:9:12                                      primary label: the fault
//!    |  …                                                counters: what it clashes with
//!    = note: a device has one owner                      notes
//! help: give it to one of them                           helps, with edits
//! ```

use crate::source::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// No image is built.
    Error,
    /// Legal, and almost surely not what was meant.
    Warning,
}

/// A place and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub place: Place,
    /// A few words; may be empty.
    pub text: String,
}

/// A change of a file's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; an empty place inserts.
    pub place: Place,
    /// By what.
    pub text: String,
}

/// A way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// What to do.
    pub text: String,
    /// The same as edits, if it can be said so.
    pub edits: Vec<Edit>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// `PZ` and four digits: the rule.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line: what is wrong.
    pub title: String,
    /// The fault; `None` only if there is no text that could be shown (a missing file).
    pub primary: Option<Label>,
    /// The counterparts.
    pub counters: Vec<Label>,
    /// More to know; may have several lines.
    pub notes: Vec<String>,
    /// Ways out.
    pub helps: Vec<Help>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(code: &'static str, title: impl Into<String>, place: Place, label: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            title: title.into(),
            primary: Some(Label { place, text: label.into() }),
            counters: Vec::new(),
            notes: Vec::new(),
            helps: Vec::new(),
        }
    }

    /// A warning at a place.
    pub fn warning(code: &'static str, title: impl Into<String>, place: Place, label: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Self::error(code, title, place, label) }
    }

    /// Adds a counterpart.
    pub fn counter(mut self, place: Place, text: impl Into<String>) -> Self {
        self.counters.push(Label { place, text: text.into() });
        self
    }

    /// Adds a counterpart if there is one.
    pub fn counter_if(self, place: Option<Place>, text: impl Into<String>) -> Self {
        match place {
            Some(place) => self.counter(place, text),
            None => self,
        }
    }

    /// Adds a note.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds a note if there is one.
    pub fn note_if(self, text: Option<String>) -> Self {
        match text {
            Some(text) => self.note(text),
            None => self,
        }
    }

    /// Adds a way out in words.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.helps.push(Help { text: text.into(), edits: Vec::new() });
        self
    }

    /// Adds a way out that replaces one place.
    pub fn fix(mut self, text: impl Into<String>, place: Place, new: impl Into<String>) -> Self {
        self.helps.push(Help { text: text.into(), edits: vec![Edit { place, text: new.into() }] });
        self
    }

    /// Adds a fix if there is one.
    pub fn fix_if(self, fix: Option<(String, Place, String)>) -> Self {
        match fix {
            Some((text, place, new)) => self.fix(text, place, new),
            None => self,
        }
    }
}
