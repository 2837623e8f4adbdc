// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Paths through the kernel, instruction by instruction, from QEMU's execution trace.
//!
//! Under icount several cores run in turn on one clock, so that a duration says nothing about the
//! core that it was measured on. How many instructions a core executes from the entry into the
//! kernel to the way out says everything, and no other core's turn counts.
//!
//! ```text
//!   qemu -singlestep -d exec,nochain -dfilter RANGES
//!     │  Trace 0: 0x7f… [cs/pc/flags/cflags]           one line per instruction of the kernel
//!     ▼
//!   lines ──▶ Tracker, a path per core ──▶ Path { core, entry, begun, instructions }
//! ```
//! A path ends where the next one of its core begins: what runs between them is no kernel.

mod kernel;
mod select;
mod tracker;

pub use kernel::{Entry, Kernel};
pub use select::{across, between_last_calls};
pub use tracker::{Path, Tracker};

use std::io::{BufRead, BufReader, Read};
use std::path::Path as File;
use std::sync::mpsc;

use anyhow::Result;

use crate::board::Board;
use crate::qemu::{self, Options, Run};

/// Runs `image`, whose kernel is `kernel`, and hands each path to `listen` when it is over.
///
/// QEMU writes the trace to its error output, from where it is read as it comes: nothing of it is
/// kept. A trace is a hundred times slower than a run without.
pub fn run(
    board: Board,
    image: &File,
    kernel: Kernel,
    options: &Options,
    listen: impl FnMut(Path) + Send + 'static,
) -> Result<Run> {
    let mut options = options.clone();
    let ranges = kernel.traced().iter().map(|range| format!("{:#x}..{:#x}", range.start, range.end - 1));
    let filter = ranges.collect::<Vec<_>>().join(",");
    let trace = ["-singlestep", "-d", "exec,nochain", "-dfilter", &filter];
    options.extra.extend(trace.map(str::to_owned));
    qemu::run_reading(board, image, &options, |_| {}, move |errors| read(errors, kernel, listen))
}

/// As [`run`], with the paths of cores 0 and 1 in a list: for systems that end soon.
pub fn record(board: Board, image: &File, elf: &[u8], options: &Options) -> Result<(Run, Vec<Path>)> {
    let (send, received) = mpsc::channel();
    let run = run(board, image, Kernel::parse(board, elf)?, options, move |path| {
        if path.core <= 1 {
            // The receiver is there until the run is over.
            let _ = send.send(path);
        }
    })?;
    Ok((run, received.iter().collect()))
}

/// Follows the trace to its end; returns what is no trace.
fn read(trace: impl Read, kernel: Kernel, mut listen: impl FnMut(Path)) -> Vec<u8> {
    let mut tracker = Tracker::new(kernel);
    let mut trace = BufReader::with_capacity(1 << 16, trace);
    let (mut line, mut complaints) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        match trace.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                if !tracker.take(&line, &mut listen) && complaints.len() < COMPLAINTS {
                    complaints.extend_from_slice(&line);
                }
            }
        }
    }
    tracker.end(&mut listen);
    complaints
}

/// Bytes of QEMU's complaints that are kept.
const COMPLAINTS: usize = 1 << 16;
