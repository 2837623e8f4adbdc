// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Runs the smallest images that there can be, to see that the harness sees what QEMU does.

#![allow(clippy::unwrap_used, reason = "a panic is the verdict of a test")]

#[path = "qemu/image.rs"]
mod image;

use std::path::PathBuf;
use std::time::Duration;

use image::{Last, aarch64, x86_64};
use parzelle_harness::expect::Input;
use parzelle_harness::{Board, Ending, Options, Run, qemu};

/// Writes an image and runs it.
fn run(name: &str, board: Board, image: &[u8], options: &Options) -> Run {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, image).unwrap();
    let mut heard = Vec::new();
    let run = qemu::run(board, &path, options, |bytes| heard.extend_from_slice(bytes)).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), run.console.raw());
    run
}

#[test]
fn an_orderly_end_is_seen_on_both_boards() {
    let arm = aarch64("[a] hello\n", Last::Off);
    let run_arm = run("arm-off", Board::QemuVirtAarch64, &arm, &Options::default());
    assert_eq!(run_arm.ending, Ending::Success, "{}", run_arm.complaints);
    assert_eq!(run_arm.console.of("a").next().unwrap(), "hello");
    let x86 = x86_64("[a] hello\n", Last::Off);
    let run_x86 = run("x86-off", Board::QemuQ35X86_64, &x86, &Options::default());
    assert_eq!(run_x86.ending, Ending::Success, "{}", run_x86.complaints);
    assert_eq!(run_x86.console.of("a").next().unwrap(), "hello");
}

#[test]
fn a_failure_and_a_triple_fault_are_told_apart() {
    let board = Board::QemuQ35X86_64;
    let options = Options::default();
    let failed = run("x86-fail", board, &x86_64("", Last::Fail), &options);
    assert_eq!(failed.ending, Ending::Failure);
    let fault = run("x86-fault", board, &x86_64("", Last::Fault), &options);
    assert_eq!(fault.ending, Ending::Reset);
}

#[test]
fn on_aarch64_the_kernels_last_line_tells_a_failure() {
    let image = aarch64("parzelle: module failed\n", Last::Off);
    let run = run("arm-fail", Board::QemuVirtAarch64, &image, &Options::default());
    assert_eq!(run.ending, Ending::Failure);
}

#[test]
fn what_never_ends_is_ended() {
    let options = Options { timeout: Duration::from_secs(2), ..Options::default() };
    let run = run("arm-hang", Board::QemuVirtAarch64, &aarch64("x", Last::Hang), &options);
    assert_eq!(run.ending, Ending::Timeout);
    assert_eq!(run.console.raw(), "x");
    assert!(run.took < Duration::from_secs(20));
}

#[test]
fn input_is_typed_after_what_it_waits_for() {
    let input = vec![Input { after: "name? ".to_owned(), send: "P".to_owned() }];
    let options = Options { icount: false, input, ..Options::default() };
    let image = aarch64("name? ", Last::Echo);
    let run = run("arm-echo", Board::QemuVirtAarch64, &image, &options);
    assert_eq!((run.ending, run.console.raw()), (Ending::Success, "name? P"));
}

#[test]
fn an_emulator_that_refuses_says_why() {
    let options = Options { extra: vec!["-no-such-option".to_owned()], ..Options::default() };
    let image = aarch64("", Last::Off);
    let run = run("arm-refused", Board::QemuVirtAarch64, &image, &options);
    assert_eq!(run.ending, Ending::Emulator(1));
    assert!(run.complaints.contains("no-such-option"), "{}", run.complaints);
}
