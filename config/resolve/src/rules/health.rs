// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Health tables: PZ0901–PZ0904.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::nearest::{listed, nearest};

use super::Ctx;

/// All actions but `schedule:NAME`.
pub(crate) const ACTIONS: [&str; 8] =
    ["process", "ignore", "log", "stop", "warm-start", "cold-start", "module-reset", "module-stop"];

/// Errors after which a program can't simply go on: the instruction would fail again.
const FATAL: [&str; 4] = ["numeric-error", "stack-overflow", "memory-violation", "hardware-fault"];

pub(super) fn check(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for table in &d.health {
        for (key, action) in &table.actions {
            let word = action.value.text.as_str();
            if !ACTIONS.contains(&word) && !word.starts_with("schedule:") {
                let mut found =
                    Diagnostic::error("PZ0901", format!("`{word}` is not an action"), action.place, "unknown action")
                        .counter(table.table.head, "in this health table")
                        .note(format!(
                            "the actions are {} and `schedule:NAME`",
                            listed(ACTIONS).replace(" and ", ", ")
                        ));
                if let Some(near) = nearest(word, ACTIONS) {
                    found = found.fix("an action with a similar name", action.place, format!("\"{near}\""));
                }
                cx.push(found);
            }
            let quiet = matches!(word, "ignore" | "log");
            let covers = FATAL.contains(&key.value)
                || (key.value == "otherwise" && FATAL.iter().any(|f| table.action(f).is_none()));
            if quiet && covers {
                cx.push(
                    Diagnostic::error(
                        "PZ0902",
                        format!("after `{}` the program can't go on", key.value),
                        action.place,
                        format!("`{word}` would meet it again at once"),
                    )
                    .counter(
                        key.place,
                        if key.value == "otherwise" { "covers `memory-violation` and others" } else { "this error" },
                    )
                    .fix("restart it", action.place, "\"warm-start\""),
                );
            }
            if key.value == "give-up" && matches!(word, "warm-start" | "cold-start") {
                let restarts = table.table.entry("restarts").map(|(_, n)| n.place);
                cx.push(
                    Diagnostic::warning(
                        "PZ0904",
                        "giving up does not end: it restarts what keeps failing",
                        action.place,
                        "restarts again",
                    )
                    .counter_if(restarts.or(Some(table.table.head)), "after so many restarts")
                    .fix("end it", action.place, "\"stop\""),
                );
            }
            if word == "process" {
                let user = d.partitions.iter().find(|p| {
                    p.guest.is_some()
                        && p.health.good().map_or("default", |h| h.value.text.as_str()) == table.name.value
                });
                let module = table.name.value == "module";
                if user.is_some() || module {
                    let what =
                        user.map_or_else(|| "the module".to_owned(), |p| format!("the guest `{}`", p.name.value));
                    cx.push(
                        Diagnostic::error(
                            "PZ0903",
                            format!("{what} has no error handler"),
                            action.place,
                            "to the partition's error handler",
                        )
                        .counter(
                            user.map_or(table.table.head, |p| p.health.place().unwrap_or(p.table.head)),
                            "uses this table",
                        )
                        .help("a table of its own, with `\"warm-start\"` or `\"stop\"`"),
                    );
                }
            }
        }
    }
}
