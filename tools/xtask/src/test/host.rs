// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `cargo test` over everything that runs on the host: the default members of the workspace, and the
//! libraries of programs that are otherwise for bare metal (their programs don't link here).

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::Tally;
use crate::house::House;

/// Runs the host tests and adds their counts.
pub(super) fn test(house: &House, tally: &mut Tally) -> Result<()> {
    let mut whole = house.cargo();
    whole.args(["test", "--no-fail-fast"]);
    run("host", whole, tally)?;
    let mut libraries = house.cargo();
    libraries.args(["test", "--no-fail-fast", "--lib"]);
    for package in house.packages().filter(|package| package.is_half_bare) {
        libraries.args(["--package", package.name]);
    }
    run("host libraries of bare programs", libraries, tally)
}

/// Runs one `cargo test`.
fn run(name: &str, mut command: Command, tally: &mut Tally) -> Result<()> {
    let output = command.stderr(Stdio::inherit()).output().context("cannot start cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (passed, failed) = count(&text);
    if output.status.success() {
        println!("test {name} ... ok, {passed} tests");
    } else {
        print!("{text}");
    }
    tally.passed += passed;
    tally.failed.extend(failed.iter().map(|test| format!("host: {test}")));
    if !output.status.success() && failed.is_empty() {
        tally.note(name, Err("cargo test failed, see above".to_owned()));
    }
    Ok(())
}

/// How many tests passed, and the names of those that failed, by libtest's lines.
fn count(text: &str) -> (usize, Vec<String>) {
    let results = text.lines().filter_map(|line| line.strip_prefix("test result: "));
    let passed = results.filter_map(|result| {
        let (before, _) = result.split_once(" passed")?;
        before.rsplit(' ').next()?.parse::<usize>().ok()
    });
    let lines = text.lines().filter_map(|line| line.strip_prefix("test "));
    let failed = lines.filter_map(|line| line.strip_suffix(" ... FAILED"));
    (passed.sum(), failed.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_programs_add_up() {
        let text = "test a ... ok\n\
                    test b::c ... FAILED\n\
                    test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured\n\
                    test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured\n";
        assert_eq!(count(text), (13, vec!["b::c".to_owned()]));
    }
}
