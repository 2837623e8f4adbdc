// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Ports and shared memory: PZ0601–PZ0603, PZ0605–PZ0609.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::{Channel, EndAt, Shared};
use parzelle_schema::source::Place;
use parzelle_schema::text::show_time;

use super::facts::time_partition_name;
use super::{Ctx, written_time};

pub(super) fn check(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for channel in &d.channels {
        ends(cx, channel);
        stale(cx, channel);
    }
    for shared in &d.shared {
        memory(cx, shared);
    }
}

fn whole(end: &EndAt) -> Option<&str> {
    (end.end.partition == "*").then_some("*")
}

/// PZ0107 for `*` where it can't stand.
fn star(cx: &mut Ctx<'_>, end: &EndAt, head: Place) -> bool {
    if whole(end).is_none() {
        return false;
    }
    cx.push(
        Diagnostic::error(
            "PZ0107",
            "`*` can't be an end of a channel or of shared memory",
            end.place,
            "every partition?",
        )
        .counter(head, "this link")
        .help("name the partitions: who can talk to whom is written down"),
    );
    true
}

fn ends(cx: &mut Ctx<'_>, channel: &Channel) {
    let name = &channel.name.value;
    let head = channel.table.head;
    let from = channel.from.good().map(|f| &f.value);
    let mut source = None;
    if let Some(end) = from
        && !star(cx, end, head)
    {
        source = cx.resolve(end, &format!("named here as the source of `{name}`"));
        native(cx, end, source);
    }
    let Some(to) = channel.to.good() else { return };
    if to.value.is_empty() {
        cx.push(
            Diagnostic::error("PZ0602", format!("`{name}` leads nowhere"), to.place, "no destination")
                .counter(head, "this link")
                .help("name a partition, or delete the link"),
        );
    }
    let mut seen: Vec<&EndAt> = Vec::new();
    for end in &to.value {
        if star(cx, end, head) {
            continue;
        }
        let at = cx.resolve(end, &format!("named here as a destination of `{name}`"));
        native(cx, end, at);
        if let (Some(at), Some(from)) = (at, from)
            && Some(at) == source
        {
            cx.push(
                Diagnostic::error(
                    "PZ0601",
                    format!("`{name}` leads from `{0}` to `{0}`", end.end.partition),
                    end.partition_place,
                    "the same partition",
                )
                .counter(from.place, "the source")
                .help("another partition; within one, a variable does"),
            );
        }
        if let Some(first) = seen.iter().find(|s| s.end.partition == end.end.partition) {
            twice(cx, name, end, first);
        }
        seen.push(end);
        common_schedule(cx, channel, source, at, end);
    }
}

/// PZ0603.
fn twice(cx: &mut Ctx<'_>, link: &str, second: &EndAt, first: &EndAt) {
    cx.push(
        Diagnostic::error(
            "PZ0603",
            format!("`{}` is twice at one end of `{link}`", second.end.partition),
            second.place,
            "again here",
        )
        .counter(first.place, "first here")
        .help("delete one of them"),
    );
}

/// PZ0607.
fn native(cx: &mut Ctx<'_>, end: &EndAt, at: Option<usize>) {
    let Some(p) = at.and_then(|at| cx.d.partitions.get(at)) else {
        return;
    };
    if let Some(guest) = &p.guest {
        cx.push(
            Diagnostic::error(
                "PZ0607",
                format!("the guest `{}` can't open ports", p.name.value),
                end.partition_place,
                "ports are for native programs",
            )
            .counter(guest.table.head, "it runs an operating system")
            .help("guests are joined by networks, consoles and disks"),
        );
    }
}

/// PZ0605 (warning).
fn stale(cx: &mut Ctx<'_>, channel: &Channel) {
    let (Some(refresh), Some(from)) = (channel.refresh_period.good(), channel.from.good()) else {
        return;
    };
    let Some((at, p)) = cx.partition(&from.value.end.partition) else {
        return;
    };
    if cx.facts.time_partition.get(at).is_none_or(Option::is_none) || cx.facts.unclear {
        return;
    }
    let time = time_partition_name(p);
    let mut worst: Option<(u64, u64, Place)> = None;
    for schedule in &cx.facts.schedules {
        let mut starts: Vec<(u64, u64, Place)> = schedule
            .cores
            .iter()
            .flat_map(|c| &c.windows)
            .filter(|w| w.run == time && !w.absent)
            .flat_map(|w| w.starts(schedule.frame).map(move |s| (s, w.duration, w.period_place.unwrap_or(w.place))))
            .collect();
        starts.sort_unstable();
        for (i, (s, _, _)) in starts.iter().enumerate() {
            let next = starts
                .get(i + 1)
                .map(|n| (n.0, n.1, n.2))
                .or_else(|| starts.first().map(|n| (n.0.saturating_add(schedule.frame), n.1, n.2)));
            let Some((next, duration, place)) = next else {
                continue;
            };
            let distance = next.saturating_sub(*s);
            if worst.is_none_or(|w| w.0 < distance) {
                worst = Some((distance, duration, place));
            }
        }
    }
    let Some((distance, duration, place)) = worst.filter(|w| refresh.value < w.0) else {
        return;
    };
    let name = &channel.name.value;
    let how_much = if refresh.value.saturating_mul(2) == distance { "half of the time" } else { "part of the time" };
    let line =
        channel.table.entry("refresh-period").map_or(refresh.place, |(k, n)| Place { start: k.place.start, ..n.place });
    let lost = distance.saturating_mul(2).saturating_add(duration);
    cx.push(
        Diagnostic::warning(
            "PZ0605",
            format!("`{name}` is stale {how_much}"),
            line,
            format!("a message older than {} reads as INVALID", show_time(refresh.value)),
        )
        .counter(place, format!("`{}` can write a new one only every {}", p.name.value, show_time(distance)))
        .note(format!(
            "a message can be up to {} old: written as one window begins, the next as another ends",
            show_time(distance.saturating_add(duration))
        ))
        .fix("allow one lost message, as is usual", refresh.place, format!("\"{}\"", written_time(lost))),
    );
}

/// PZ0606 (warning).
fn common_schedule(cx: &mut Ctx<'_>, channel: &Channel, from: Option<usize>, to: Option<usize>, end: &EndAt) {
    let d = cx.d;
    let (Some(from), Some(to)) = (from, to) else {
        return;
    };
    if cx.facts.unclear || d.schedules.is_empty() {
        return;
    }
    let runs = |p: usize, s: usize| {
        cx.facts.time_partition.get(p).is_none_or(Option::is_none)
            || d.partitions.get(p).is_some_and(|p| {
                cx.facts.schedules.get(s).is_some_and(|s| !s.cores_of(&time_partition_name(p)).is_empty())
            })
    };
    if (0..d.schedules.len()).any(|s| runs(from, s) && runs(to, s)) {
        return;
    }
    let lacks = (0..d.schedules.len()).find(|&s| runs(from, s)).and_then(|s| d.schedules.get(s)).map(|s| s.table.head);
    cx.push(
        Diagnostic::warning(
            "PZ0606",
            format!("the ends of `{}` never run in one schedule", channel.name.value),
            end.place,
            "read in another schedule than written",
        )
        .counter_if(lacks, "no window for the reader here")
        .help(format!("a window for `{}` in that schedule", end.end.partition)),
    );
}

fn memory(cx: &mut Ctx<'_>, shared: &Shared) {
    let name = &shared.name.value;
    let head = shared.table.head;
    let empty = Vec::new();
    let writers = shared.writers.good().map_or(&empty, |l| &l.value);
    let readers = shared.readers.good().map_or(&empty, |l| &l.value);
    for (list, role) in [(writers, "writer"), (readers, "reader")] {
        let mut seen: Vec<&EndAt> = Vec::new();
        for end in list {
            if star(cx, end, head) {
                continue;
            }
            let at = cx.resolve(end, &format!("named here as a {role} of `{name}`"));
            native(cx, end, at);
            if let Some(first) = seen.iter().find(|s| s.end.partition == end.end.partition) {
                twice(cx, name, end, first);
            }
            seen.push(end);
        }
    }
    if let Some(list) = shared.writers.good().filter(|l| l.value.is_empty()) {
        cx.push(
            Diagnostic::error("PZ0602", format!("nobody writes `{name}`"), list.place, "no writer")
                .counter(head, "this link")
                .help("name a partition, or delete the link"),
        );
    }
    for reader in readers {
        if let Some(writer) = writers.iter().find(|w| w.end.partition == reader.end.partition) {
            cx.push(
                Diagnostic::error(
                    "PZ0608",
                    format!("`{}` is both writer and reader of `{name}`", reader.end.partition),
                    reader.place,
                    "a reader",
                )
                .counter(writer.place, "a writer")
                .help("delete the reader: writers read too"),
            );
        }
    }
    let mut all: Vec<&str> = writers.iter().chain(readers).map(|e| e.end.partition.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    let readable = shared.writers.good().is_some() && (shared.readers.good().is_some() || !shared.readers.is_written());
    if let ([only], Some(end), true) = (all.as_slice(), writers.first(), readable) {
        cx.push(
            Diagnostic::warning(
                "PZ0609",
                format!("only `{only}` sees the shared memory `{name}`"),
                end.place,
                "the only partition",
            )
            .counter(head, "shared with nobody")
            .help("delete it: the partition has memory of its own"),
        );
    }
}
