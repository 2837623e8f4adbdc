// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Names: PZ0101–PZ0109. (PZ0106 and PZ0011 are found before, where boards are loaded.)

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::EndAt;
use parzelle_schema::nearest::{listed, nearest};
use parzelle_schema::reader::Text;
use parzelle_schema::source::{At, Place};

use super::facts::time_partition_name;
use super::{Ctx, share};

pub(super) fn check(cx: &mut Ctx<'_>) {
    reserved(cx);
    time_partitions(cx);
    schedules(cx);
    health_tables(cx);
    devices(cx);
    ports(cx);
    unused(cx);
}

/// PZ0107: `default`, `module` are health tables, `0` is time partition 0.
fn reserved(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let mut found: Vec<(&At<String>, &str, &str)> = Vec::new();
    for p in &d.partitions {
        match p.name.value.as_str() {
            "default" | "module" => found.push((&p.name, "a partition", "it means a health table")),
            "0" => found.push((&p.name, "a partition", "it means time partition 0")),
            _ => {}
        }
    }
    let meaning = |name: &str| d.health.iter().find(|h| h.name.value == name).map(|h| h.table.head);
    for (name, what, why) in found {
        cx.push(
            Diagnostic::error("PZ0107", format!("`{}` can't be the name of {what}", name.value), name.place, why)
                .counter_if(meaning(&name.value), "its meaning")
                .fix("another name", name.place, format!("the-{}", name.value)),
        );
    }
    for p in &d.partitions {
        if let Some(health) = p.health.good().filter(|h| h.value.text == "module") {
            cx.push(
                Diagnostic::error(
                    "PZ0107",
                    format!("`{}` can't use the health table `module`", p.name.value),
                    health.place,
                    "this table is for errors outside of any partition",
                )
                .counter_if(meaning("module"), "its meaning")
                .help("make a table of another name, or leave out `health` for `default`"),
            );
        }
    }
}

/// PZ0101, and PZ0102 for windows that run nobody.
fn time_partitions(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for p in &d.partitions {
        let Some(named) = p.time_partition.good() else {
            continue;
        };
        let Some((other, owner)) = cx.partition(&named.value.text) else {
            continue;
        };
        let own = owner.name.value == p.name.value;
        if !own && !owner.time_partition.is_written() {
            cx.push(
                Diagnostic::error(
                    "PZ0101",
                    format!("the time partition `{}` is called like a partition", named.value.text),
                    named.place,
                    format!("shall `{}` share the windows of the partition?", p.name.value),
                )
                .counter_if(cx.head(other), "the partition of that name")
                .help(format!(
                    "another name; if they shall share, write `time-partition` in `{}` too",
                    owner.name.value
                )),
            );
        }
    }
    for schedule in &d.schedules {
        for window in schedule.cores.iter().flat_map(|(_, w)| w).filter(|w| !w.absent) {
            let Some(run) = window.run.good() else {
                continue;
            };
            let name = &run.value.text;
            if d.partitions.iter().any(|p| time_partition_name(p) == *name) {
                continue;
            }
            if let Some((_, p)) = cx.partition(name) {
                let of = time_partition_name(p);
                cx.push(
                    Diagnostic::error(
                        "PZ0102",
                        format!("no time partition is called `{name}`"),
                        run.place,
                        format!("`{name}` runs in the windows of `{of}`"),
                    )
                    .counter_if(p.time_partition.place(), "its time partition")
                    .fix("run that", run.place, format!("\"{of}\"")),
                );
            } else {
                let role = format!("run by a window of `{}`", schedule.name.value);
                cx.no_partition(name, run.place, &role);
            }
        }
    }
}

/// PZ0103.
fn schedules(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let mut used: Vec<(String, Place)> = Vec::new();
    used.extend(d.system.schedule.good().map(|s| (s.value.text.clone(), s.place)));
    for p in &d.partitions {
        let rights = p.may.switch_schedule.good().map(|l| l.value.as_slice()).unwrap_or_default();
        used.extend(rights.iter().filter(|s| s.value.text != "*").map(|s| (s.value.text.clone(), s.place)));
    }
    for (_, action) in d.health.iter().flat_map(|h| &h.actions) {
        if let Some(name) = action.value.text.strip_prefix("schedule:") {
            let start = "schedule:".len();
            used.push((name.to_owned(), action.inner(start..action.value.text.len())));
        }
    }
    let names: Vec<&str> = d.schedules.iter().map(|s| s.name.value.as_str()).collect();
    for (name, place) in used {
        if names.contains(&name.as_str()) {
            continue;
        }
        let mut diagnostic =
            Diagnostic::error("PZ0103", format!("no schedule is called `{name}`"), place, "named here")
                .note(format!("the schedules are {}", listed(names.iter().copied())));
        if let Some(near) = nearest(&name, names.iter().copied()) {
            let quoted = cx.sources.at(place).starts_with('"');
            diagnostic = diagnostic
                .counter_if(
                    d.schedules.iter().find(|s| s.name.value == near).map(|s| s.table.head),
                    "a schedule with a similar name",
                )
                .fix(
                    "write the name as it is declared",
                    place,
                    if quoted { format!("\"{near}\"") } else { near.to_owned() },
                );
        }
        cx.push(diagnostic);
    }
}

/// PZ0104.
fn health_tables(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let names: Vec<&str> = d.health.iter().map(|h| h.name.value.as_str()).collect();
    for p in &d.partitions {
        let Some(health) = p.health.good() else {
            continue;
        };
        let name = health.value.text.as_str();
        if names.contains(&name) || matches!(name, "default" | "module") {
            continue;
        }
        let mut diagnostic = Diagnostic::error(
            "PZ0104",
            format!("no health table is called `{name}`"),
            health.place,
            format!("named here by `{}`", p.name.value),
        );
        diagnostic = match nearest(name, names.iter().copied()) {
            Some(near) => diagnostic
                .counter_if(
                    d.health.iter().find(|h| h.name.value == near).map(|h| h.table.head),
                    "a health table with a similar name",
                )
                .fix("write the name as it is declared", health.place, format!("\"{near}\"")),
            None => {
                let file = health.place.file;
                let end = cx.sources.text(file).len();
                diagnostic.counter(p.table.head, "used by this partition").fix(
                    "add the table",
                    Place::new(file, end..end),
                    format!("\n[health.{name}]\notherwise = \"warm-start\"\n"),
                )
            }
        };
        cx.push(diagnostic);
    }
}

/// PZ0105.
fn devices(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let mut used: Vec<&At<Text>> = Vec::new();
    for p in &d.partitions {
        used.extend(p.devices.good().into_iter().flat_map(|l| &l.value));
    }
    used.extend(share::all(cx).into_iter().filter_map(|link| link.device));
    for device in used {
        let name = device.value.text.as_str();
        let names: Vec<&str> = d.devices.iter().chain(&cx.board.devices).map(|d| d.name.value.as_str()).collect();
        if names.contains(&name) {
            continue;
        }
        let head = cx.board.line("arch");
        let mut diagnostic = Diagnostic::error(
            "PZ0105",
            format!("`{}` has no device `{name}`", cx.board_name),
            device.place,
            "named here",
        )
        .counter_if(head, "the board that lacks it")
        .note(format!("its devices are {}", listed(names.iter().copied())));
        diagnostic = match nearest(name, names.iter().copied()) {
            Some(near) => diagnostic.fix("a device with a similar name", device.place, format!("\"{near}\"")),
            None => diagnostic.help(format!("describe it: `[board.{}.device.{name}]`", cx.board_name)),
        };
        cx.push(diagnostic);
    }
}

/// PZ0108.
fn ports(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let mut seen: Vec<(String, String, Place)> = Vec::new();
    let mut ends: Vec<(&str, &EndAt)> = Vec::new();
    for c in &d.channels {
        ends.extend(c.from.good().into_iter().map(|e| (c.name.value.as_str(), &e.value)));
        ends.extend(c.to.good().into_iter().flat_map(|l| &l.value).map(|e| (c.name.value.as_str(), e)));
    }
    for s in &d.shared {
        for list in [&s.writers, &s.readers] {
            ends.extend(list.good().into_iter().flat_map(|l| &l.value).map(|e| (s.name.value.as_str(), e)));
        }
    }
    for link in share::all(cx).into_iter().filter(|link| link.kind != share::Kind::Console) {
        let guest = |end: &&EndAt| cx.partition(&end.end.partition).is_some_and(|(_, p)| p.guest.is_some());
        // A guest's port without a name gets a free one.
        let named = link.ends.into_iter().filter(|end| end.end.port.is_some() || !guest(end));
        ends.extend(named.filter(|end| end.end.partition != "*").map(|end| (link.name, end)));
    }
    let mut links: Vec<&str> = Vec::new();
    for (link, end) in ends {
        let partition = &end.end.partition;
        let port = end.end.port.clone().unwrap_or_else(|| link.to_owned());
        // The same partition twice at one link is PZ0601, PZ0603 or PZ0608.
        let again = seen
            .iter()
            .zip(&links)
            .find(|((p, n, _), l)| p == partition && *n == port && **l != link)
            .map(|((_, _, place), _)| *place);
        if let Some(first) = again {
            cx.push(
                Diagnostic::error(
                    "PZ0108",
                    format!("`{partition}` has two ports called `{port}`"),
                    end.place,
                    format!("the port of `{link}`"),
                )
                .counter(first, "the first of that name")
                .fix("name one of them otherwise", end.place, format!("\"{partition}.another-name\"")),
            );
        }
        seen.push((partition.clone(), port, end.place));
        links.push(link);
    }
}

/// PZ0109 (warning).
fn unused(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for health in &d.health {
        let name = &health.name.value;
        let used = matches!(name.as_str(), "default" | "module")
            || d.partitions.iter().any(|p| {
                p.health.good().is_some_and(|h| h.value.text == *name)
                    || matches!(p.health, parzelle_schema::reader::Field::Bad(_))
            });
        if !used {
            let names = d.partitions.iter().filter_map(|p| p.health.good()).map(|h| h.value.text.as_str());
            let near = nearest(name, names).map(str::to_owned);
            let place = near.and_then(|n| {
                d.partitions.iter().filter_map(|p| p.health.good()).find(|h| h.value.text == n).map(|h| h.place)
            });
            cx.push(
                Diagnostic::warning(
                    "PZ0109",
                    format!("no partition uses the health table `{name}`"),
                    health.table.head,
                    "declared, never used",
                )
                .counter_if(place, "a similar name that is used")
                .help(format!("delete it, or write `health = \"{name}\"` in a partition")),
            );
        }
    }
    for device in &d.devices {
        let name = &device.name.value;
        let used = d
            .partitions
            .iter()
            .flat_map(|p| p.devices.good().into_iter().flat_map(|l| &l.value))
            .any(|u| u.value.text == *name);
        if !used {
            cx.push(
                Diagnostic::warning(
                    "PZ0109",
                    format!("nobody owns the device `{name}`"),
                    device.table.head,
                    "declared, never used",
                )
                .help(format!("delete it, or write `devices = [\"{name}\"]` in a partition")),
            );
        }
    }
    if d.schedules.len() < 2 || !d.system.schedule.is_written() {
        return;
    }
    for schedule in &d.schedules {
        let name = schedule.name.value.as_str();
        let right = |l: &At<Text>| l.value.text == name || l.value.text == "*";
        let used = d.system.schedule.good().is_none_or(|s| s.value.text == name)
            || d.partitions.iter().any(|p| p.may.switch_schedule.good().is_some_and(|l| l.value.iter().any(right)))
            || d.health
                .iter()
                .flat_map(|h| &h.actions)
                .any(|(_, a)| a.value.text.strip_prefix("schedule:") == Some(name));
        if !used {
            cx.push(
                Diagnostic::warning(
                    "PZ0109",
                    format!("nothing ever switches to the schedule `{name}`"),
                    schedule.table.head,
                    "declared, never used",
                )
                .counter_if(d.system.schedule.place(), "another one runs first")
                .help(format!("delete it, or write `may.switch-schedule = [\"{name}\"]` in a partition")),
            );
        }
    }
}
