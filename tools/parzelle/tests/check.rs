// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `parzelle check` and `parzelle explain` from outside: exit status and streams.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the verdict")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn parzelle(arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    Command::new(env!("CARGO_BIN_EXE_parzelle")).args(arguments).current_dir(root).output().unwrap()
}

#[test]
fn status_says_how_it_went() {
    let status = |arguments: &[&str]| parzelle(arguments).status.code();
    assert_eq!(status(&["check", "config/systems/hello.toml"]), Some(0));
    assert_eq!(status(&["check", "config/systems/speed.toml", "--deny", "warnings"]), Some(0));
    assert_eq!(status(&["check", "tests/rejects/PZ0102.toml"]), Some(1));
    assert_eq!(status(&["check", "tests/rejects/PZ0109.toml"]), Some(0));
    assert_eq!(status(&["check", "tests/rejects/PZ0109.toml", "--deny", "warnings"]), Some(1));
    assert_eq!(status(&["check", "no/such/file.toml"]), Some(2));
    assert_eq!(status(&["explain", "PZ9999"]), Some(2));
}

#[test]
fn findings_go_to_standard_error_and_json_to_standard_output() {
    let said = parzelle(&["check", "tests/rejects/PZ0402.toml"]);
    assert!(said.stdout.is_empty());
    assert!(String::from_utf8_lossy(&said.stderr).contains("error[PZ0402]"));
    let said = parzelle(&["check", "tests/rejects/PZ0402.toml", "--json"]);
    let finding = String::from_utf8_lossy(&said.stdout)
        .lines()
        .map(serde_json::from_str::<serde_json::Value>)
        .find_map(|l| l.ok().filter(|f| f["code"] == "PZ0402"))
        .unwrap();
    assert_eq!((&finding["primary"]["line"], &finding["primary"]["column"]), (&18.into(), &33.into()));
}

#[test]
fn explain_knows_the_rules() {
    let said = String::from_utf8_lossy(&parzelle(&["explain", "pz0402"]).stdout).into_owned();
    assert!(said.contains("repetitions included") && said.contains("A wrong file"));
    assert!(parzelle(&["explain"]).stdout.len() > 1000);
}

#[test]
fn whoever_stops_reading_is_not_disturbed() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_parzelle"));
    let said = command.arg("explain").stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let said = said.wait_with_output().unwrap();
    assert_eq!((said.status.code(), said.stderr), (Some(141), Vec::new()));
}
