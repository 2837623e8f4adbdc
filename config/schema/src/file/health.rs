// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `[health.NAME]`.

use crate::diagnostic::Diagnostic;
use crate::keys;
use crate::nearest::{listed, nearest};
use crate::reader::{Cx, Field, Reader, Text};
use crate::source::At;
use crate::text::parse_count_rate;
use crate::tree::Table;

/// The errors of ARINC 653 Part 1, as keys.
pub const ERRORS: [&str; 8] = [
    "deadline-missed",
    "application-error",
    "numeric-error",
    "illegal-request",
    "stack-overflow",
    "memory-violation",
    "hardware-fault",
    "power-fail",
];

/// A health table as written. Which words are actions is checked by the rules.
#[derive(Clone, Debug)]
pub struct Health {
    /// Its name.
    pub name: At<String>,
    /// Its table.
    pub table: Table,
    /// Error → word, in the order of the file; also `otherwise` and `give-up`.
    pub actions: Vec<(At<&'static str>, At<Text>)>,
    /// (count, nanoseconds).
    pub restarts: Field<(u32, u64)>,
}

impl Health {
    /// Reads `[health.NAME]`. Unknown keys are errors of the health rules (PZ0901).
    pub fn read(name: At<String>, table: &Table, cx: &mut Cx<'_>) -> Self {
        let known = |key: &str| keys::HEALTH.keys.iter().any(|k| k.name == key);
        for (key, _) in table.entries.iter().filter(|(k, _)| !known(&k.name)) {
            let d =
                Diagnostic::error("PZ0901", format!("no error is called `{}`", key.name), key.place, "unknown error")
                    .counter(table.head, "in this health table");
            cx.out.push(match nearest(&key.name, keys::HEALTH.keys.iter().map(|k| k.name)) {
                Some(near) => d.fix("an error with a similar name", key.place, near),
                None => d.note(format!("the errors are {}", listed(ERRORS))),
            });
        }
        let mut r = Reader { table, kind: &keys::HEALTH, cx };
        let mut actions = Vec::new();
        for word in ERRORS.into_iter().chain(["otherwise", "give-up"]) {
            if let (Field::Good(text), Some((key, _))) = (r.text(word), table.entry(word)) {
                actions.push((At::new(word, key.place), text));
            }
        }
        Health { restarts: r.parsed("restarts", "rate", parse_count_rate), actions, name, table: table.clone() }
    }

    /// The word for a key, if it is written.
    pub fn action(&self, key: &str) -> Option<&(At<&'static str>, At<Text>)> {
        self.actions.iter().find(|(k, _)| k.value == key)
    }
}
