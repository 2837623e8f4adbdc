// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Compares a run with what was expected of it.

use serde_json::Value;

use crate::console::Transcript;
use crate::expect::{Bounds, Demand, Exit};
use crate::qemu::{Ending, Run};

/// All that is wrong with a run, one sentence each; none if it is good.
pub fn judge(demand: &Demand, run: &Run) -> Vec<String> {
    let mut faults = Vec::new();
    if !ended_well(demand.exit, run.ending) {
        faults.push(format!("it ended otherwise than expected: {}", run.ending));
    }
    faults.extend(verdicts(demand.verdicts, &run.console));
    for (partition, bounds) in &demand.report {
        faults.extend(accounts(partition, bounds, &run.console));
    }
    for (figure, &most) in &demand.bench {
        faults.extend(above(figure, most, &run.console));
    }
    for (partition, texts) in &demand.says {
        faults.extend(missing(partition, texts, &run.console));
    }
    if demand.audit {
        faults.extend(audit(&run.console));
    }
    for text in &demand.never {
        let found = run.console.raw().lines().find(|line| line.contains(text));
        faults.extend(found.map(|line| format!("`{text}` must not be printed: {line}")));
    }
    if !faults.is_empty() && !run.complaints.is_empty() {
        faults.push(format!("QEMU said: {}", run.complaints));
    }
    faults
}

/// Whether the ending is the wanted one.
fn ended_well(wanted: Exit, ending: Ending) -> bool {
    match wanted {
        Exit::Success => ending == Ending::Success,
        Exit::Failure => ending == Ending::Failure,
        Exit::Reset => ending == Ending::Reset,
        Exit::Timeout => ending == Ending::Timeout,
    }
}

/// Counts verdicts: every `fail` is a fault, and so are too few `pass`.
fn verdicts(wanted: usize, console: &Transcript) -> Vec<String> {
    let (passed, failed): (Vec<Value>, Vec<Value>) =
        console.reports("verdict").partition(|report| report.get("verdict").and_then(Value::as_str) == Some("pass"));
    let mut faults: Vec<String> = failed.iter().map(|report| format!("verdict {report}")).collect();
    if passed.len() < wanted {
        faults.push(format!("{} of {wanted} verdicts `pass` were given", passed.len()));
    }
    faults
}

/// Compares the last report about a partition with its bounds.
fn accounts(partition: &str, bounds: &Bounds, console: &Transcript) -> Vec<String> {
    let says = |report: &Value, key: &str, text: &str| report.get(key).and_then(Value::as_str) == Some(text);
    let about = |report: &Value| says(report, "report", "partition") && says(report, "name", partition);
    let Some(report) = console.reports("report").filter(about).last() else {
        return vec![format!("nobody reported about `{partition}`")];
    };
    let number = |key: &str| report.get(key).and_then(Value::as_i64);
    let jitter = number("jitter_max_ns").zip(number("jitter_min_ns")).map(|(max, min)| max - min);
    let mut faults = Vec::new();
    let mut demand = |what: &str, is: Option<i64>, bound: Option<i64>, good: fn(i64, i64) -> bool| {
        if let Some(bound) = bound
            && !is.is_some_and(|is| good(is, bound))
        {
            let is = is.map_or("unknown".to_owned(), |is| is.to_string());
            faults.push(format!("`{partition}`: {what} is {is}, the bound {bound}"));
        }
    };
    demand("windows run", number("windows_run"), bounds.windows, |is, bound| is >= bound);
    demand("windows missed", number("windows_missed"), bounds.missed, |is, bound| is <= bound);
    demand("jitter in ns", jitter, bounds.jitter_ns, |is, bound| is <= bound);
    demand("restarts", number("restarts"), bounds.restarts, |is, bound| is == bound);
    faults
}

/// What the kernel's audit of page tables has to show: it was made, and nothing was found.
fn audit(console: &Transcript) -> Vec<String> {
    let mut lines = console.raw().lines().filter(|line| line.contains("tables: audit ")).peekable();
    if lines.peek().is_none() {
        return vec!["the page tables of guests were not audited".to_owned()];
    }
    lines.filter(|line| !line.contains(", 0 findings")).map(|line| format!("the audit: {line}")).collect()
}

/// Whether a figure is missing, or more than it may be. Zero is what nobody has measured.
fn above(figure: &str, most: i64, console: &Transcript) -> Option<String> {
    let of = |report: Value| {
        let named = report.get("bench").and_then(Value::as_str) == Some(figure);
        named.then(|| report.get("instructions").and_then(Value::as_i64)).flatten()
    };
    match console.reports("bench").filter_map(of).last() {
        None | Some(0) => Some(format!("the figure `{figure}` was not measured")),
        Some(is) if is > most => Some(format!("the figure `{figure}` is {is}, the bound {most}")),
        Some(_) => None,
    }
}

/// The first of `texts` that does not come, in order, among the lines of `partition`.
fn missing(partition: &str, texts: &[String], console: &Transcript) -> Option<String> {
    let mut lines = console.of(partition);
    let mut before: Option<&String> = None;
    for text in texts {
        if !lines.any(|line| line.contains(text.as_str())) {
            let place = before.map_or_else(String::new, |before| format!(" after `{before}`"));
            return Some(format!("`{partition}` does not say `{text}`{place}"));
        }
        before = Some(text);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Board, Expectation};
    use std::time::Duration;

    fn faults(expect: &str, console: &str, ending: Ending) -> Vec<String> {
        let run = Run { console: Transcript::new(console), complaints: String::new(), ending, took: Duration::ZERO };
        let expect = Expectation::parse(expect).unwrap();
        judge(&expect.demand(Board::QemuVirtAarch64), &run)
    }

    #[test]
    fn an_audit_is_made_and_finds_nothing() {
        let run = |console: &str| Run {
            console: Transcript::new(console),
            complaints: String::new(),
            ending: Ending::Success,
            took: Duration::ZERO,
        };
        let expect = Expectation::parse("audit = true").unwrap();
        let demand = expect.demand(Board::QemuQ35X86_64);
        assert!(judge(&demand, &run("parzelle: tables: audit 9 tables, 0 findings")).is_empty());
        assert_eq!(judge(&demand, &run("")).len(), 1);
        assert_eq!(judge(&demand, &run("parzelle: tables: audit 9 tables, 1 finding: …")).len(), 1);
        assert!(!expect.demand(Board::QemuVirtAarch64).audit);
    }

    #[test]
    fn order_counts_within_a_partition_only() {
        let expect = "says.a = [\"one\", \"two\"]\nsays.b = [\"zero\"]";
        let good = "[a] one\n[a] two\n[b] zero\n";
        assert_eq!(faults(expect, good, Ending::Success), Vec::<String>::new());
        let bad = "[a] two\n[b] zero\n[a] one\n";
        assert_eq!(faults(expect, bad, Ending::Success), ["`a` does not say `two` after `one`"]);
    }

    #[test]
    fn one_fail_spoils_any_number_of_passes() {
        let pass = "[m] ##{\"verdict\":\"pass\",\"what\":\"x\"}\n";
        assert!(faults("verdicts = 2", &pass.repeat(2), Ending::Success).is_empty());
        assert_eq!(faults("verdicts = 2", pass, Ending::Success).len(), 1);
        let fail = format!("{pass}[m] ##{{\"verdict\":\"fail\",\"what\":\"y\"}}\n");
        assert_eq!(faults("verdicts = 1", &fail, Ending::Success).len(), 1);
    }

    #[test]
    fn accounts_stay_within_bounds() {
        let expect = "report.a = { windows = 9, missed = 0, jitter-ns = 300, restarts = 0 }";
        let report = |run: i64, max: i64| {
            format!(
                "[r] ##{{\"report\":\"partition\",\"name\":\"a\",\"windows_run\":{run},\
                 \"windows_missed\":0,\"jitter_min_ns\":50,\"jitter_max_ns\":{max},\"restarts\":0}}\n"
            )
        };
        assert_eq!(faults(expect, &report(9, 350), Ending::Success), Vec::<String>::new());
        assert_eq!(faults(expect, &report(8, 351), Ending::Success).len(), 2);
        assert_eq!(faults(expect, "", Ending::Success).len(), 1);
    }

    #[test]
    fn figures_stay_below_their_bounds() {
        let figure = |n: i64| format!("[b] ##{{\"bench\":\"x\",\"instructions\":{n}}}\n");
        assert!(faults("bench.x = 9", &figure(9), Ending::Success).is_empty());
        for console in [figure(10), figure(0), String::new()] {
            assert_eq!(faults("bench.x = 9", &console, Ending::Success).len(), 1, "{console}");
        }
    }

    #[test]
    fn endings_and_forbidden_lines_are_judged() {
        assert_eq!(faults("", "", Ending::Timeout).len(), 1);
        assert!(faults("exit = \"timeout\"", "", Ending::Timeout).is_empty());
        assert_eq!(faults("never = [\"fatal\"]", "fatal: x\n", Ending::Success).len(), 1);
    }
}
