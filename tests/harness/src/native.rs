// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Linux on the bare board, as the measure of what it loses in a partition.

use std::path::PathBuf;

use anyhow::Result;

use crate::board::Board;
use crate::qemu::{Ending, Options, Run};

/// A Linux that has the machine to itself.
#[derive(Clone, Debug)]
pub struct Native {
    /// Its kernel, as the distribution ships it.
    pub kernel: PathBuf,
    /// Its initial file system.
    pub initrd: PathBuf,
    /// Its command line; the console is added.
    pub cmdline: String,
    /// The machine's memory, as QEMU takes it: `512M`.
    pub memory: String,
}

impl Native {
    /// The arguments that make QEMU the board, with this memory, as firmware would hand it to Linux:
    /// on aarch64 at EL1, as it finds itself in a partition.
    pub(crate) fn machine(&self, board: Board, options: &Options) -> Result<Vec<String>> {
        let mut arguments = board.machine(options)?;
        for argument in &mut arguments {
            *argument = argument.replace("virtualization=on,", "");
        }
        let console = match board {
            Board::QemuVirtAarch64 => "console=ttyAMA0",
            Board::QemuQ35X86_64 => "console=ttyS0",
        };
        // Of two memories, QEMU takes the later.
        let own = ["-m", &self.memory, "-append", &format!("{console} {}", self.cmdline), "-initrd"];
        arguments.extend(own.map(str::to_owned));
        arguments.push(self.initrd.to_string_lossy().into_owned());
        Ok(arguments)
    }

    /// Whether a run of it is over as it should be: switched off, which on x86-64 is the ending that
    /// means a reset for a kernel that reports its success.
    pub fn ended_well(&self, run: &Run) -> bool {
        matches!(run.ending, Ending::Success | Ending::Reset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_stays_what_it_is() {
        let native = Native { kernel: "k".into(), initrd: "i".into(), cmdline: "quiet".into(), memory: "64M".into() };
        for board in Board::ALL {
            let own = native.machine(board, &Options::default()).unwrap().join(" ");
            assert!(own.contains("-m 64M") && own.ends_with("quiet -initrd i"), "{own}");
            assert!(!own.contains("virtualization"));
        }
    }
}
