// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Several schedules: PZ0415, and PZ0417 for time partition 0.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::source::Place;

use super::Ctx;
use super::facts::time_partition_name;

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

/// PZ0417 (warning): a client of a console goes before its driver, both in time partition 0.
fn behind_clients(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let mut found = Vec::new();
    for console in &d.consoles {
        let Some(device) = console.device.good() else {
            continue;
        };
        let owns = |p: &parzelle_schema::file::Partition| {
            p.devices.good().is_some_and(|l| l.value.iter().any(|x| x.value.text == device.value.text))
        };
        let Some((s, server)) = d.partitions.iter().enumerate().find(|(_, p)| owns(p)) else {
            continue;
        };
        let zero = |at: usize| cx.facts.time_partition.get(at).is_some_and(Option::is_none);
        let own = server.priority.good().map_or(100, |p| p.value);
        for end in console.members.good().into_iter().flat_map(|l| &l.value) {
            for (at, client) in d.partitions.iter().enumerate() {
                let member = end.end.partition == "*" || end.end.partition == client.name.value;
                let Some(priority) = client.priority.good().filter(|p| p.value > own) else {
                    continue;
                };
                if !member || at == s || !zero(at) || !zero(s) || client.limit.is_written() {
                    continue;
                }
                found.push(
                    Diagnostic::warning(
                        "PZ0417",
                        format!("`{}` goes before `{}`, which serves it", client.name.value, server.name.value),
                        priority.place,
                        "as long as it runs, its driver does not",
                    )
                    .counter(console.table.head, "the link between them")
                    .fix(
                        format!("at most the priority of `{}`", server.name.value),
                        priority.place,
                        own.to_string(),
                    ),
                );
            }
        }
    }
    cx.out.extend(found);
}
