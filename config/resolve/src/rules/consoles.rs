// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Consoles: PZ0102 for members, PZ0801, PZ0810.

use parzelle_schema::diagnostic::Diagnostic;

use super::Ctx;
use super::devices::find;

pub(super) fn check(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for console in &d.consoles {
        let name = &console.name.value;
        for end in console.members.good().into_iter().flat_map(|l| &l.value) {
            if end.end.partition != "*" {
                cx.resolve(end, &format!("named here as a member of `{name}`"));
            }
        }
        let Some(device) = console.device.good() else {
            continue;
        };
        let text = device.value.text.as_str();
        if find(cx, text).is_none() {
            continue; // PZ0105
        }
        let owned = d.partitions.iter().any(|p| {
            p.devices.good().is_some_and(|l| l.value.iter().any(|x| x.value.text == text))
                || matches!(p.devices, parzelle_schema::reader::Field::Bad(_))
        });
        if !owned {
            let board = cx.board.devices.iter().find(|x| x.name.value == text).map(|x| x.table.head);
            let server = d.partitions.iter().find(|p| p.krate.good().is_some_and(|k| k.value.text == "console"));
            let mut found = Diagnostic::error(
                "PZ0801",
                format!("nobody owns `{text}`, which `{name}` shares"),
                device.place,
                "a console needs the driver of its device",
            );
            found = match server {
                Some(p) => parzelle_schema::reader::add_line(
                    found.counter(p.table.head, "this program could serve it"),
                    &p.table,
                    "give it the device",
                    &format!("devices = [\"{text}\"]"),
                ),
                None => found
                    .counter_if(board, "the device on this board")
                    .help(format!("a partition with `crate = \"console\"` and `devices = [\"{text}\"]`")),
            };
            cx.push(found);
        }
    }
    guests(cx);
}

/// PZ0810 (warning).
fn guests(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let Some(first) = d.consoles.first() else {
        return;
    };
    if d.consoles.iter().any(|c| c.members.good().is_none()) {
        return;
    }
    for p in d.partitions.iter().filter(|p| p.guest.is_some()) {
        let member = d
            .consoles
            .iter()
            .filter_map(|c| c.members.good())
            .flat_map(|l| &l.value)
            .any(|e| e.end.partition == "*" || e.end.partition == p.name.value);
        if !member {
            cx.push(
                Diagnostic::warning(
                    "PZ0810",
                    format!("the guest `{}` has no console", p.name.value),
                    p.table.head,
                    "nobody will see what it prints",
                )
                .counter_if(first.members.place(), "the members of the console")
                .help(format!("add `\"{}\"` to the members", p.name.value)),
            );
        }
    }
}
