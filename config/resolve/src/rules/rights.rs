// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Rights and start: PZ0102 for names in `may`, PZ0905–PZ0908.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::nearest::nearest;
use parzelle_schema::reader::{Text, add_line};
use parzelle_schema::source::At;

use super::Ctx;
use super::facts::time_partition_name;

pub(super) fn check(cx: &mut Ctx<'_>) {
    names(cx);
    idle(cx);
    start_order(cx);
}

fn names(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for p in &d.partitions {
        for (key, list) in
            [("start-stop", &p.may.start_stop), ("statistics", &p.may.statistics), ("trace", &p.may.trace)]
        {
            for name in list.good().into_iter().flat_map(|l| &l.value) {
                let text = name.value.text.as_str();
                if text == "*" {
                    continue;
                }
                if cx.partition(text).is_none() {
                    cx.no_partition(text, name.place, &format!("in the right `{key}` of `{}`", p.name.value));
                } else if text == p.name.value && key == "start-stop" {
                    cx.push(
                        Diagnostic::error(
                            "PZ0905",
                            format!("`{text}` has rights over itself"),
                            name.place,
                            "its own name",
                        )
                        .counter(p.table.head, "the holder of the right")
                        .help("delete it: each partition may restart and stop itself"),
                    );
                }
            }
        }
        for name in p.may.module.good().into_iter().flat_map(|l| &l.value) {
            if matches!(name.value.text.as_str(), "reset" | "stop") {
                continue;
            }
            let near = nearest(&name.value.text, ["reset", "stop"]).unwrap_or("reset");
            cx.push(
                Diagnostic::error(
                    "PZ0007",
                    "a right over the module is `reset` or `stop`",
                    name.place,
                    "not one of them",
                )
                .counter_if(p.may.module.place(), "the rights over the module")
                .fix("the nearest valid value", name.place, format!("\"{near}\"")),
            );
        }
    }
}

/// PZ0906.
fn idle(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for p in &d.partitions {
        let Some(start) = p.start.good().filter(|s| s.value == "idle") else {
            continue;
        };
        let grants = |x: &At<Text>| x.value.text == p.name.value || x.value.text == "*";
        let able = d.partitions.iter().any(|q| {
            q.name.value != p.name.value
                && (q.may.start_stop.good().is_some_and(|l| l.value.iter().any(grants))
                    || matches!(q.may.start_stop, parzelle_schema::reader::Field::Bad(_)))
        });
        if able {
            continue;
        }
        let may = d.partitions.iter().find_map(|q| q.table.entry("may").map(|(_, n)| n.place));
        let manager = d
            .partitions
            .iter()
            .find(|q| q.name.value != p.name.value && q.table.entry("may").is_some())
            .or_else(|| d.partitions.iter().find(|q| q.name.value != p.name.value && q.guest.is_none()));
        let mut found = Diagnostic::error(
            "PZ0906",
            format!("nobody can start `{}`", p.name.value),
            start.place,
            "waits to be started",
        )
        .counter_if(may, "rights are given here");
        if let Some(manager) = manager {
            found = add_line(
                found,
                &manager.table,
                &format!("for example, let `{}` do it", manager.name.value),
                &format!("may.start-stop = [\"{}\"]", p.name.value),
            );
        }
        cx.push(found);
    }
}

/// PZ0907 and PZ0908.
fn start_order(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let Some(order) = d.system.start_order.good() else {
        return;
    };
    let mut seen: Vec<&At<Text>> = Vec::new();
    let last = order.value.len().saturating_sub(1);
    let first = d.system.schedule.good().map(|s| s.value.text.as_str()).or(match d.schedules.as_slice() {
        [only] => Some(only.name.value.as_str()),
        _ => None,
    });
    let first = first.and_then(|f| d.schedules.iter().position(|s| s.name.value == f));
    for (at, name) in order.value.iter().enumerate() {
        let text = name.value.text.as_str();
        let Some((index, p)) = cx.partition(text) else {
            cx.no_partition(text, name.place, "named here in the start order");
            continue;
        };
        if let Some(before) = seen.iter().find(|s| s.value.text == text) {
            cx.push(
                Diagnostic::error("PZ0907", format!("`{text}` is twice in the start order"), name.place, "again here")
                    .counter(before.place, "first here")
                    .help("delete one of them"),
            );
            continue;
        }
        seen.push(name);
        if at == last {
            continue; // nobody waits for the last
        }
        let idle = p.start.good().filter(|s| s.value == "idle").map(|s| (s.place, "it starts idle"));
        let guest = p.guest.as_ref().map(|g| (g.table.head, "a guest does not say when it is ready"));
        let unscheduled = first.filter(|f| {
            cx.facts.time_partition.get(index).is_some_and(Option::is_some)
                && !cx.facts.unclear
                && cx.facts.schedules.get(*f).is_some_and(|s| s.cores_of(&time_partition_name(p)).is_empty())
        });
        let unscheduled =
            unscheduled.and_then(|f| d.schedules.get(f)).map(|s| (s.table.head, "the first schedule does not run it"));
        if let Some((place, why)) = idle.or(guest).or(unscheduled) {
            cx.push(
                Diagnostic::error(
                    "PZ0908",
                    format!("those behind `{text}` would wait for ever"),
                    name.place,
                    "never becomes NORMAL by itself",
                )
                .counter(place, why)
                .help("delete it here, or move it to the end"),
            );
        }
    }
}
