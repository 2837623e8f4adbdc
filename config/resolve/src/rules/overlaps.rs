// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Windows that meet on one core (PZ0402), with a picture of where.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::Schedule;
use parzelle_schema::text::show_time;

use super::windows::{Placed, PlacedCore};
use super::{Ctx, written_time};

/// Reports overlaps (PZ0402); whether there are any.
pub(super) fn check(cx: &mut Ctx<'_>, schedule: &Schedule, core: &PlacedCore, frame: u64) -> bool {
    let before = cx.out.len();
    for (j, b) in core.windows.iter().enumerate() {
        if b.duration > b.period && b.period < frame {
            cx.push(
                Diagnostic::error(
                    "PZ0402",
                    format!("`{}` overlaps its own next window on core {}", b.run, core.core),
                    b.duration_place.unwrap_or(b.place),
                    format!("{} long", show_time(b.duration)),
                )
                .counter_if(b.period_place, format!("again after {}", show_time(b.period))),
            );
            continue;
        }
        for a in &core.windows[..j] {
            if a.duration > a.period || a.duration == 0 {
                continue;
            }
            let clash = a
                .starts(frame)
                .flat_map(|s| b.starts(frame).map(move |t| (s, t)))
                .take(1_000_000)
                .find(|&(s, t)| s < t.saturating_add(b.duration.max(1)) && t < s.saturating_add(a.duration));
            if let Some((s, t)) = clash {
                overlap(cx, schedule, core, frame, (a, s), (b, t));
                break;
            }
        }
    }
    cx.out.len() > before
}

fn overlap(
    cx: &mut Ctx<'_>,
    schedule: &Schedule,
    core: &PlacedCore,
    frame: u64,
    (a, s): (&Placed, u64),
    (b, t): (&Placed, u64),
) {
    let (a_end, b_end) = (s.saturating_add(a.duration), t.saturating_add(b.duration));
    let a_label = match a.period_place {
        Some(_) if s > a.start => format!("`{}` starts again at {}", a.run, show_time(s)),
        _ => format!("`{}` runs from {} to {}", a.run, show_time(s), show_time(a_end)),
    };
    let a_place = if s > a.start { a.period_place } else { a.duration_place }.unwrap_or(a.place);
    let mut d = Diagnostic::error(
        "PZ0402",
        format!("`{}` and `{}` overlap on core {}", b.run, a.run, core.core),
        b.duration_place.unwrap_or(b.place),
        format!("`{}` runs from {} to {}", b.run, show_time(t), show_time(b_end)),
    )
    .counter(a_place, a_label)
    .note(format!(
        "in schedule `{}`, frame {}:\n{}",
        schedule.name.value,
        show_time(frame),
        picture(a, s, b, t, frame)
    ));
    d = match b.duration_place {
        Some(place) if s > t => d.fix(
            format!("at most {} fit before `{}`", show_time(s - t), a.run),
            place,
            format!("\"{}\"", written_time(s - t)),
        ),
        _ => d.help(format!("the earliest start after `{}` is {}", a.run, show_time(a_end))),
    };
    cx.push(d);
}

/// The two windows on a line of time, the clash as XXX.
fn picture(a: &Placed, s: u64, b: &Placed, t: u64, frame: u64) -> String {
    let runs = |w: &Placed, clash: u64| -> Vec<(u64, u64)> {
        let all: Vec<u64> = w.starts(frame).take(5).collect();
        let starts = if all.len() < 5 { all } else { vec![clash] };
        starts.into_iter().map(|s| (s, s.saturating_add(w.duration))).collect()
    };
    let (first, second) = (runs(a, s), runs(b, t));
    let mut cuts: Vec<u64> = first.iter().chain(&second).flat_map(|(s, e)| [*s, *e]).chain([0, frame]).collect();
    cuts.retain(|c| *c <= frame);
    cuts.sort_unstable();
    cuts.dedup();
    let (mut scale, mut line) = (String::new(), String::new());
    for pair in cuts.windows(2) {
        let [start, end] = pair else { continue };
        let inside = |runs: &[(u64, u64)]| runs.iter().any(|(s, e)| s <= start && end <= e);
        let (name, dash) = match (inside(&first), inside(&second)) {
            (true, true) => ("", 'X'),
            (true, false) => (a.run.as_str(), ' '),
            (false, true) => (b.run.as_str(), ' '),
            (false, false) => ("", '-'),
        };
        let mark = show_time(*start);
        let width = (name.len() + 2).max(mark.len() + 2).max(8);
        scale.push_str(&format!("{mark:width$}"));
        let rest: String = std::iter::repeat_n(dash, width - 1 - name.len()).collect();
        line.push_str(&format!("|{name}{rest}"));
    }
    format!("{scale}{}\n{line}|", show_time(frame))
}
