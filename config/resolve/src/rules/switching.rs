// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Several schedules: PZ0415, and PZ0417 for time partition 0.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::source::Place;

use super::facts::time_partition_name;
use super::{Ctx, share};

pub(super) fn check(cx: &mut Ctx<'_>) {
    way_out(cx);
    behind_clients(cx);
}

/// PZ0415 (warning).
fn way_out(cx: &mut Ctx<'_>) {
    let d = cx.d;
    if d.schedules.len() < 2 || cx.facts.unclear {
        return;
    }
    let mut found = Vec::new();
    for (s, schedule) in d.schedules.iter().enumerate() {
        let name = schedule.name.value.as_str();
        let mut holder: Option<Place> = None;
        let mut out = false;
        for (at, p) in d.partitions.iter().enumerate() {
            let Some(right) = p.may.switch_schedule.good() else {
                continue;
            };
            if !right.value.iter().any(|r| r.value.text != name) {
                continue;
            }
            let zero = cx.facts.time_partition.get(at).is_some_and(Option::is_none);
            let runs =
                zero || cx.facts.schedules.get(s).is_some_and(|s| !s.cores_of(&time_partition_name(p)).is_empty());
            holder = holder.or(Some(right.place));
            out |= runs;
        }
        if !out {
            let title = format!("no partition that runs in `{name}` can switch to another schedule");
            let mut w = Diagnostic::warning("PZ0415", title, schedule.table.head, "the system stays in this schedule");
            w = match holder {
                Some(place) => {
                    w.counter(place, "has the right, but no window there").help("a window for it in this schedule")
                }
                None => w.help("`may.switch-schedule = […]` for a partition that runs here"),
            };
            found.push(w);
        }
    }
    cx.out.extend(found);
}

/// PZ0417 (warning): a client goes before its driver, both in time partition 0.
fn behind_clients(cx: &mut Ctx<'_>) {
    let mut found: Vec<Diagnostic> = Vec::new();
    for link in share::all(cx) {
        let Some((s, server)) = link.server(cx) else {
            continue;
        };
        let zero = |at: usize| cx.facts.time_partition.get(at).is_some_and(Option::is_none);
        let own = server.priority.good().map_or(100, |p| p.value);
        for (at, client) in link.clients(cx) {
            let Some(priority) = client.priority.good().filter(|p| p.value > own) else {
                continue;
            };
            // Two links between the same two are one slip.
            let said = found.iter().any(|d| d.primary.as_ref().is_some_and(|p| p.place == priority.place));
            if !zero(at) || !zero(s) || client.limit.is_written() || said {
                continue;
            }
            found.push(
                Diagnostic::warning(
                    "PZ0417",
                    format!("`{}` goes before `{}`, which serves it", client.name.value, server.name.value),
                    priority.place,
                    "as long as it runs, its driver does not",
                )
                .counter(link.table.head, "the link between them")
                .fix(
                    format!("at most the priority of `{}`", server.name.value),
                    priority.place,
                    own.to_string(),
                ),
            );
        }
    }
    cx.out.extend(found);
}
