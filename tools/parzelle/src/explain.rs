// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `parzelle explain CODE`: a rule, and why it exists.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use parzelle_resolve::explain::{RULES, rule};

/// What `explain` takes.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The rule, as `PZ0402`; all rules in short if none is named.
    code: Option<String>,
}

/// Explains; the status is 2 for a code that does not exist.
pub(crate) fn run(args: &Explain) -> Result<ExitCode> {
    let Some(code) = &args.code else {
        for rule in &RULES {
            println!("{}  {}", rule.code, rule.rule);
        }
        return Ok(ExitCode::SUCCESS);
    };
    match rule(code) {
        Some(rule) => {
            println!("{rule}");
            example(rule.code);
            Ok(ExitCode::SUCCESS)
        }
        None => {
            eprintln!("error: no rule is called {code}; `cargo parzelle explain` lists them");
            Ok(ExitCode::from(2))
        }
    }
}

/// Prints the wrong file of a rule and what is said about it, if this tree has its tests.
fn example(code: &str) {
    let file = crate::house::root().join("tests/rejects").join(code);
    let read = |extension: &str| std::fs::read_to_string(file.with_extension(extension));
    if let (Ok(wrong), Ok(said)) = (read("toml"), read("expected")) {
        println!("\nA wrong file:\n\n{wrong}\nWhat is said about it:\n\n{said}");
    }
}
