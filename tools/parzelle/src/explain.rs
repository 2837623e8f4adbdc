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
            Ok(ExitCode::SUCCESS)
        }
        None => {
            eprintln!("error: no rule is called {code}; `parzelle explain` lists them");
            Ok(ExitCode::from(2))
        }
    }
}
