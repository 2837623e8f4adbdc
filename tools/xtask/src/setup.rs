// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `cargo xtask setup`: everything that building and running needs, from the machine's own sources.
//!
//! Each step looks first and does nothing when there is nothing to do: `demo`, `test` and `bench` run
//! setup every time.

mod apt;
mod cpio;
mod guest;
mod initrd;
mod packages;
mod programs;
mod rootfs;
mod targets;
pub(crate) mod versions;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::house::House;

pub(crate) use programs::make as guest_programs;

/// Brings the machine to the point where everything else works.
pub(crate) fn run(house: &House) -> Result<()> {
    packages::install()?;
    targets::install(house)?;
    guest::fetch(house, &guest::AARCH64)?;
    guest::fetch(house, &guest::X86_64)
}

/// Runs a command to its end; its failure is an error that names it.
fn must(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}

/// Runs a command and gives what it prints; its failure is an error with what it complained of.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let program = command.get_program().to_string_lossy();
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Writes a file so that an interrupted run leaves none or a whole one.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    fs::write(&part, content).with_context(|| part.display().to_string())?;
    fs::rename(&part, path).with_context(|| path.display().to_string())
}
