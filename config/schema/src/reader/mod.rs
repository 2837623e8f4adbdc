// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Typed values from a [`Table`], one key at a time; every mistake is reported and none stops
//! the rest.
//!
//! A key answers with a [`Field`]: absent, good, or bad. Bad is not absent: a partition whose
//! `memory` can't be read *has* memory, so no second finding says that it lacks some.

mod quantity;
mod report;

pub use report::{add_line, check_name};

use report::unknown;

use crate::diagnostic::Diagnostic;
use crate::keys::Kind;
use crate::nearest::{listed, nearest};
use crate::source::{At, Place, Sources};
use crate::text::Name;
use crate::tree::{Key, Node, Table, Value};

/// Where findings go, and the texts to quote from.
#[derive(Debug)]
pub struct Cx<'a> {
    /// All texts.
    pub sources: &'a Sources,
    /// All findings.
    pub out: &'a mut Vec<Diagnostic>,
}

/// What a key gave.
#[derive(Clone, Debug, Default)]
pub enum Field<T> {
    /// The key is not written.
    #[default]
    Absent,
    /// It is written, but its value can't be used; that has been reported.
    Bad(Place),
    /// A value.
    Good(At<T>),
}

impl<T> Field<T> {
    /// The value, if there is a usable one.
    pub fn good(&self) -> Option<&At<T>> {
        match self {
            Field::Good(at) => Some(at),
            _ => None,
        }
    }

    /// Whether the key is written at all.
    pub fn is_written(&self) -> bool {
        !matches!(self, Field::Absent)
    }

    /// Where the value is written.
    pub fn place(&self) -> Option<Place> {
        match self {
            Field::Absent => None,
            Field::Bad(place) => Some(*place),
            Field::Good(at) => Some(at.place),
        }
    }
}

/// A string and whether columns in it are columns in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The string.
    pub text: String,
    /// See [`Value::String`].
    pub plain: bool,
}

impl At<Text> {
    /// The place of some bytes of the string; of all of it, if columns can't be counted.
    pub fn inner(&self, column: std::ops::Range<usize>) -> Place {
        inner(self.place, self.value.plain, column)
    }
}

/// The place of some bytes of a string value.
fn inner(place: Place, plain: bool, column: std::ops::Range<usize>) -> Place {
    if plain && column.start < column.end { place.part(column.start + 1..column.end + 1) } else { place }
}

/// Reads one table.
#[derive(Debug)]
pub struct Reader<'t, 'c, 'a> {
    /// The table.
    pub table: &'t Table,
    /// What it is.
    pub kind: &'static Kind,
    /// Findings.
    pub cx: &'c mut Cx<'a>,
}

impl<'t, 'c, 'a> Reader<'t, 'c, 'a> {
    /// Begins to read, and reports keys that the kind does not know (PZ0002).
    pub fn new(table: &'t Table, kind: &'static Kind, cx: &'c mut Cx<'a>) -> Self {
        for (key, _) in &table.entries {
            if !kind.keys.iter().any(|k| k.name == key.name) {
                cx.out.push(unknown(key, table, kind));
            }
        }
        Reader { table, kind, cx }
    }

    fn node(&self, key: &str) -> Option<(&'t Key, &'t Node)> {
        self.table.entry(key)
    }

    /// Reports a value of the wrong type (PZ0004).
    fn wrong<T>(&mut self, key: &Key, node: &Node, wants: &str, fix: Option<String>) -> Field<T> {
        let mut d = Diagnostic::error(
            "PZ0004",
            format!("`{}` wants {wants}, not {}", key.name, node.value.kind()),
            node.place,
            format!("{} where {wants} is expected", node.value.kind()),
        )
        .counter(key.place, "the value of this key");
        if let Some(fix) = fix {
            d = d.fix("write", node.place, fix);
        } else if !self.kind.example(&key.name).starts_with('{') {
            d = d.help(format!("for example `{} = {}`", key.name, self.kind.example(&key.name)));
        }
        self.cx.out.push(d);
        Field::Bad(node.place)
    }

    /// A string.
    pub fn text(&mut self, key: &str) -> Field<Text> {
        let Some((key, node)) = self.node(key) else {
            return Field::Absent;
        };
        match &node.value {
            Value::String { text, plain } => {
                Field::Good(At::new(Text { text: text.clone(), plain: *plain }, node.place))
            }
            Value::Array(a) => {
                let only = match a.as_slice() {
                    [one] if matches!(one.value, Value::String { .. }) => {
                        Some(self.cx.sources.at(one.place).to_owned())
                    }
                    _ => None,
                };
                self.wrong(key, node, "a string", only)
            }
            Value::Integer(_) => {
                let quoted = format!("\"{}\"", self.cx.sources.at(node.place));
                self.wrong(key, node, "a string", Some(quoted))
            }
            _ => self.wrong(key, node, "a string", None),
        }
    }

    /// A list of strings.
    pub fn texts(&mut self, key: &str) -> Field<Vec<At<Text>>> {
        let Some((key, node)) = self.node(key) else {
            return Field::Absent;
        };
        match &node.value {
            Value::Array(items) => {
                let mut out = Vec::new();
                for item in items {
                    if let Value::String { text, plain } = &item.value {
                        out.push(At::new(Text { text: text.clone(), plain: *plain }, item.place));
                    } else {
                        let _: Field<()> = self.wrong(key, item, "a list of strings", None);
                    }
                }
                Field::Good(At::new(out, node.place))
            }
            Value::String { .. } => {
                let list = format!("[{}]", self.cx.sources.at(node.place));
                self.wrong(key, node, "a list", Some(list))
            }
            _ => self.wrong(key, node, "a list", None),
        }
    }

    /// A whole number within bounds (PZ0007).
    pub fn number(&mut self, key: &str, low: i64, high: i64) -> Field<i64> {
        let Some((key, node)) = self.node(key) else {
            return Field::Absent;
        };
        self.number_of(key, node, low, high)
    }

    fn number_of(&mut self, key: &Key, node: &Node, low: i64, high: i64) -> Field<i64> {
        let Value::Integer(number) = node.value else {
            let bare = match &node.value {
                Value::String { text, .. } if text.parse::<i64>().is_ok() => Some(text.clone()),
                _ => None,
            };
            return self.wrong(key, node, "a number", bare);
        };
        match number {
            Some(n) if (low..=high).contains(&n) => Field::Good(At::new(n, node.place)),
            n => {
                let near = n.map_or(high, |n| n.clamp(low, high));
                self.cx.out.push(
                    Diagnostic::error(
                        "PZ0007",
                        if high == i64::MAX {
                            format!("`{}` is at least {low}", key.name)
                        } else {
                            format!("`{}` lies between {low} and {high}", key.name)
                        },
                        node.place,
                        "out of range",
                    )
                    .counter(key.place, "the value of this key")
                    .fix("the nearest valid value", node.place, near.to_string()),
                );
                Field::Bad(node.place)
            }
        }
    }

    /// A list of whole numbers within bounds.
    pub fn numbers(&mut self, key: &str, low: i64, high: i64) -> Field<Vec<At<i64>>> {
        let Some((key, node)) = self.node(key) else {
            return Field::Absent;
        };
        match &node.value {
            Value::Array(items) => {
                let mut out = Vec::new();
                for item in items {
                    if let Field::Good(n) = self.number_of(key, item, low, high) {
                        out.push(n);
                    }
                }
                Field::Good(At::new(out, node.place))
            }
            Value::Integer(_) => {
                let list = format!("[{}]", self.cx.sources.at(node.place));
                self.wrong(key, node, "a list of numbers", Some(list))
            }
            _ => self.wrong(key, node, "a list of numbers", None),
        }
    }

    /// `true` or `false`.
    pub fn truth(&mut self, key: &str) -> Field<bool> {
        let Some((key, node)) = self.node(key) else {
            return Field::Absent;
        };
        match node.value {
            Value::Boolean(b) => Field::Good(At::new(b, node.place)),
            _ => self.wrong(key, node, "`true` or `false`", None),
        }
    }

    /// One of some words (PZ0007).
    pub fn word(&mut self, key: &str, words: &[&'static str]) -> Field<&'static str> {
        let Field::Good(text) = self.text(key) else {
            return self.node(key).map_or(Field::Absent, |(_, n)| Field::Bad(n.place));
        };
        if let Some(word) = words.iter().find(|w| **w == text.value.text) {
            return Field::Good(At::new(*word, text.place));
        }
        let key_place = self.node(key).map(|(k, _)| k.place);
        let near = nearest(&text.value.text, words.iter().copied()).or(words.first().copied()).unwrap_or("");
        self.cx.out.push(
            Diagnostic::error(
                "PZ0007",
                format!("`{key}` is one of {}", listed(words.iter().copied())),
                text.place,
                "not one of them",
            )
            .counter_if(key_place, "the value of this key")
            .fix("the nearest valid value", text.place, format!("\"{near}\"")),
        );
        Field::Bad(text.place)
    }

    /// A table.
    pub fn table(&mut self, key: &str) -> Option<&'t Table> {
        let (key, node) = self.node(key)?;
        match &node.value {
            Value::Table(t) => Some(t),
            _ => {
                let _: Field<()> = self.wrong(key, node, "a table", None);
                None
            }
        }
    }

    /// The tables under a key, with their names, which have to be valid (PZ0009) and not
    /// reserved (PZ0107).
    pub fn tables(&mut self, key: &str) -> Vec<(At<String>, &'t Table)> {
        let Some(outer) = self.table(key) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        for (name, node) in &outer.entries {
            if let Value::Table(table) = &node.value {
                check_name(self.cx, Name::Object, &name.name, name.place, key);
                out.push((At::new(name.name.clone(), name.place), table));
            } else {
                self.cx.out.push(
                    Diagnostic::error(
                        "PZ0004",
                        format!("`{key}.{}` wants a table, not {}", name.name, node.value.kind()),
                        node.place,
                        "a table is expected here",
                    )
                    .counter(name.place, "the value of this key")
                    .help(format!("each {key} is a table: `[{key}.NAME]`")),
                );
            }
        }
        out
    }

    /// Reports a required key that is not there (PZ0008). `user` is the first use of the thing.
    pub fn require<T>(&mut self, key: &str, field: &Field<T>, user: Option<Place>) {
        if !field.is_written() {
            self.missing(key, user);
        }
    }

    /// Reports a missing key.
    pub fn missing(&mut self, key: &str, user: Option<Place>) {
        let example = self.kind.example(key);
        let d = Diagnostic::error(
            "PZ0008",
            format!("this {} has no `{key}`", self.kind.title),
            self.table.head,
            format!("`{key}` is required here"),
        )
        .counter_if(user, "used here");
        self.cx.out.push(add_line(d, self.table, "add", &format!("{key} = {example}")));
    }
}
