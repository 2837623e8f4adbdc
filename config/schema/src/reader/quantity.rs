// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Values that are strings with a parser of their own: times, sizes, rates, ranges. What their
//! parsers find is turned into findings with the column within the string.

use super::{Field, Reader, inner};
use crate::diagnostic::Diagnostic;
use crate::source::{At, Place};
use crate::text::{self, Fault, TextError};
use crate::tree::{Key, Node, Value};

impl Reader<'_, '_, '_> {
    /// A time in nanoseconds; `zero` says whether 0 is allowed.
    pub fn time(&mut self, key: &str, zero: bool) -> Field<u64> {
        self.parsed(key, "time", |t| {
            let value = text::parse_time(t)?;
            if value == 0 && !zero { Err(zero_error(t)) } else { Ok(value) }
        })
    }

    /// A size in bytes, never 0.
    pub fn size(&mut self, key: &str) -> Field<u64> {
        self.parsed(key, "size", |t| {
            let value = text::parse_size(t)?;
            if value == 0 { Err(zero_error(t)) } else { Ok(value) }
        })
    }

    /// A string with a parser of its own. `what` is `time`, `size`, `rate` or `range`.
    pub fn parsed<T>(&mut self, key: &str, what: &str, parse: impl Fn(&str) -> Result<T, TextError>) -> Field<T> {
        let Some((key, node)) = self.node(key) else {
            return Field::Absent;
        };
        self.parsed_of(key, node, what, parse)
    }

    /// A list of strings with a parser of their own.
    pub fn parsed_list<T>(
        &mut self,
        key: &str,
        what: &str,
        parse: impl Fn(&str) -> Result<T, TextError>,
    ) -> Field<Vec<At<T>>> {
        let Some((key, node)) = self.node(key) else {
            return Field::Absent;
        };
        let Value::Array(items) = &node.value else {
            let list = format!("[{}]", self.cx.sources.at(node.place));
            let fix = matches!(node.value, Value::String { .. }).then_some(list);
            return self.wrong(key, node, "a list", fix);
        };
        let mut out = Vec::new();
        for item in items {
            if let Field::Good(at) = self.parsed_of(key, item, what, &parse) {
                out.push(at);
            }
        }
        Field::Good(At::new(out, node.place))
    }

    fn parsed_of<T>(
        &mut self,
        key: &Key,
        node: &Node,
        what: &str,
        parse: impl Fn(&str) -> Result<T, TextError>,
    ) -> Field<T> {
        match &node.value {
            Value::String { text, plain } => match parse(text) {
                Ok(value) => Field::Good(At::new(value, node.place)),
                Err(error) => {
                    self.text_error(key, node.place, text, *plain, what, &error);
                    Field::Bad(node.place)
                }
            },
            Value::Integer(_) | Value::Float(_) if what == "time" || what == "size" => {
                let written = self.cx.sources.at(node.place).to_owned();
                self.no_unit(key, node.place, &written, what);
                Field::Bad(node.place)
            }
            _ => self.wrong(key, node, &format!("a {what}"), None),
        }
    }

    fn no_unit(&mut self, key: &Key, place: Place, number: &str, what: &str) {
        let example = self.kind.example(&key.name);
        let unit = example.trim_matches('"').trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let (plural, units) = match what {
            "size" => ("sizes", "`B`, `KiB`, `MiB`, `GiB`"),
            _ => ("times", "`ns`, `us`, `ms`, `s`"),
        };
        let unit = if unit.is_empty() || unit.contains('/') { if what == "size" { "KiB" } else { "ms" } } else { unit };
        self.cx.out.push(
            Diagnostic::error("PZ0005", format!("a {what} needs a unit"), place, format!("{number} what?"))
                .counter(self.table.head, format!("`{}` of this {}", key.name, self.kind.title))
                .note(format!("{plural} are strings: {units}"))
                .fix(format!("if {unit} is meant"), place, format!("\"{number}{unit}\"")),
        );
    }

    fn text_error(&mut self, key: &Key, place: Place, text: &str, plain: bool, what: &str, error: &TextError) {
        let at = inner(place, plain, error.column.clone());
        let shown = text.get(error.column.clone()).unwrap_or(text);
        let d = match error.fault {
            Fault::NoUnit => {
                return if what == "time" || what == "size" {
                    self.no_unit(key, place, text, what);
                } else {
                    self.cx.out.push(
                        Diagnostic::error("PZ0005", format!("a {what} needs units"), at, format!("{shown} what?"))
                            .counter(self.table.head, format!("`{}` of this {}", key.name, self.kind.title))
                            .help(format!("for example `{} = {}`", key.name, self.kind.example(&key.name))),
                    );
                };
            }
            Fault::Unit(meant) => {
                let d = Diagnostic::error("PZ0006", format!("`{shown}` is not a unit"), at, "unknown unit")
                    .counter(key.place, format!("a {what} is expected"))
                    .note(if what == "size" || what == "range" {
                        "the units are `B`, `KiB`, `MiB` and `GiB`"
                    } else {
                        "the units are `ns`, `us`, `ms` and `s`"
                    });
                d.fix_if(meant.map(|m| {
                    (
                        "write".to_owned(),
                        at,
                        if at == place { format!("\"{}\"", text.replace(shown, m)) } else { m.to_owned() },
                    )
                }))
            }
            Fault::Value(why) => Diagnostic::error("PZ0007", format!("`{}` is not possible: {why}", key.name), at, why)
                .counter(key.place, "the value of this key")
                .help(format!("for example `{} = {}`", key.name, self.kind.example(&key.name))),
            Fault::Form(form) => {
                Diagnostic::error("PZ0004", format!("`{}` wants {form}", key.name), at, "this can't be read")
                    .counter(key.place, format!("a {what} is expected"))
            }
        };
        self.cx.out.push(d);
    }
}

fn zero_error(text: &str) -> TextError {
    TextError::new(Fault::Value("it is zero"), 0..text.len())
}
