// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Schedules: windows expanded over the frame, gaps given to time partition 0.

use super::Order;
use crate::model::*;
use crate::rules::Ctx;
use crate::rules::windows::PlacedCore;

/// The frame of a system without schedules: 10 ms, all of it time partition 0.
const FRAME: u64 = 10_000_000;

pub(super) fn schedules(cx: &Ctx<'_>, order: &Order, cores: u32) -> Option<Vec<Schedule>> {
    if cx.d.schedules.is_empty() {
        return Some(vec![Schedule {
            name: "default".to_owned(),
            derived: true,
            frame: FRAME,
            cores: (0..cores).map(|core| CoreSchedule { core, windows: vec![gap(0, FRAME)] }).collect(),
            change_actions: Vec::new(),
            head: None,
        }]);
    }
    order
        .schedules
        .iter()
        .map(|name| {
            let at = cx.d.schedules.iter().position(|s| s.name.value == *name)?;
            let (written, placed) = (cx.d.schedules.get(at)?, cx.facts.schedules.get(at)?);
            let mut change_actions = Vec::new();
            for (partition, action) in &written.change_action {
                change_actions.push(ChangeRule {
                    partition: order.partition(&partition.value)?,
                    action: match action.value.text.as_str() {
                        "warm-start" => ChangeAction::WarmStart,
                        "cold-start" => ChangeAction::ColdStart,
                        _ => ChangeAction::Stop,
                    },
                });
            }
            change_actions.sort_by_key(|c| c.partition);
            let cores = (0..cores)
                .map(|core| {
                    let windows = match placed.cores.iter().find(|c| c.core == core) {
                        Some(on) => windows(order, on, placed.frame)?,
                        None => vec![gap(0, placed.frame)],
                    };
                    Some(CoreSchedule { core, windows })
                })
                .collect::<Option<Vec<_>>>()?;
            Some(Schedule {
                name: name.clone(),
                derived: false,
                frame: placed.frame,
                cores,
                change_actions,
                head: Some(written.table.head),
            })
        })
        .collect()
}

fn gap(start: u64, end: u64) -> Window {
    Window {
        start,
        duration: end - start,
        time_partition: TimePartitionIndex::ZERO,
        slack: true,
        flush: false,
        pad: 0,
        written: None,
    }
}

/// All windows of a core in the order of time, without gaps.
fn windows(order: &Order, core: &PlacedCore, frame: u64) -> Option<Vec<Window>> {
    let mut written = Vec::new();
    for w in core.windows.iter().filter(|w| w.duration > 0 && !w.absent) {
        let time_partition = order.time(&w.run)?;
        written.extend(w.starts(frame).map(|start| Window {
            start,
            duration: w.duration,
            time_partition,
            slack: w.slack,
            flush: w.flush,
            pad: w.pad,
            written: Some(w.place),
        }));
    }
    written.sort_by_key(|w| w.start);
    let mut out = Vec::new();
    let mut now = 0;
    for w in written {
        if w.start < now || w.start.checked_add(w.duration)? > frame {
            return None;
        }
        if w.start > now {
            out.push(gap(now, w.start));
        }
        now = w.start + w.duration;
        out.push(w);
    }
    if now < frame {
        out.push(gap(now, frame));
    }
    Some(out)
}
