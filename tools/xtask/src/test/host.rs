// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `cargo test` over everything that runs on the host: the default members of the workspace, and the
//! libraries of programs that are otherwise for bare metal (their programs don't link here). With `--all`
//! the tests that take a million cases, too: ignored otherwise, by names that end in [`MILLION`].

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::Tally;
use crate::house::House;

/// How the names of tests end that only `--all` runs.
const MILLION: &str = "_a_million_times";
/// Whose they are: the page-table service, the kernel's calls for shims, what a shim decodes and decides, rings.
const FUZZED: [&str; 4] = ["parzelle-tables", "parzelle-arch-x86_64", "parzelle-xen", "parzelle-ring"];

/// Runs the tests with a million cases, and prints what each was.
pub(super) fn million(house: &House, tally: &mut Tally) -> Result<()> {
    let mut command = house.cargo();
    command.args(["test", "--no-fail-fast", "--profile", "million", "--lib"]);
    command.args(FUZZED.iter().flat_map(|package| ["--package", package]));
    command.args(["--", "--ignored", MILLION]);
    let text = run("host, a million times", command, tally)?;
    for name in text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... ok")) {
        println!("    {name}");
    }
    Ok(())
}

/// Runs the host tests and adds their counts.
pub(super) fn test(house: &House, tally: &mut Tally) -> Result<()> {
    let mut whole = house.cargo();
    whole.args(["test", "--no-fail-fast"]);
    let _ = run("host", whole, tally)?;
    let mut libraries = house.cargo();
    libraries.args(["test", "--no-fail-fast", "--lib"]);
    for package in house.packages().filter(|package| package.is_half_bare) {
        libraries.args(["--package", package.name]);
    }
    let _ = run("host libraries of bare programs", libraries, tally)?;
    Ok(())
}

/// Runs one `cargo test`; returns what it said.
fn run(name: &str, mut command: Command, tally: &mut Tally) -> Result<String> {
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
    Ok(text.into_owned())
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
