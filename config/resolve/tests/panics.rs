// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! No text makes the checker panic, however damaged: example files with random edits.

#![allow(clippy::unwrap_used, reason = "a panic in a test is the verdict")]

mod support;

use std::path::Path;
use std::sync::LazyLock;

use parzelle_resolve::check::check_text;
use parzelle_resolve::render::{Style, json, text};
use proptest::prelude::*;

/// All example and wrong files.
static FILES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut files = Vec::new();
    for folder in ["config/systems", "tests/rejects"] {
        let mut found: Vec<_> =
            std::fs::read_dir(support::root().join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
        found.retain(|p| p.extension().is_some_and(|e| e == "toml"));
        found.sort();
        files.extend(found.iter().map(|p| std::fs::read_to_string(p).unwrap()));
    }
    files
});

/// Pieces that mean something to the checker, and some that never do.
const PIECES: [&str; 30] = [
    "",
    "\"",
    "[",
    "]",
    "{",
    "}",
    "=",
    ".",
    "\n",
    "*",
    "0",
    "99999999999999999999",
    "-1",
    "1.5",
    "\"10ms\"",
    "\"0ms\"",
    "\"1ns\"",
    "\"9223372036854775807ns\"",
    "\"16777216GiB\"",
    "\"5/10s\"",
    "\"1ms/1ns\"",
    "core.0",
    "\"\"",
    "µ",
    "\u{1F980}",
    "'''",
    "\"a.b.c\"",
    "[board.qemu-virt-aarch64]",
    "without = [\"*\"]",
    "\r\n",
];

/// Replaces the piece around a position (a word, number or string) by another.
fn edit(file: &mut String, at: usize, piece: &str, whole: bool) {
    let mut start = at % (file.len() + 1);
    while !file.is_char_boundary(start) {
        start -= 1;
    }
    let word = |c: char| c.is_alphanumeric() || c == '-' || c == '"';
    let end = if whole { file[start..].find(|c| !word(c)).map_or(file.len(), |n| start + n) } else { start };
    file.replace_range(start..end, piece);
}

fn say(file: String) {
    let outcome = check_text("x.toml", file, Path::new("tests"), &support::environment());
    let _ = (text(&outcome, Style::Plain), json(&outcome));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edited_files(which in any::<prop::sample::Index>(), edits in prop::collection::vec((any::<usize>(), 0..PIECES.len(), any::<bool>()), 1..6)) {
        let mut file = which.get(&FILES).clone();
        for (at, piece, whole) in edits {
            edit(&mut file, at, PIECES[piece], whole);
        }
        say(file);
    }

    #[test]
    fn lines_of_several_files(lines in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..40)) {
        let mut file = String::new();
        for (which, line) in lines {
            let lines: Vec<&str> = which.get(&FILES).lines().collect();
            file.push_str(lines[line.index(lines.len())]);
            file.push('\n');
        }
        say(file);
    }

    #[test]
    fn any_text(file in any::<String>()) {
        say(file);
    }
}
