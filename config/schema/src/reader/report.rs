// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Findings that several readers share.

use super::Cx;
use crate::diagnostic::Diagnostic;
use crate::keys::{self, Kind};
use crate::nearest::{listed, nearest};
use crate::source::Place;
use crate::text::{self, Name};
use crate::tree::{Key, Table};

/// Adds a help that puts a line into a table, after what is there.
pub fn add_line(d: Diagnostic, table: &Table, text: &str, line: &str) -> Diagnostic {
    if table.head.start == table.head.end || table.implied_by().is_some() {
        return d.help(format!("{text} `{line}`"));
    }
    d.fix(text, table.tail(), format!("\n{line}"))
}

/// An unknown key (PZ0002).
pub(super) fn unknown(key: &Key, table: &Table, kind: &Kind) -> Diagnostic {
    let d =
        Diagnostic::error("PZ0002", format!("a {} has no key `{}`", kind.title, key.name), key.place, "unknown here");
    let d = if table.head.start < table.head.end && table.head != key.place {
        d.counter(table.head, format!("in this {}", kind.title))
    } else {
        d
    };
    if let Some(other) = keys::ALL.iter().find(|k| k.title != kind.title && k.keys.iter().any(|i| i.name == key.name)) {
        return d.help(format!("`{}` belongs to `{}`", key.name, other.head));
    }
    match nearest(&key.name, kind.keys.iter().map(|k| k.name)) {
        Some(near) => d.fix("a key with a similar name", key.place, near),
        None => d.note(format!("the keys are {}", listed(kind.keys.iter().map(|k| k.name)))),
    }
}

/// Reports a name with wrong characters or length (PZ0009).
pub fn check_name(cx: &mut Cx<'_>, kind: Name, name: &str, place: Place, what: &str) {
    if kind.holds(name) {
        return;
    }
    let why = if name.len() > Name::LONGEST {
        format!("longer than {} bytes", Name::LONGEST)
    } else {
        "other characters than a–z, 0–9 and `-`".to_owned()
    };
    let rule = if kind == Name::Object {
        "names are of a–z, 0–9 and `-`, at most 30 bytes"
    } else {
        "names of ports are of A–Z, a–z, 0–9, `-` and `_`, at most 30 bytes"
    };
    let valid = text::name_made_valid(kind, name);
    cx.out.push(
        Diagnostic::error("PZ0009", format!("`{name}` is not a name for a {what}"), place, why).note(rule).fix(
            "a valid name",
            place,
            valid,
        ),
    );
}
