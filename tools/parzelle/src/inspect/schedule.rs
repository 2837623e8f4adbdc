// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Schedules: a line per core, drawn to scale, then the windows.

use parzelle_plan::{Plan, QueueRecord, WINDOW_FLUSH, WINDOW_NO_SLACK, WindowRecord};

use super::{partition, time};

/// Characters of a frame.
const WIDTH: usize = 72;

/// Prints all schedules.
pub(super) fn print(plan: &Plan<'_>) {
    let cores = plan.cores().len();
    for (number, schedule) in plan.schedules().iter().enumerate() {
        let first = if number as u32 == plan.system.first_schedule { ", the first" } else { "" };
        println!("\nSchedule {}: frame {}{first}", schedule.name.as_str(), time(schedule.frame));
        for core in 0..cores {
            let timeline = plan.timelines().get(number * cores + core);
            let windows = timeline.and_then(|timeline| plan.windows().get(timeline.windows.range())).unwrap_or(&[]);
            println!("  core {core} |{}|", draw(plan, core, windows, schedule.frame));
            for window in windows.iter().filter(|window| window.queue != 0) {
                let name = queue(plan, core, window).map_or("?", |queue| queue.name.as_str());
                println!("    {:>10} + {:<10} {name}{}", time(window.start), time(window.duration), boundary(window));
            }
        }
    }
    println!("\nTime partitions");
    for record in plan.queues() {
        let vcpus = plan.vcpus().get(record.vcpus.range()).unwrap_or(&[]);
        let members: Vec<String> = vcpus
            .iter()
            .map(|vcpu| {
                let limit = match vcpu.budget {
                    0 => String::new(),
                    budget => format!(", {}/{}", time(budget), time(vcpu.period)),
                };
                format!("{}.{} (priority {}{limit})", partition(plan, vcpu.partition), vcpu.index, vcpu.priority)
            })
            .collect();
        println!("  core {} {:<16} {}", record.core, record.name.as_str(), members.join(", "));
    }
}

/// What is special about a window's begin and about what it leaves.
fn boundary(window: &WindowRecord) -> String {
    let mut out = String::new();
    if window.flags & WINDOW_FLUSH != 0 {
        out.push_str(", flush");
    }
    if window.pad != 0 {
        out.push_str(&format!(", pad {}", time(window.pad)));
    }
    if window.flags & WINDOW_NO_SLACK != 0 {
        out.push_str(", no slack");
    }
    out
}

fn queue<'a>(plan: &Plan<'a>, core: usize, window: &WindowRecord) -> Option<&'a QueueRecord> {
    let first = plan.cores().get(core)?.queues.first;
    plan.queues().get((first + window.queue) as usize)
}

/// Draws windows to scale; dots are time partition 0.
fn draw(plan: &Plan<'_>, core: usize, windows: &[WindowRecord], frame: u64) -> String {
    let mut line = vec!['.'; WIDTH];
    let column = |at: u64| (u128::from(at) * WIDTH as u128 / u128::from(frame.max(1))) as usize;
    for window in windows.iter().filter(|window| window.queue != 0) {
        let from = column(window.start);
        let to = column(window.start + window.duration).clamp(from + 1, WIDTH.max(from + 1));
        let name = queue(plan, core, window).map_or("", |queue| queue.name.as_str());
        let mut letters = name.chars();
        for (at, slot) in line.iter_mut().enumerate().take(to).skip(from) {
            *slot = if at == from { '[' } else { letters.next().unwrap_or('=') };
        }
    }
    line.into_iter().collect()
}
