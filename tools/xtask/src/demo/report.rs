// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The table at the end of the demo, from the lines that its reporter partition prints.

use parzelle_harness::Transcript;
use serde_json::Value;

use crate::table::{Table, thousands};

/// One partition's accounts. Times are in nanoseconds of the board's time.
pub(super) struct Report {
    object: Value,
}

impl Report {
    fn text(&self, key: &str) -> &str {
        self.object.get(key).and_then(Value::as_str).unwrap_or("?")
    }

    fn number(&self, key: &str) -> Option<i64> {
        self.object.get(key).and_then(Value::as_i64)
    }

    /// Whether its windows are judged.
    fn is_real_time(&self) -> bool {
        self.object.get("realtime").and_then(Value::as_bool) == Some(true)
    }

    /// A number for people; a dash if the reporter gave none.
    fn cell(&self, key: &str) -> String {
        self.number(key).map_or_else(|| "–".to_owned(), thousands)
    }

    /// Like [`Self::cell`], for what only partitions with windows have.
    fn window_cell(&self, key: &str) -> String {
        let has_windows = self.number("windows_planned").is_some_and(|planned| planned > 0);
        if has_windows { self.cell(key) } else { "–".to_owned() }
    }

    /// The share of the processor, in percent of the time that had passed.
    fn share(&self) -> String {
        match (self.number("cpu_ns"), self.number("elapsed_ns")) {
            (Some(own), Some(all)) if all > 0 => {
                format!("{:.1} %", own as f64 * 100.0 / all as f64)
            }
            _ => "–".to_owned(),
        }
    }
}

/// All reports of a console, in their order; of a partition that reported twice, the last one.
pub(super) fn collect(console: &Transcript) -> Vec<Report> {
    let mut reports: Vec<Report> = Vec::new();
    for object in console.reports("report") {
        if object.get("report").and_then(Value::as_str) != Some("partition") {
            continue;
        }
        let report = Report { object };
        match reports.iter_mut().find(|known| known.text("name") == report.text("name")) {
            Some(known) => *known = report,
            None => reports.push(report),
        }
    }
    reports
}

/// What the columns called jitter are; printed below the table.
pub(super) const LEGEND: &str =
    "jitter: from a window's start in the plan to the kernel's switch to it, in ns of the board's time";

/// The table.
pub(super) fn table(reports: &[Report]) -> String {
    let mut table = Table::new([
        "partition",
        "windows",
        "run",
        "missed",
        "jitter min",
        "median",
        "max/ns",
        "CPU",
        "messages",
        "health",
        "restarts",
    ]);
    for report in reports {
        table.row(vec![
            report.text("name").to_owned(),
            report.window_cell("windows_planned"),
            report.window_cell("windows_run"),
            report.window_cell("windows_missed"),
            report.window_cell("jitter_min_ns"),
            report.window_cell("jitter_median_ns"),
            report.window_cell("jitter_max_ns"),
            report.share(),
            report.cell("messages"),
            report.cell("health_events"),
            report.cell("restarts"),
        ]);
    }
    table.set()
}

/// The accounts of partitions by core: processor time, how much of it was others' slack, and what
/// their runs were interrupted by.
pub(super) fn accounts(console: &Transcript) -> String {
    const COUNTS: [&str; 6] = ["woken", "timer", "interrupt", "kick", "fault", "guest"];
    let [woken, timer, interrupt, kick, fault, guest] = COUNTS;
    let mut table = Table::new(["partition", "core", "CPU", "slack/µs", woken, timer, interrupt, kick, fault, guest]);
    for object in console.reports("report") {
        let account = Report { object };
        if account.text("report") == "account" {
            let micro = |key: &str| account.number(key).map_or_else(|| "–".to_owned(), |time| thousands(time / 1000));
            let first = [account.text("name").to_owned(), account.cell("core"), account.share(), micro("slack_ns")];
            let rest = COUNTS.map(|key| account.cell(key));
            table.row(first.into_iter().chain(rest).collect());
        }
    }
    table.set()
}

/// What the demo promises and these reports don't show. Where time is not judged, windows only must
/// not be lost.
pub(super) fn faults(reports: &[Report], timely: bool) -> Vec<String> {
    let mut faults = Vec::new();
    let mut judged = reports.iter().filter(|report| report.is_real_time()).peekable();
    if judged.peek().is_none() {
        faults.push("no real-time partition was reported".to_owned());
    }
    for report in judged {
        let name = report.text("name");
        let lost =
            report.number("windows_planned").zip(report.number("windows_run")).map(|(planned, run)| planned - run);
        match (report.number("windows_run"), if timely { report.number("windows_missed") } else { lost }) {
            (Some(1..), Some(0)) => {}
            (Some(1..), Some(missed)) => faults.push(format!("`{name}` missed {missed} windows")),
            _ => faults.push(format!("`{name}` had no window")),
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports(lines: &[&str]) -> Vec<Report> {
        let text: String = lines.iter().map(|line| format!("[reporter] ##{line}\n")).collect();
        collect(&Transcript::new(text))
    }

    #[test]
    fn a_missed_window_is_a_fault_for_real_time_partitions_only() {
        let good = r#"{"report":"partition","name":"a","realtime":true,"windows_planned":9,"windows_run":9,"windows_missed":0}"#;
        let bad = r#"{"report":"partition","name":"b","realtime":true,"windows_planned":9,"windows_run":8,"windows_missed":1}"#;
        let guest = r#"{"report":"partition","name":"c","realtime":false,"windows_missed":5}"#;
        assert!(faults(&reports(&[good, guest]), true).is_empty());
        assert_eq!(faults(&reports(&[good, bad]), true), ["`b` missed 1 windows"]);
        assert_eq!(faults(&reports(&[guest]), true).len(), 1);
    }

    #[test]
    fn where_time_is_not_judged_windows_may_be_late_but_not_lost() {
        let late = r#"{"report":"partition","name":"a","realtime":true,"windows_planned":9,"windows_run":9,"windows_missed":4}"#;
        let lost = r#"{"report":"partition","name":"b","realtime":true,"windows_planned":9,"windows_run":8,"windows_missed":1}"#;
        assert!(faults(&reports(&[late]), false).is_empty());
        assert_eq!(faults(&reports(&[lost]), false), ["`b` missed 1 windows"]);
    }

    #[test]
    fn shares_are_percentages() {
        let line = r#"{"report":"partition","name":"a","cpu_ns":250,"elapsed_ns":1000,"messages":1234}"#;
        let text = table(&reports(&[line, line]));
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("25.0 %") && text.contains("1 234"));
    }
}
