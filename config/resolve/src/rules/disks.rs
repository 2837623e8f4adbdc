// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Disks: PZ0201 and PZ0305 for theirs, PZ0803, PZ0804, PZ0805, PZ0809.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::{Disk, Partition};
use parzelle_schema::nearest::listed;
use parzelle_schema::source::Place;
use parzelle_schema::text::show_size;

use super::share::{GRAIN, Kind, content, ports};
use super::{Ctx, programs, written_address, written_size};

/// What a partition table and its copy keep of a device: see the disk images of the tool.
const TABLE: u64 = 1 << 20;

pub(super) fn check(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for (at, disk) in d.disks.iter().enumerate() {
        sectors(cx, disk);
        apart(cx, disk, d.disks.get(..at).unwrap_or(&[]));
        writers(cx, disk);
        fits(cx, disk);
    }
    for p in &d.partitions {
        root(cx, p);
    }
}

/// PZ0305: sectors are the pages of disks.
fn sectors(cx: &mut Ctx<'_>, disk: &Disk) {
    let whole = |n: u64| n.is_multiple_of(GRAIN);
    let bad = match (disk.range.good(), disk.size.good()) {
        (Some(at), _) if !whole(at.value.0) || !whole(at.value.1) => Some(at.place),
        (_, Some(at)) if !whole(at.value) => Some(at.place),
        _ => None,
    };
    if let Some(place) = bad {
        cx.push(
            Diagnostic::error(
                "PZ0305",
                format!("`{}` is not whole sectors", disk.name.value),
                place,
                "not a multiple of 512 B",
            )
            .counter(disk.table.head, "a disk is read and written by sectors")
            .help("round it up"),
        );
    }
}

/// PZ0803: ranges with each other, with the partition table, and names in it.
fn apart(cx: &mut Ctx<'_>, disk: &Disk, before: &[Disk]) {
    let Some(device) = disk.device.good() else {
        return;
    };
    let same = |other: &&Disk| other.device.good().is_some_and(|d| d.value.text == device.value.text);
    let name = &disk.name.value;
    for other in before.iter().filter(same) {
        let other_name = &other.name.value;
        match (disk.range.good(), other.range.good()) {
            (Some(b), Some(a)) => {
                let end = |range: (u64, u64)| range.0.saturating_add(range.1);
                if b.value.0 >= end(a.value) || a.value.0 >= end(b.value) {
                    continue;
                }
                let next = next_free(before.iter().filter(same));
                cx.push(
                    Diagnostic::error(
                        "PZ0803",
                        format!("`{name}` and `{other_name}` overlap on `{}`", device.value.text),
                        b.place,
                        format!("ends at {}", written_address(end(b.value))),
                    )
                    .counter(a.place, format!("`{other_name}` ends at {}", written_address(end(a.value))))
                    .fix(
                        "the next free range",
                        b.place,
                        format!("\"{}+{}\"", written_address(next), written_size(b.value.1)),
                    ),
                );
                return;
            }
            (None, None) => {
                let gpt = |d: &Disk| d.gpt.good().map_or_else(|| d.name.value.clone(), |gpt| gpt.value.text.clone());
                if gpt(disk) != gpt(other) || matches!(disk.gpt, parzelle_schema::reader::Field::Bad(_)) {
                    continue;
                }
                let place = |d: &Disk| d.gpt.place().unwrap_or(d.table.head);
                cx.push(
                    Diagnostic::error(
                        "PZ0803",
                        format!("`{name}` and `{other_name}` are the same partition of `{}`", device.value.text),
                        place(disk),
                        format!("the GPT partition `{}`", gpt(disk)),
                    )
                    .counter(place(other), format!("is `{other_name}` already"))
                    .help("another `gpt`; or one disk with several users"),
                );
                return;
            }
            (b, a) => {
                let Some(range) = b.or(a).filter(|range| range.value.0 < TABLE) else {
                    continue;
                };
                let other = if b.is_some() { other } else { disk };
                cx.push(
                    Diagnostic::error(
                        "PZ0803",
                        format!("a range of `{}` lies where its partition table is", device.value.text),
                        range.place,
                        format!("begins below {}", show_size(TABLE)),
                    )
                    .counter(other.table.head, "in a GPT partition, so the device has a table")
                    .fix(
                        "behind it",
                        range.place,
                        format!("\"{}+{}\"", written_address(TABLE), written_size(range.value.1)),
                    ),
                );
                return;
            }
        }
    }
}

/// The first address behind all ranges.
fn next_free<'a>(disks: impl Iterator<Item = &'a Disk>) -> u64 {
    let ends = disks.filter_map(|d| d.range.good()).map(|at| at.value.0.saturating_add(at.value.1));
    ends.max().unwrap_or(0).checked_next_multiple_of(TABLE).unwrap_or(0)
}

/// PZ0804 (warning).
fn writers(cx: &mut Ctx<'_>, disk: &Disk) {
    let Some(writers) = disk.writers.good() else { return };
    if let [first, second, ..] = writers.value.as_slice() {
        cx.push(
            Diagnostic::warning(
                "PZ0804",
                format!("`{}` has several writers", disk.name.value),
                second.place,
                "a second writer",
            )
            .counter(first.place, "the first")
            .note("a file system does not expect that anybody else changes it: most are damaged by a second writer")
            .help("name it among `readers`, or give each a disk of its own"),
        );
    }
}

/// PZ0201 for content, PZ0805.
fn fits(cx: &mut Ctx<'_>, disk: &Disk) {
    let Some(path) = disk.content.good() else { return };
    if programs::exists(cx, path).is_none() {
        return;
    }
    let bytes = std::fs::metadata(content(cx, &path.value.text)).map_or(0, |about| about.len());
    let room: Option<(u64, Place)> = match (disk.range.good(), disk.size.good()) {
        (Some(range), Some(size)) if size.value < range.value.1 => Some((size.value, size.place)),
        (Some(range), _) => Some((range.value.1, range.place)),
        (None, Some(size)) => Some((size.value, size.place)),
        (None, None) => None,
    };
    let Some((room, place)) = room.filter(|(room, _)| *room < bytes) else {
        return;
    };
    let up = if bytes >= 1 << 20 { bytes.next_multiple_of(1 << 20) } else { bytes.next_multiple_of(4 << 10) };
    let up = match disk.range.good() {
        Some(range) if range.place == place => format!("\"{}+{}\"", written_address(range.value.0), written_size(up)),
        _ => format!("\"{}\"", written_size(up)),
    };
    cx.push(
        Diagnostic::error(
            "PZ0805",
            format!("the content of `{}` does not fit", disk.name.value),
            path.place,
            format!("{} of content", show_size(bytes)),
        )
        .counter(place, format!("room for {}", show_size(room)))
        .fix("its size, rounded up", place, up),
    );
}

/// PZ0809 (warning).
fn root(cx: &mut Ctx<'_>, p: &Partition) {
    let Some(line) = p.guest.as_ref().and_then(|guest| guest.cmdline.good()) else {
        return;
    };
    // Linux takes the last one.
    let words = line.value.text.split_ascii_whitespace();
    let root = words.rev().find_map(|word| word.strip_prefix("root="));
    let Some(root) = root.and_then(|root| root.strip_prefix("/dev/")) else {
        return;
    };
    let elsewhere = ["ram", "nfs", "mapper/", "disk/", "md", "loop"];
    if elsewhere.iter().any(|other| root.starts_with(other)) {
        return;
    }
    let names: Vec<String> = ports(cx, Kind::Disk, &p.name.value).into_iter().map(|(.., port)| port).collect();
    // A partition of the disk has a number behind the name, or `p` and a number.
    let within = |name: &String| {
        let rest = root.strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.trim_start_matches('p').bytes().all(|b| b.is_ascii_digit()))
    };
    if names.iter().any(within) {
        return;
    }
    let column = line.value.text.rfind(&format!("/dev/{root}")).map(|at| at..at + 5 + root.len());
    let place = column.map_or(line.place, |column| line.inner(column));
    let disks = cx.d.disks.iter().find(|d| d.ends().any(|(e, _)| e.end.partition == p.name.value));
    let found = Diagnostic::warning(
        "PZ0809",
        format!("`{}` has no disk `{root}` for its root", p.name.value),
        place,
        "no disk of this guest",
    )
    .counter_if(disks.map(|d| d.table.head), "a disk of this guest")
    .note(match names.as_slice() {
        [] => "it has no disk".to_owned(),
        some => format!("its disks are {}", listed(some.iter().map(String::as_str))),
    });
    cx.push(match names.as_slice() {
        [only] if place != line.place => found.fix("its only disk", place, format!("/dev/{only}")),
        [] => found.help(format!("a disk with `writers = [\"{}.{root}\"]`", p.name.value)),
        _ => found.help("one of these"),
    });
}
