// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Windows: where each one lies, repetitions included (PZ0401–PZ0405, PZ0416).
//!
//! ```text
//!  frame 20 ms   { run = "a", duration = "2ms", period = "10ms" }, { run = "b", duration = "5ms" }
//!  0    2        7          10   12                20
//!  |a   |b       |          |a   |                 |
//! ```

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::{Schedule, Window};
use parzelle_schema::source::{At, Place};
use parzelle_schema::text::show_time;

use super::{Ctx, boundaries, overlaps, written_time};

/// A window is repeated at most so often in a frame: the plan lists each repetition.
const REPETITIONS: u64 = 10_000;

/// A window of the file with its times.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// Its time partition.
    pub(crate) run: String,
    /// The entry.
    pub(crate) place: Place,
    /// Start of the first repetition.
    pub(crate) start: u64,
    /// Duration.
    pub(crate) duration: u64,
    /// Distance of repetitions; the frame, if it is not repeated.
    pub(crate) period: u64,
    /// The value of `duration`.
    pub(crate) duration_place: Option<Place>,
    /// `period = "…"`.
    pub(crate) period_place: Option<Place>,
    /// Time partition 0 gets what it leaves.
    pub(crate) slack: bool,
    /// Its begin empties caches.
    pub(crate) flush: bool,
    /// So long after each start nobody runs.
    pub(crate) pad: u64,
    /// The value of `flush`.
    pub(crate) flush_place: Option<Place>,
    /// The value of `pad`.
    pub(crate) pad_place: Option<Place>,
    /// Its partition does not exist on this board: nobody's time.
    pub(crate) absent: bool,
}

impl Placed {
    /// The starts of all repetitions in a frame.
    pub(crate) fn starts(&self, frame: u64) -> impl Iterator<Item = u64> + '_ {
        let count = frame.checked_div(self.period).unwrap_or(1).clamp(1, 100_000);
        (0..count).map(|n| self.start.saturating_add(n.saturating_mul(self.period)))
    }
}

/// The windows of one core.
#[derive(Clone, Debug)]
pub(crate) struct PlacedCore {
    /// The core.
    pub(crate) core: u32,
    /// In the order of the file.
    pub(crate) windows: Vec<Placed>,
    /// Some window's times are unclear: don't conclude anything from gaps.
    pub(crate) unclear: bool,
}

/// A schedule with its windows placed; `frame` 0 if it is unknown.
#[derive(Clone, Debug)]
pub(crate) struct PlacedSchedule {
    /// The frame.
    pub(crate) frame: u64,
    /// Cores in the order of the file.
    pub(crate) cores: Vec<PlacedCore>,
    /// Some window is unclear.
    pub(crate) unclear: bool,
}

/// Places all windows and reports what can't be.
pub(crate) fn check(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for schedule in &d.schedules {
        let frame = schedule.frame.good();
        if let Some(frame) = frame {
            tick(cx, frame);
        }
        let mut placed =
            PlacedSchedule { frame: frame.map_or(0, |f| f.value), cores: Vec::new(), unclear: schedule.incomplete };
        for (core, windows) in &schedule.cores {
            if placed.cores.iter().any(|c| c.core == core.value) {
                continue;
            }
            let done = place_core(cx, schedule, core, windows, frame);
            placed.unclear |= done.unclear;
            placed.cores.push(done);
        }
        cx.facts.schedules.push(placed);
    }
}

fn place_core(
    cx: &mut Ctx<'_>,
    schedule: &Schedule,
    core: &At<u32>,
    windows: &[Window],
    frame: Option<&At<u64>>,
) -> PlacedCore {
    let mut out = PlacedCore { core: core.value, windows: Vec::new(), unclear: frame.is_none() };
    // (start, end or None) of the entry before; None if that is unclear.
    let mut before: Option<(Option<u64>, Place)> = Some((Some(0), core.place));
    let mut open: Vec<usize> = Vec::new();
    for window in windows {
        for time in [&window.start, &window.duration, &window.period, &window.pad] {
            if let Some(at) = time.good() {
                tick(cx, at);
            }
        }
        let Some(run) = window.run.good() else {
            out.unclear = true;
            before = None;
            continue;
        };
        let start = match (&window.start.good(), &before) {
            (Some(at), _) => Some(at.value),
            (None, _) if window.start.is_written() => None,
            (None, Some((Some(end), _))) => Some(*end),
            (None, Some((None, open))) => {
                cx.push(
                    Diagnostic::error(
                        "PZ0405",
                        format!("it is not clear where the window of `{}` starts", run.value.text),
                        window.place,
                        "no `start`",
                    )
                    .counter(*open, "the entry before has no `duration`")
                    .help("write `duration` in the one, or `start` in the other"),
                );
                None
            }
            (None, None) => None,
        };
        let duration = window.duration.good().map(|d| d.value);
        let (Some(start), false) = (start, window.is_unclear()) else {
            out.unclear = true;
            before = None;
            continue;
        };
        before = Some((duration.map(|d| start.saturating_add(d)), window.place));
        let mut period = frame.map_or(0, |f| f.value);
        if let (Some(at), Some(frame)) = (window.period.good(), frame) {
            if frame.value / at.value > REPETITIONS {
                often(cx, at, frame);
                out.unclear = true;
                continue;
            } else if frame.value.is_multiple_of(at.value) {
                period = at.value;
            } else {
                divides(cx, schedule, at, frame);
                out.unclear = true;
                continue;
            }
        }
        if duration.is_none() {
            open.push(out.windows.len());
        }
        out.windows.push(Placed {
            run: run.value.text.clone(),
            place: window.place,
            start,
            duration: duration.unwrap_or(0),
            period,
            duration_place: window.duration.place(),
            period_place: window.period_line,
            slack: window.slack.good().is_none_or(|slack| slack.value),
            flush: window.flush.good().is_some_and(|flush| flush.value),
            pad: window.pad.good().map_or(0, |pad| pad.value),
            flush_place: window.flush.place(),
            pad_place: window.pad.place(),
            absent: window.absent,
        });
    }
    let Some(frame) = frame else { return out };
    fill(&mut out, &open, frame.value);
    for at in 0..out.windows.len() {
        single(cx, schedule, &mut out, at, frame);
    }
    boundaries::check(cx, &mut out);
    out.unclear |= overlaps::check(cx, schedule, &out, frame.value);
    out
}

/// Gives each window without `duration` the time up to the next window.
fn fill(core: &mut PlacedCore, open: &[usize], frame: u64) {
    for &at in open {
        let Some(mine) = core.windows.get(at) else {
            continue;
        };
        let start = mine.start;
        let next = core
            .windows
            .iter()
            .flat_map(|w| w.starts(frame))
            .filter(|s| *s > start)
            .min()
            .unwrap_or(frame)
            .min(frame.max(start));
        if let Some(w) = core.windows.get_mut(at) {
            w.duration = next - start;
        }
    }
}

fn single(cx: &mut Ctx<'_>, schedule: &Schedule, core: &mut PlacedCore, at: usize, frame: &At<u64>) {
    let Some(w) = core.windows.get(at).cloned() else {
        return;
    };
    let last = w.starts(frame.value).last().unwrap_or(w.start);
    let end = last.saturating_add(w.duration);
    // A window longer than its own period is said by the overlap (PZ0402).
    if (end > frame.value || last >= frame.value) && (w.duration <= w.period || w.period == frame.value) {
        core.unclear = true;
        let room = frame.value.saturating_sub(last);
        let mut d = Diagnostic::error(
            "PZ0401",
            format!("the window of `{}` ends {} after the frame", w.run, show_time(end - frame.value)),
            w.duration_place.unwrap_or(w.place),
            format!("from {} to {}", show_time(last), show_time(end)),
        )
        .counter(frame.place, format!("the frame of `{}` ends here", schedule.name.value));
        d = match (w.duration_place, room) {
            (Some(place), room) if room > 0 => {
                d.fix(format!("at most {} fit", show_time(room)), place, format!("\"{}\"", written_time(room)))
            }
            _ => d.help("start it earlier, or make the frame longer"),
        };
        cx.push(d);
    }
    if let Some(shortest) = cx.board.shortest_window.good()
        && w.duration > 0
        && w.duration < shortest.value
    {
        let line = cx.board.line("shortest-window").unwrap_or(shortest.place);
        let mut d = Diagnostic::error(
            "PZ0404",
            format!("the window of `{}` is too short for `{}`", w.run, cx.board_name),
            w.duration_place.unwrap_or(w.place),
            format!("{} long", show_time(w.duration)),
        )
        .counter(line, "no window on this board is shorter");
        if let Some(place) = w.duration_place {
            d = d.fix("the shortest window", place, format!("\"{}\"", written_time(shortest.value)));
        }
        cx.push(d);
    }
}

/// PZ0007: so many repetitions that the plan would be all windows.
fn often(cx: &mut Ctx<'_>, period: &At<u64>, frame: &At<u64>) {
    cx.push(
        Diagnostic::error(
            "PZ0007",
            format!("a window is repeated at most {REPETITIONS} times in a frame"),
            period.place,
            format!("{} times", frame.value / period.value.max(1)),
        )
        .counter(frame.place, "the frame")
        .help("a shorter frame: it is repeated for ever"),
    );
}

fn divides(cx: &mut Ctx<'_>, schedule: &Schedule, period: &At<u64>, frame: &At<u64>) {
    let n = (frame.value / period.value.max(1)).max(1);
    let mut near: Vec<u64> = (n.saturating_sub(8).max(1)..=n.saturating_add(8))
        .filter(|k| frame.value.is_multiple_of(*k))
        .map(|k| frame.value / k)
        .collect();
    near.sort_by_key(|p| p.abs_diff(period.value));
    let mut d = Diagnostic::error(
        "PZ0403",
        format!("a period of {} does not divide the frame of `{}`", show_time(period.value), schedule.name.value),
        period.place,
        "not a whole number of times in the frame",
    )
    .counter(frame.place, "the frame");
    if let Some(first) = near.first() {
        d = d.fix("the nearest that does", period.place, format!("\"{}\"", written_time(*first)));
    }
    cx.push(d);
}

fn tick(cx: &mut Ctx<'_>, time: &At<u64>) {
    let Some(tick) = cx.board.tick.good() else {
        return;
    };
    if tick.value == 0 || time.value.is_multiple_of(tick.value) {
        return;
    }
    let rounded = (time.value.saturating_add(tick.value / 2) / tick.value).max(1).saturating_mul(tick.value);
    let line = cx.board.line("tick").unwrap_or(tick.place);
    let d = Diagnostic::error(
        "PZ0416",
        format!("{} is not a multiple of the timer's tick on `{}`", show_time(time.value), cx.board_name),
        time.place,
        "the timer can't be set so exactly",
    )
    .counter(line, "the tick of this board")
    .fix("rounded", time.place, format!("\"{}\"", written_time(rounded)));
    cx.push(d);
}
