// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A TOML file as a tree in which every key and value knows its place.
//!
//! Why not serde: deriving stops at the first mistake of a table, and a user wants all of them.
//! So the text becomes this tree (by the `toml` crate's own recovering parser), overrides of a
//! board are merged into it ([`crate::merge`]), and [`crate::reader`] takes typed values from it,
//! one key at a time.

use toml::de::{DeTable, DeValue};

use crate::source::{FileId, Place};

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its text, without quotes.
    pub name: String,
    /// Where it is written.
    pub place: Place,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where: for a table with a head `[a.b]` the head.
    pub place: Place,
    /// What.
    pub value: Value,
}

/// What a key can have.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string; `plain` if it is written as one quote, the value itself and one quote, so that
    /// columns within the value are columns within the file.
    String {
        /// The value.
        text: String,
        /// Columns can be counted.
        plain: bool,
    },
    /// An integer (`None`: too large).
    Integer(Option<i64>),
    /// A float, as written.
    Float(String),
    /// A truth value.
    Boolean(bool),
    /// A date or time of day, which no key of ours wants, as written.
    Datetime(String),
    /// A list.
    Array(Vec<Node>),
    /// A table.
    Table(Table),
}

impl Value {
    /// What a user calls this kind of value.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::String { .. } => "a string",
            Value::Integer(_) => "a number",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "`true` or `false`",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// A table: its entries in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// `[a.b]`, or the key or braces that stand for it.
    pub head: Place,
    /// Its keys and values.
    pub entries: Vec<(Key, Node)>,
}

impl Table {
    /// The entry of a key.
    pub fn entry(&self, name: &str) -> Option<(&Key, &Node)> {
        self.entries.iter().find(|(k, _)| k.name == name).map(|(k, n)| (k, n))
    }

    /// The table under a key, if it is one.
    pub fn table(&self, name: &str) -> Option<&Table> {
        match self.entry(name) {
            Some((_, Node { value: Value::Table(t), .. })) => Some(t),
            _ => None,
        }
    }

    /// The place after the last plain entry of this table (or after its head): where a line
    /// may be added. Entries of other files and tables with a head of their own do not count.
    pub fn tail(&self) -> Place {
        let mut end = self.head;
        for (key, node) in &self.entries {
            let place = match &node.value {
                Value::Table(t) if t.is_dotted(key) => t.tail(),
                Value::Table(t) if t.has_own_head(key) => continue,
                _ => node.place,
            };
            if place.file == self.head.file && place.end > end.end && key.place.start >= self.head.start {
                end = place;
            }
        }
        Place { start: end.end, ..end }
    }

    /// The head of a table inside of this one, if only that gives this table: `[a.b.c]` without
    /// an `[a.b]`. Nothing can be added to it then but a head of its own, before that.
    pub fn implied_by(&self) -> Option<Place> {
        let heads = self.entries.iter().filter_map(|(_, node)| match &node.value {
            Value::Table(inner) => Some(inner.head),
            _ => None,
        });
        let around =
            |head: &Place| head.file == self.head.file && head.start < self.head.start && self.head.end < head.end;
        heads.filter(around).min()
    }

    /// Whether the table has a head `[a.b]` of its own, with the key inside of it.
    fn has_own_head(&self, key: &Key) -> bool {
        self.head.file != key.place.file || self.head.start < key.place.start && key.place.end < self.head.end
    }

    /// Whether the table exists only through dotted keys (`core.0 = …`).
    fn is_dotted(&self, key: &Key) -> bool {
        self.head == key.place
    }
}

/// Reads a text. All that is wrong with its form comes back as (message, place), in order.
pub fn parse(file: FileId, text: &str) -> (Table, Vec<(String, Place)>) {
    let (root, errors) = DeTable::parse_recoverable(text);
    let errors =
        errors.into_iter().map(|e| (e.message().to_owned(), Place::new(file, e.span().unwrap_or(0..0)))).collect();
    let head = Place::new(file, 0..0);
    (table(file, text, head, root.get_ref()), errors)
}

fn table(file: FileId, text: &str, head: Place, from: &DeTable<'_>) -> Table {
    let mut entries: Vec<(Key, Node)> = from
        .iter()
        .map(|(key, value)| {
            let place = Place::new(file, key.span());
            (Key { name: key.get_ref().to_string(), place }, node(file, text, value.span(), value.get_ref()))
        })
        .collect();
    entries.sort_by_key(|(key, _)| key.place);
    Table { head, entries }
}

fn node(file: FileId, text: &str, span: std::ops::Range<usize>, from: &DeValue<'_>) -> Node {
    let place = Place::new(file, span.clone());
    let value = match from {
        DeValue::String(s) => {
            let raw = text.get(span).unwrap_or("");
            let plain = raw.len() == s.len() + 2 && raw.get(1..raw.len() - 1) == Some(s.as_ref());
            Value::String { text: s.to_string(), plain }
        }
        DeValue::Integer(n) => Value::Integer(i64::from_str_radix(n.as_str(), n.radix()).ok()),
        DeValue::Float(f) => Value::Float(f.as_str().to_owned()),
        DeValue::Boolean(b) => Value::Boolean(*b),
        DeValue::Datetime(d) => Value::Datetime(d.to_string()),
        DeValue::Array(a) => Value::Array(a.iter().map(|v| node(file, text, v.span(), v.get_ref())).collect()),
        DeValue::Table(t) => Value::Table(table(file, text, place, t)),
    };
    Node { place, value }
}
