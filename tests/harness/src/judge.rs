// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Compares a run with what was expected of it.

use serde_json::Value;

use crate::console::Transcript;
use crate::expect::{Demand, Exit};
use crate::qemu::{Ending, Run};

/// All that is wrong with a run, one sentence each; none if it is good.
pub fn judge(demand: &Demand, run: &Run) -> Vec<String> {
    let mut faults = Vec::new();
    if !ended_well(demand.exit, run.ending) {
        faults.push(format!("it ended otherwise than expected: {}", run.ending));
    }
    faults.extend(verdicts(demand.verdicts, &run.console));
    for (partition, texts) in &demand.says {
        faults.extend(missing(partition, texts, &run.console));
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

/// Whether the ending is the wanted one. On aarch64 a failure has the exit status of a success.
fn ended_well(wanted: Exit, ending: Ending) -> bool {
    match wanted {
        Exit::Success => ending == Ending::Success,
        Exit::Failure => matches!(ending, Ending::Failure | Ending::Success),
        Exit::Reset => ending == Ending::Reset,
        Exit::Timeout => ending == Ending::Timeout,
    }
}

/// Counts verdicts: every `fail` is a fault, and so are too few `pass`.
fn verdicts(wanted: usize, console: &Transcript) -> Vec<String> {
    let (passed, failed): (Vec<Value>, Vec<Value>) = console
        .reports("verdict")
        .partition(|report| report.get("verdict").and_then(Value::as_str) == Some("pass"));
    let mut faults: Vec<String> = failed
        .iter()
        .map(|report| format!("verdict {report}"))
        .collect();
    if passed.len() < wanted {
        faults.push(format!(
            "{} of {wanted} verdicts `pass` were given",
            passed.len()
        ));
    }
    faults
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
        let run = Run {
            console: Transcript::new(console),
            complaints: String::new(),
            ending,
            took: Duration::ZERO,
        };
        let expect = Expectation::parse(expect).unwrap();
        judge(&expect.demand(Board::QemuVirtAarch64), &run)
    }

    #[test]
    fn order_counts_within_a_partition_only() {
        let expect = "says.a = [\"one\", \"two\"]\nsays.b = [\"zero\"]";
        let good = "[a] one\n[a] two\n[b] zero\n";
        assert_eq!(faults(expect, good, Ending::Success), Vec::<String>::new());
        let bad = "[a] two\n[b] zero\n[a] one\n";
        assert_eq!(
            faults(expect, bad, Ending::Success),
            ["`a` does not say `two` after `one`"]
        );
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
    fn endings_and_forbidden_lines_are_judged() {
        assert_eq!(faults("", "", Ending::Timeout).len(), 1);
        assert!(faults("exit = \"timeout\"", "", Ending::Timeout).is_empty());
        assert_eq!(
            faults("never = [\"fatal\"]", "fatal: x\n", Ending::Success).len(),
            1
        );
    }
}
