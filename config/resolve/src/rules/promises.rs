// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Promises: PZ0407 and PZ0408.
//!
//! The least time that windows give in any stretch of one promise period: the worst stretch
//! begins as a window ends (moving it later only adds time at its end, earlier only at its
//! start). A window's `pad` is not given to anybody. From that, each partition of time partition 0 that goes before the window may take
//! what its `limit` allows in that stretch. Who shares the windows and does not go behind may take
//! all of them: then nothing is proved.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::Partition;
use parzelle_schema::reader::add_line;
use parzelle_schema::source::Place;
use parzelle_schema::text::show_time;

use super::facts::time_partition_name;
use super::{Ctx, written_time};

pub(super) fn check(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for (at, p) in d.partitions.iter().enumerate() {
        let Some(promise) = p.promise.good() else {
            continue;
        };
        let (time, period) = promise.value;
        let name = time_partition_name(p);
        if shared(cx, at, p, promise.place, &name) {
            continue;
        }
        let mut worst: Option<(u64, u32)> = None;
        for s in 0..cx.facts.schedules.len() {
            let Some(placed) = cx.facts.schedules.get(s).filter(|s| !s.unclear && s.frame > 0) else {
                continue;
            };
            for core in &placed.cores {
                let mine: Vec<(u64, u64)> = core
                    .windows
                    .iter()
                    .filter(|w| w.run == name && !w.absent)
                    .flat_map(|w| {
                        w.starts(placed.frame).map(|s| (s.saturating_add(w.pad), s.saturating_add(w.duration)))
                    })
                    .collect();
                if mine.is_empty() || !cx.facts.cores.get(at).is_some_and(|c| c.contains(&core.core)) {
                    continue;
                }
                let (least, from, gap) = least_supply(&mine, placed.frame, period);
                if least < time {
                    let window = core.windows.iter().find(|w| w.run == name).map(|w| w.place);
                    let schedule = d.schedules.get(s).map_or("", |s| s.name.value.as_str());
                    let found = short(p, promise.place, (time, period), schedule, (least, from, gap), window);
                    cx.out.push(found);
                } else if worst.is_none_or(|(w, _)| least - time < w) {
                    worst = Some((least - time, core.core));
                }
            }
        }
        if let Some((spare, core)) = worst {
            disturbed(cx, at, p, (time, period), promise.place, spare, core);
        }
    }
}

/// PZ0407 for windows that somebody else can use up.
fn shared(cx: &mut Ctx<'_>, at: usize, p: &Partition, place: Place, time: &str) -> bool {
    let d = cx.d;
    let own = p.priority.good().map_or(100, |x| x.value);
    let common = |other: usize| {
        let cores = cx.facts.cores.get(at).zip(cx.facts.cores.get(other));
        cores.is_some_and(|(a, b)| a.iter().any(|c| b.contains(c)))
    };
    let rival = d.partitions.iter().enumerate().find(|(other, q)| {
        *other != at
            && cx.facts.time_partition.get(*other).is_some_and(|t| t.as_deref() == Some(time))
            && q.priority.good().map_or(100, |x| x.value) >= own
            && common(*other)
    });
    let Some((_, q)) = rival else { return false };
    let found = Diagnostic::error(
        "PZ0407",
        format!("`{}` can use up the windows of `{}`", q.name.value, p.name.value),
        place,
        "promised, in windows that are shared",
    )
    .counter(
        q.time_partition.place().unwrap_or(q.table.head),
        format!("`{}` shares them and does not go behind", q.name.value),
    )
    .help(format!("a higher `priority` for `{}` than for `{}`, or windows of its own", p.name.value, q.name.value));
    cx.push(found);
    true
}

/// (least supply in any stretch of `period`, where that begins, the largest gap).
fn least_supply(windows: &[(u64, u64)], frame: u64, period: u64) -> (u64, u64, u64) {
    let mut sorted = windows.to_vec();
    sorted.sort_unstable();
    let whole: u64 = sorted.iter().map(|(s, e)| e - s).sum();
    let frames = period / frame;
    let rest = period % frame;
    let mut out = (u64::MAX, 0);
    for &(_, begin) in &sorted {
        let end = begin.saturating_add(rest);
        let mut supply: u64 = whole.saturating_mul(frames);
        for shift in [0, frame] {
            for &(s, e) in &sorted {
                let (s, e) = (s.saturating_add(shift), e.saturating_add(shift));
                supply = supply.saturating_add(e.min(end).saturating_sub(s.max(begin)));
            }
        }
        if supply < out.0 {
            out = (supply, begin);
        }
    }
    let mut gap = 0;
    for (at, (_, end)) in sorted.iter().enumerate() {
        let next = sorted.get(at + 1).map(|(s, _)| *s).or(sorted.first().map(|(s, _)| s.saturating_add(frame)));
        gap = gap.max(next.unwrap_or(0).saturating_sub(*end));
    }
    (out.0, out.1, gap)
}

fn short(
    p: &Partition,
    place: Place,
    (time, period): (u64, u64),
    schedule: &str,
    (least, from, gap): (u64, u64, u64),
    window: Option<Place>,
) -> Diagnostic {
    Diagnostic::error(
        "PZ0407",
        format!("the windows of `{}` give less than promised in `{schedule}`", p.name.value),
        place,
        format!("{} in {} promised", show_time(time), show_time(period)),
    )
    .counter_if(window, format!("its windows leave a gap of {}", show_time(gap)))
    .note(format!("in the {} after {} of the frame it gets {}", show_time(period), show_time(from), show_time(least)))
    .help(format!("windows that are {} longer, or more of them", show_time(time - least)))
}

/// PZ0408.
fn disturbed(cx: &mut Ctx<'_>, at: usize, p: &Partition, (_, period): (u64, u64), place: Place, spare: u64, core: u32) {
    let d = cx.d;
    let own = p.priority.good().map_or(100, |x| x.value);
    let mut taken = 0u64;
    for (other, q) in d.partitions.iter().enumerate() {
        let zero = cx.facts.time_partition.get(other).is_some_and(Option::is_none);
        let here = cx.facts.cores.get(other).is_some_and(|c| c.contains(&core));
        let Some(priority) = q.priority.good().filter(|x| x.value > own) else {
            continue;
        };
        if other == at || !zero || !here || matches!(q.limit, parzelle_schema::reader::Field::Bad(_)) {
            continue;
        }
        let line = q.table.entry("priority").map_or(priority.place, |(k, n)| Place { start: k.place.start, ..n.place });
        let promise = p.table.entry("promise").map_or(place, |(k, n)| Place { start: k.place.start, ..n.place });
        let title = format!("`{}` can keep `{}` from its promise", q.name.value, p.name.value);
        match q.limit.good() {
            None => {
                let mut found = Diagnostic::error(
                    "PZ0408",
                    title,
                    line,
                    format!(
                        "`{}` is in time partition 0 and goes before `{}`, without limit",
                        q.name.value, p.name.value
                    ),
                )
                .counter(promise, format!("promised on core {core}"));
                found = found.note(if p.priority.is_written() {
                    "a partition without windows runs in time partition 0".to_owned()
                } else {
                    format!(
                        "a partition without windows runs in time partition 0; `{}` has the default priority 100",
                        p.name.value
                    )
                });
                if spare >= 10_000 {
                    let (share, per) = ((spare / 5).max(1000) / 1000 * 1000, period / 5);
                    found = add_line(
                        found,
                        &q.table,
                        &format!(
                            "limit it; `{}` can spare up to {} in {}",
                            p.name.value,
                            show_time(spare),
                            show_time(period)
                        ),
                        &format!("limit = \"{}/{}\"", written_time(share), written_time(per)),
                    );
                }
                let found = found.help(format!("or let it run only on what is left, with a priority of {own} or less"));
                cx.push(found);
            }
            Some(limit) => {
                let (time, per) = limit.value;
                // The kernel's periods begin with the frame's; those that don't fit the promise's may
                // reach into it at both ends.
                let per = per.max(1);
                let periods = if period % per == 0 { period / per } else { period / per + 2 };
                taken = taken.saturating_add(time.saturating_mul(periods));
                if taken > spare {
                    cx.push(
                        Diagnostic::error(
                            "PZ0408",
                            title,
                            limit.place,
                            format!("up to {} in {}, with those before it", show_time(taken), show_time(period)),
                        )
                        .counter(promise, format!("promised on core {core}, with {} to spare", show_time(spare)))
                        .help(format!(
                            "a smaller limit, longer windows of `{}`, or a priority of {own} or less",
                            p.name.value
                        )),
                    );
                }
            }
        }
    }
}
