// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `parzelle run`: starts the board's emulator with an image.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::devices::{self, Forward};
use crate::image;

/// Exit status of QEMU when an x86-64 kernel has stopped as planned: `isa-debug-exit` gives
/// 2 × value + 1, and the kernel writes 0x10.
const STOPPED: i32 = 0x10 * 2 + 1;

/// What `run` takes.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A description, or an image of `parzelle build`.
    file: PathBuf,
    /// The board; the first of the description if none is named.
    #[arg(long)]
    board: Option<String>,
    /// Give the console your keyboard; Ctrl-A X leaves.
    #[arg(long)]
    interactive: bool,
    /// Time is instructions: two runs are the same to the byte.
    #[arg(long)]
    icount: bool,
    /// So many cores instead of those that the system uses.
    #[arg(long)]
    cores: Option<u32>,
    /// What is written to disks stays there until what they are made from changes; otherwise every
    /// run begins with the disks as they were built.
    #[arg(long)]
    keep_disks: bool,
    /// Hands a port of this machine on to the system's first network card, or to the one that is
    /// named: `tcp:8080:80`, `udp:5000:10.0.2.16:7`, `nic1=tcp:2222:22`.
    #[arg(long, value_name = "[CARD=]PROTOCOL:PORT:[ADDRESS:]PORT")]
    forward: Vec<Forward>,
    #[command(flatten)]
    kernel: crate::build::KernelOptions,
}

/// Builds the image, unless it is one, and runs it.
pub(crate) fn run(args: &Run) -> Result<ExitCode> {
    let path = if args.file.extension().is_some_and(|extension| extension == "toml") {
        match crate::build::image_of(&args.file, args.board.as_deref(), None, None, &args.kernel)? {
            Some(path) => path,
            None => return Ok(ExitCode::FAILURE),
        }
    } else {
        args.file.clone()
    };
    let line = line(&path, args)?;
    let (command, arguments) = line.split_first().context("this board has no emulator")?;
    if std::io::stderr().is_terminal() {
        eprintln!(
            "parzelle: {command} plays the board; {} ends it",
            if args.interactive { "Ctrl-A X" } else { "Ctrl-C" }
        );
    }
    let status = Command::new(command)
        .args(arguments)
        .stdin(if args.interactive { Stdio::inherit() } else { Stdio::null() })
        .status()
        .with_context(|| format!("`{command}` can't be run"))?;
    Ok(match status.code() {
        Some(0 | STOPPED) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// The whole command line.
fn line(path: &Path, args: &Run) -> Result<Vec<String>> {
    let file = std::fs::read(path).with_context(|| path.display().to_string())?;
    let appendix = image::appendix(&file)?;
    let mut line = appendix.run;
    if line.is_empty() {
        return Ok(line);
    }
    if let Some(at) = line.iter().position(|argument| argument == "-nographic") {
        // A PC's firmware would then draw on the serial line: it clears the terminal and leaves it
        // without line wrap. And it would look for something to boot on a default network card.
        let silent = ["-nodefaults", "-display", "none", "-serial", "mon:stdio"];
        line.splice(at..=at, silent.map(str::to_owned));
    }
    if let Some(cores) = args.cores {
        set(&mut line, "-smp", |_| cores.to_string());
    }
    if args.icount {
        line.extend(["-icount", "shift=0,sleep=off"].map(str::to_owned));
        // One tick of the generic timer per nanosecond, hence per instruction.
        set(&mut line, "-cpu", |cpu| match cpu.starts_with("cortex") {
            true => format!("{cpu},cntfrq=1000000000"),
            false => cpu.to_owned(),
        });
    }
    line.extend(devices::arguments(&appendix.devices, path, args.keep_disks, &args.forward)?);
    line.extend(["-kernel".to_owned(), path.display().to_string()]);
    Ok(line)
}

/// Changes the value of an option.
fn set(line: &mut [String], option: &str, change: impl Fn(&str) -> String) {
    let at = line.iter().position(|argument| argument == option);
    if let Some(value) = at.and_then(|at| line.get_mut(at + 1)) {
        *value = change(value);
    }
}
