// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `[schedule.NAME]`.

use crate::diagnostic::Diagnostic;
use crate::keys;
use crate::reader::{Cx, Field, Reader, Text};
use crate::source::{At, Place};
use crate::tree::{Table, Value};

/// A schedule as written.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name.
    pub name: At<String>,
    /// Its table.
    pub table: Table,
    /// The major frame, nanoseconds.
    pub frame: Field<u64>,
    /// Cores that have windows, in the order of the file. A core is `None` if it can't be read.
    pub cores: Vec<(At<u32>, Vec<Window>)>,
    /// Partition → word, in the order of the file.
    pub change_action: Vec<(At<String>, At<Text>)>,
    /// Some window could not be read at all: its partition is unknown.
    pub incomplete: bool,
}

/// A window as written.
#[derive(Clone, Debug)]
pub struct Window {
    /// The whole entry.
    pub place: Place,
    /// The time partition.
    pub run: Field<Text>,
    /// Nanoseconds.
    pub start: Field<u64>,
    /// Nanoseconds.
    pub duration: Field<u64>,
    /// Nanoseconds.
    pub period: Field<u64>,
    /// `period = "…"`, as one place.
    pub period_line: Option<Place>,
    /// Whether time partition 0 gets what the window leaves; true unless written.
    pub slack: Field<bool>,
    /// Whether its begin empties the core's caches and predictors; false unless written.
    pub flush: Field<bool>,
    /// From its planned start until somebody runs in it, nanoseconds; none unless written.
    pub pad: Field<u64>,
    /// Nobody of its time partition exists on this board (`without`): its time is nobody's.
    pub absent: bool,
}

impl Window {
    /// Whether any of its times could not be read, so that nothing follows from its position.
    pub fn is_unclear(&self) -> bool {
        [&self.start, &self.duration, &self.period, &self.pad].iter().any(|f| matches!(f, Field::Bad(_)))
    }
}

impl Schedule {
    /// Reads `[schedule.NAME]`.
    pub fn read(name: At<String>, table: &Table, cx: &mut Cx<'_>) -> Self {
        let mut r = Reader::new(table, &keys::SCHEDULE, cx);
        let frame = r.time("frame", false);
        r.require("frame", &frame, None);
        let mut incomplete = false;
        let mut cores = Vec::new();
        if let Some(per_core) = r.table("core") {
            for (key, node) in &per_core.entries {
                let Ok(core) = key.name.parse::<u32>() else {
                    r.cx.out.push(
                        Diagnostic::error(
                            "PZ0004",
                            format!("`{}` is not a core", key.name),
                            key.place,
                            "a number is expected here",
                        )
                        .counter(table.head, "in this schedule")
                        .fix("for example", key.place, "0"),
                    );
                    incomplete = true;
                    continue;
                };
                let Value::Array(items) = &node.value else {
                    r.cx.out.push(
                        Diagnostic::error(
                            "PZ0004",
                            format!("`core.{core}` wants a list of windows, not {}", node.value.kind()),
                            node.place,
                            "a list is expected here",
                        )
                        .counter(key.place, "the windows of this core")
                        .help(format!("for example `core.{core} = [{{ run = \"NAME\", duration = \"1ms\" }}]`")),
                    );
                    incomplete = true;
                    continue;
                };
                let mut windows = Vec::new();
                for item in items {
                    if let Value::Table(t) = &item.value {
                        windows.push(window(t, r.cx));
                    } else {
                        r.cx.out.push(
                            Diagnostic::error(
                                "PZ0004",
                                format!("a window is a table, not {}", item.value.kind()),
                                item.place,
                                "a window is expected here",
                            )
                            .counter(key.place, "the windows of this core")
                            .help("for example `{ run = \"NAME\", duration = \"1ms\" }`"),
                        );
                        incomplete = true;
                    }
                }
                cores.push((At::new(core, key.place), windows));
            }
        } else {
            incomplete = table.entry("core").is_some();
        }
        let mut change_action = Vec::new();
        if let Some(actions) = r.table("change-action") {
            let mut inner = Reader { table: actions, kind: &keys::SCHEDULE, cx: r.cx };
            for (key, _) in &actions.entries {
                if let Field::Good(text) = inner.text(&key.name) {
                    change_action.push((At::new(key.name.clone(), key.place), text));
                }
            }
        }
        Schedule { name, table: table.clone(), frame, cores, change_action, incomplete }
    }
}

fn window(table: &Table, cx: &mut Cx<'_>) -> Window {
    let mut r = Reader::new(table, &keys::WINDOW, cx);
    let run = r.text("run");
    r.require("run", &run, None);
    Window {
        place: table.head,
        run,
        start: r.time("start", true),
        duration: r.time("duration", false),
        period: r.time("period", false),
        period_line: table.entry("period").map(|(k, n)| Place { start: k.place.start, ..n.place }),
        slack: r.truth("slack"),
        flush: r.truth("flush"),
        pad: r.time("pad", false),
        absent: false,
    }
}
