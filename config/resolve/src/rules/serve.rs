// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Who serves what is shared: PZ0801, PZ0802, PZ0811.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::Partition;
use parzelle_schema::reader::{Field, Text, add_line};
use parzelle_schema::source::At;

use super::Ctx;
use super::devices::find;
use super::share::{Link, owner};

/// PZ0801, PZ0802.
pub(super) fn served(cx: &mut Ctx<'_>, link: &Link<'_>) {
    if let Some(device) = link.device {
        let text = device.value.text.as_str();
        let Some(found) = find(cx, text) else {
            return; // PZ0105
        };
        let class = found.class.good().map_or("other", |c| c.value);
        if class != link.kind.class() && class != "other" {
            cx.push(
                Diagnostic::error(
                    "PZ0802",
                    format!("`{text}` can't be {}", link.kind.title()),
                    device.place,
                    format!("its class is `{class}`"),
                )
                .counter(found.table.head, "this device")
                .help(format!("a device of class `{}`", link.kind.class())),
            );
            return;
        }
        let unclear = cx.d.partitions.iter().any(|p| matches!(p.devices, Field::Bad(_)));
        if owner(cx, text).is_none() {
            if !unclear {
                unowned(cx, link, device);
            }
            return;
        }
    }
    let Some((at, server)) = link.server(cx) else {
        return;
    };
    let kind = link.kind.served();
    let place = link.driver.or(link.device).map_or(link.table.head, |at| at.place);
    let title = format!("`{}` does not serve `{}`", server.name.value, link.name);
    let wants = format!("{} needs a program that serves `{kind}`", link.kind.title());
    if let Some(guest) = &server.guest {
        cx.push(
            Diagnostic::error("PZ0802", title, place, wants)
                .counter(guest.table.head, "this is an operating system")
                .help(format!("a partition of its own for the driver, such as `crate = \"{}\"`", link.kind.krate())),
        );
        return;
    }
    let Some(package) = cx.facts.packages.get(at).cloned().flatten() else {
        return; // An ELF file says nothing, and a crate that isn't there is PZ0202.
    };
    if package.metadata.serves.iter().any(|served| served == kind) {
        return;
    }
    let says = match package.metadata.serves.as_slice() {
        [] => "its metadata name nothing that it serves".to_owned(),
        some => format!("it serves {}", parzelle_schema::nearest::listed(some.iter().map(String::as_str))),
    };
    let fitting = cx.facts.all_packages.iter().find(|p| p.metadata.serves.iter().any(|served| served == kind));
    let found = Diagnostic::error("PZ0802", title, place, wants).counter_if(server.krate.place(), says);
    let found = match (fitting, server.krate.place()) {
        (Some(fitting), Some(krate)) => found.fix("a crate that does", krate, format!("\"{}\"", fitting.name)),
        _ => found,
    };
    cx.push(found.help(format!(
        "or, if the program does serve it, in its `Cargo.toml`: `[package.metadata.parzelle]`, `serves = [\"{kind}\"]`"
    )));
}

/// PZ0801.
fn unowned(cx: &mut Ctx<'_>, link: &Link<'_>, device: &At<Text>) {
    let text = device.value.text.as_str();
    let (kind, krate) = (link.kind.served(), link.kind.krate());
    let board = cx.board.devices.iter().find(|x| x.name.value == text).map(|x| x.table.head);
    let serves = |(at, p): &(usize, &Partition)| {
        let package = cx.facts.packages.get(*at).and_then(Option::as_ref);
        let free = !p.devices.is_written();
        free && (p.krate.good().is_some_and(|k| k.value.text == krate)
            || package.is_some_and(|p| p.metadata.serves.iter().any(|served| served == kind)))
    };
    let server = cx.d.partitions.iter().enumerate().find(serves).map(|(_, p)| p);
    let found = Diagnostic::error(
        "PZ0801",
        format!("nobody owns `{text}`, which `{}` shares", link.name),
        device.place,
        format!("{} needs the driver of its device", link.kind.title()),
    );
    cx.push(match server {
        Some(p) => add_line(
            found.counter(p.table.head, "this program could serve it"),
            &p.table,
            "give it the device",
            &format!("devices = [\"{text}\"]"),
        ),
        None => found
            .counter_if(board, "the device on this board")
            .help(format!("a partition with `crate = \"{krate}\"` and `devices = [\"{text}\"]`")),
    });
}

/// PZ0811 (warning).
pub(super) fn common_schedules(cx: &mut Ctx<'_>, link: &Link<'_>) {
    let Some((server_at, server)) = link.server(cx) else {
        return;
    };
    let time = |at: usize| cx.facts.time_partition.get(at).cloned().flatten();
    // In time partition 0 it runs in every schedule.
    let Some(server_time) = time(server_at) else {
        return;
    };
    let mut found = Vec::new();
    for (schedule, placed) in cx.d.schedules.iter().zip(&cx.facts.schedules) {
        if placed.unclear || !placed.cores_of(&server_time).is_empty() {
            continue;
        }
        let runs = |at: usize| time(at).is_none_or(|time| !placed.cores_of(&time).is_empty());
        let Some((_, client)) = link.clients(cx).into_iter().find(|(at, _)| runs(*at)) else {
            continue;
        };
        found.push(
            Diagnostic::warning(
                "PZ0811",
                format!(
                    "`{}` is stopped in `{}`, where `{}` runs",
                    server.name.value, schedule.name.value, client.name.value
                ),
                schedule.table.head,
                format!("no window here is for `{}`", server.name.value),
            )
            .counter(link.table.head, format!("which it serves for `{}`", client.name.value))
            .help(format!("a window for `{}` in this schedule", server.name.value)),
        );
    }
    cx.out.extend(found);
}
