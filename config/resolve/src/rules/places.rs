// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Which core, which vCPU, which schedule: PZ0406, PZ0409–PZ0414, PZ0418, PZ0419.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::reader::{Field, add_line};
use parzelle_schema::source::Place;
use parzelle_schema::text::show_time;

use super::facts::time_partition_name;
use super::{Ctx, written_time};

pub(super) fn check(cx: &mut Ctx<'_>) {
    first_schedule(cx);
    for at in 0..cx.d.partitions.len() {
        same_cores(cx, at);
        written_cores(cx, at);
        keys_of_time(cx, at);
        start_together(cx, at);
    }
    change_actions(cx);
    something_left(cx);
}

/// PZ0406.
fn first_schedule(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let [first, second, ..] = d.schedules.as_slice() else {
        return;
    };
    if d.system.schedule.is_written() {
        return;
    }
    let found = Diagnostic::error(
        "PZ0406",
        "with several schedules, the first has to be named",
        second.table.head,
        "a second schedule",
    )
    .counter(first.table.head, "the first in the file, but order means nothing");
    cx.push(add_line(
        found,
        &d.system.table,
        "name the one that runs first, in `[system]`",
        &format!("schedule = \"{}\"", first.name.value),
    ));
}

/// The window of a time partition on a core, in a schedule.
fn window_on(cx: &Ctx<'_>, schedule: usize, time: &str, core: u32) -> Option<Place> {
    let cores = &cx.facts.schedules.get(schedule)?.cores;
    let on = cores.iter().find(|c| c.core == core)?;
    on.windows.iter().find(|w| w.run == time && !w.absent).map(|w| w.place)
}

/// PZ0409.
fn same_cores(cx: &mut Ctx<'_>, at: usize) {
    let Some(p) = cx.d.partitions.get(at) else {
        return;
    };
    let time = time_partition_name(p);
    if p.cores.is_written() || cx.facts.unclear {
        return;
    }
    let mut first: Option<(usize, Vec<u32>)> = None;
    for s in 0..cx.facts.schedules.len() {
        let on = cx.facts.schedules.get(s).map(|s| s.cores_of(&time)).unwrap_or_default();
        if on.is_empty() {
            continue;
        }
        let Some((first_s, first_on)) = &first else {
            first = Some((s, on));
            continue;
        };
        if on == *first_on {
            continue;
        }
        let odd = on.iter().find(|c| !first_on.contains(c)).or(on.first()).copied().unwrap_or(0);
        let (Some(place), Some(base)) =
            (window_on(cx, s, &time, odd), first_on.first().and_then(|c| window_on(cx, *first_s, &time, *c)))
        else {
            continue;
        };
        let mut all: Vec<u32> = on.iter().chain(first_on.iter()).copied().collect();
        all.sort_unstable();
        all.dedup();
        let found = Diagnostic::error(
            "PZ0409",
            format!("the cores of `{}` do not follow from its windows", p.name.value),
            place,
            format!("here cores {on:?}"),
        )
        .counter(base, format!("there cores {first_on:?}"));
        cx.push(add_line(found, &p.table, "say which: one vCPU per entry", &format!("cores = {all:?}")));
        return;
    }
}

/// PZ0410 and PZ0411.
fn written_cores(cx: &mut Ctx<'_>, at: usize) {
    let d = cx.d;
    let Some(p) = d.partitions.get(at) else {
        return;
    };
    let Some(cores) = p.cores.good() else { return };
    let time = time_partition_name(p);
    let Some(Some(_)) = cx.facts.time_partition.get(at) else {
        return;
    };
    let has = |c: u32| cores.value.iter().any(|x| x.value == i64::from(c));
    // Somebody else of the time partition may have a vCPU there.
    let others: Vec<u32> = (0..d.partitions.len())
        .filter(|o| *o != at && cx.facts.time_partition.get(*o) == Some(&Some(time.clone())))
        .flat_map(|o| cx.facts.cores.get(o).cloned().unwrap_or_default())
        .collect();
    let mut missing: Vec<(u32, Place)> = Vec::new();
    for c in cx.facts.schedules.iter().flat_map(|s| &s.cores) {
        if let Some(w) = c.windows.iter().find(|w| w.run == time && !w.absent)
            && !has(c.core)
            && !others.contains(&c.core)
            && !missing.iter().any(|(m, _)| *m == c.core)
        {
            missing.push((c.core, w.place));
        }
    }
    for (core, place) in missing {
        let mut all: Vec<i64> = cores.value.iter().map(|c| c.value).collect();
        all.push(i64::from(core));
        cx.push(
            Diagnostic::error(
                "PZ0410",
                format!("`{}` has a window on core {core}, but no vCPU there", p.name.value),
                place,
                format!("a window on core {core}"),
            )
            .counter(cores.place, "the cores of its vCPUs")
            .fix("add the core", cores.place, format!("{all:?}")),
        );
    }
    if cx.facts.unclear {
        return;
    }
    for entry in &cores.value {
        let core = u32::try_from(entry.value).unwrap_or(u32::MAX);
        if cx.facts.schedules.iter().any(|s| s.cores_of(&time).contains(&core)) {
            continue;
        }
        let window = (0..d.schedules.len()).find_map(|s| {
            let on = cx.facts.schedules.get(s)?.cores_of(&time);
            window_on(cx, s, &time, *on.first()?)
        });
        cx.push(
            Diagnostic::error(
                "PZ0411",
                format!("the vCPU of `{}` on core {core} can never run", p.name.value),
                entry.place,
                format!("no schedule has a window of `{time}` on core {core}"),
            )
            .counter_if(window, "a window of this partition")
            .help(format!("add a window in `core.{core}`, or delete this entry")),
        );
    }
}

/// PZ0412 and PZ0414.
fn keys_of_time(cx: &mut Ctx<'_>, at: usize) {
    let Some(p) = cx.d.partitions.get(at) else {
        return;
    };
    let name = &p.name.value;
    let time = time_partition_name(p);
    let window =
        cx.d.schedules
            .iter()
            .flat_map(|s| s.cores.iter().flat_map(|(_, w)| w))
            .find(|w| !w.absent && w.run.good().is_some_and(|r| r.value.text == time))
            .map(|w| w.place);
    if let (Some(limit), Some(window)) = (p.limit.place(), window) {
        cx.push(
            Diagnostic::error(
                "PZ0412",
                format!("`{name}` has windows and a `limit`"),
                limit,
                "a limit is for time partition 0",
            )
            .counter(window, "a window of its own")
            .help("windows limit it already; a requirement is `promise`"),
        );
    }
    if cx.facts.unclear {
        return;
    }
    if let (Some(promise), None) = (p.promise.place(), window)
        && !p.time_partition.is_written()
    {
        cx.push(
            Diagnostic::error(
                "PZ0412",
                format!("nothing keeps the promise to `{name}`: it has no window"),
                promise,
                "a promise is proved from windows",
            )
            .counter(p.table.head, "no schedule names this partition")
            .help("give it windows; in time partition 0 there is only `limit`"),
        );
    }
    if let (Field::Good(named), None) = (&p.time_partition, window) {
        let list = cx.d.schedules.first().and_then(|s| s.cores.first().map(|(c, _)| c.place).or(Some(s.table.head)));
        cx.push(
            Diagnostic::error("PZ0414", format!("the time partition `{time}` has no window"), named.place, format!("`{name}` would never run"))
                .counter_if(list, "no entry has it in `run`")
                .help(format!("a window `{{ run = \"{time}\", duration = \"1ms\" }}`, or delete the key: then it runs in time partition 0")),
        );
    }
}

/// PZ0413.
fn change_actions(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for (s, schedule) in d.schedules.iter().enumerate() {
        for (name, action) in &schedule.change_action {
            let Some((at, p)) = cx.partition(&name.value) else {
                cx.no_partition(&name.value, name.place, "its change action");
                continue;
            };
            if !["warm-start", "cold-start", "stop"].contains(&action.value.text.as_str()) {
                cx.push(
                    Diagnostic::error(
                        "PZ0901",
                        format!("`{}` is not a change action", action.value.text),
                        action.place,
                        "unknown action",
                    )
                    .counter(name.place, "what happens to this partition")
                    .note("the change actions are `warm-start`, `cold-start` and `stop`"),
                );
            }
            let runs = cx.facts.time_partition.get(at).is_none_or(|t| t.is_none())
                || cx
                    .facts
                    .schedules
                    .get(s)
                    .is_none_or(|s| s.unclear || !s.cores_of(&time_partition_name(p)).is_empty());
            if !runs {
                cx.push(
                    Diagnostic::error(
                        "PZ0413",
                        format!("`{}` does not run in `{}`", name.value, schedule.name.value),
                        name.place,
                        "a change action for it",
                    )
                    .counter(schedule.table.head, "no window here names it")
                    .help("delete the entry, or add a window"),
                );
            }
        }
    }
}

/// PZ0418 (warning): a core that windows fill, and somebody of time partition 0 on it.
fn something_left(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for (s, schedule) in d.schedules.iter().enumerate() {
        let Some(placed) = cx.facts.schedules.get(s) else {
            continue;
        };
        if placed.unclear {
            continue;
        }
        let mut found = Vec::new();
        for core in &placed.cores {
            let busy: u64 = core
                .windows
                .iter()
                .map(|w| w.duration.saturating_mul(w.starts(placed.frame).count() as u64))
                .fold(0, u64::saturating_add);
            let Some(last) = core.windows.iter().max_by_key(|w| w.start).filter(|_| busy >= placed.frame) else {
                continue;
            };
            let waits = (0..d.partitions.len()).find(|&p| {
                let zero = cx.facts.time_partition.get(p).is_some_and(Option::is_none);
                let here = cx.facts.cores.get(p).is_some_and(|c| c.contains(&core.core));
                let low = d.partitions.get(p).is_some_and(|p| p.priority.good().is_none_or(|x| x.value <= 100));
                zero && here && low
            });
            let Some(p) = waits.and_then(|p| d.partitions.get(p)) else {
                continue;
            };
            let spare = placed.frame / 10;
            let per = spare / (last.starts(placed.frame).count() as u64).max(1);
            let mut w = Diagnostic::warning(
                "PZ0418",
                format!("nothing is left on core {} for `{}`", core.core, p.name.value),
                last.duration_place.unwrap_or(last.place),
                format!("windows fill all {} of the frame", show_time(placed.frame)),
            )
            .counter(p.table.head, "in time partition 0, which gets what windows leave");
            if let Some(place) = last.duration_place.filter(|_| last.duration > per) {
                w = w.fix("leave a tenth", place, format!("\"{}\"", written_time(last.duration - per)));
            } else {
                w = w.help(format!(
                    "a shorter window in `{}`: what a window leaves goes there too, but only while its partition waits",
                    schedule.name.value
                ));
            }
            found.push(w);
        }
        cx.out.extend(found);
    }
}

/// PZ0419 (warning).
fn start_together(cx: &mut Ctx<'_>, at: usize) {
    let Some(p) = cx.d.partitions.get(at) else {
        return;
    };
    let time = time_partition_name(p);
    let mut found = None;
    for placed in cx.facts.schedules.iter().filter(|s| !s.unclear) {
        let mut first: Option<(Vec<u64>, Place, u64)> = None;
        for core in &placed.cores {
            let mine: Vec<_> = core.windows.iter().filter(|w| w.run == time && !w.absent).collect();
            let Some(w) = mine.first() else { continue };
            // When programs start, not only windows.
            let mut starts: Vec<u64> =
                mine.iter().flat_map(|w| w.starts(placed.frame).map(|s| s.saturating_add(w.pad))).collect();
            starts.sort_unstable();
            match &first {
                None => first = Some((starts, w.place, w.pad)),
                Some((expected, place, pad)) if *expected != starts => {
                    let to = expected.first().copied().unwrap_or(0);
                    found = Some(
                        Diagnostic::warning(
                            "PZ0419",
                            format!("the windows of `{}` on several cores do not start together", p.name.value),
                            w.place,
                            format!("starts at {}", show_time(starts.first().copied().unwrap_or(0))),
                        )
                        .counter(*place, format!("starts at {}", show_time(to)))
                        .help(if mine.iter().any(|w| w.pad > 0) || *pad > 0 {
                            "the same `start` and `pad`: vCPUs of one partition wait for each other otherwise"
                                .to_owned()
                        } else {
                            format!(
                                "`start = \"{}\"`: vCPUs of one partition wait for each other otherwise",
                                written_time(to)
                            )
                        }),
                    );
                }
                Some(_) => {}
            }
        }
    }
    if let Some(found) = found {
        // Several partitions may share the windows: say it once.
        if !cx.out.iter().any(|d| d.code == found.code && d.primary == found.primary) {
            cx.push(found);
        }
    }
}
