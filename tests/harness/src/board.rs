// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The boards that the tests run on, and how QEMU plays each of them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow};

use crate::qemu::{Ending, Options};

/// A board that QEMU plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Board {
    /// QEMU's `virt` machine with EL2, a GICv3 (or v2, by option) and a PL011.
    QemuVirtAarch64,
    /// QEMU's `q35` machine with a 16550 at I/O port 0x3f8.
    QemuQ35X86_64,
}

impl Board {
    /// All boards, in the order in which tools go through them.
    pub const ALL: [Self; 2] = [Self::QemuVirtAarch64, Self::QemuQ35X86_64];

    /// The name that description files and `--board` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::QemuVirtAarch64 => "qemu-virt-aarch64",
            Self::QemuQ35X86_64 => "qemu-q35-x86_64",
        }
    }

    /// The architecture, as description files write it for `{arch}`.
    pub fn arch(self) -> &'static str {
        match self {
            Self::QemuVirtAarch64 => "aarch64",
            Self::QemuQ35X86_64 => "x86_64",
        }
    }

    /// The emulator's program.
    pub fn qemu(self) -> &'static str {
        match self {
            Self::QemuVirtAarch64 => "qemu-system-aarch64",
            Self::QemuQ35X86_64 => "qemu-system-x86_64",
        }
    }

    /// The arguments that make QEMU this machine: those of the board's `board.toml`, which users run
    /// with, and what judging needs beyond them.
    ///
    /// On aarch64 `cntfrq` makes the generic timer tick once per nanosecond, which under icount is
    /// once per instruction; its default grain is 16. On x86-64 the kernel ends QEMU by a write to
    /// the debug port.
    pub(crate) fn machine(self, options: &Options) -> Result<Vec<String>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let file = root.join("bsp").join(self.name()).join("board.toml");
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let arguments = self.arguments(&text, options);
        arguments.with_context(|| file.display().to_string())
    }

    /// The arguments, given the text of the board's `board.toml`.
    fn arguments(self, board: &str, options: &Options) -> Result<Vec<String>> {
        let board: toml::Table = toml::from_str(board)?;
        let run = board.get("run").and_then(|run| run.get("arguments"));
        let run = run.ok_or_else(|| anyhow!("`[run]` has no `arguments`"))?;
        let mut arguments: Vec<String> = run.clone().try_into()?;
        for argument in &mut arguments {
            *argument = argument.replace("{cores}", &options.cores.to_string());
            *argument = argument.replace("{gic}", &options.gic.to_string());
        }
        // The serial line is given elsewhere, and a second screenless mode would take it away.
        arguments.retain(|argument| argument != "-nographic");
        match self {
            Self::QemuVirtAarch64 => {
                let model = arguments.iter().position(|argument| argument == "-cpu");
                let model = model.and_then(|flag| arguments.get_mut(flag + 1));
                let model = model.ok_or_else(|| anyhow!("`[run]` has no `-cpu`"))?;
                if !model.contains("cntfrq=") {
                    model.push_str(",cntfrq=1000000000");
                }
            }
            Self::QemuQ35X86_64 => {
                if !arguments.iter().any(|argument| argument.contains("isa-debug-exit")) {
                    let port = "isa-debug-exit,iobase=0xf4,iosize=0x04";
                    arguments.extend(["-device".to_owned(), port.to_owned()]);
                }
            }
        }
        Ok(arguments)
    }

    /// What QEMU's exit status says about the system.
    ///
    /// On aarch64 the kernel leaves by PSCI `SYSTEM_OFF`, which is status 0. On x86-64 it writes a
    /// value `v` to the debug port, and QEMU exits with `v * 2 + 1`: 0x10 for success gives 33,
    /// 0x11 for failure gives 35. Status 0 on x86-64 is a reset or a triple fault.
    pub fn ending(self, status: Option<i32>) -> Ending {
        match (self, status) {
            (Self::QemuVirtAarch64, Some(0)) | (Self::QemuQ35X86_64, Some(33)) => Ending::Success,
            (Self::QemuQ35X86_64, Some(35)) => Ending::Failure,
            (Self::QemuQ35X86_64, Some(0)) => Ending::Reset,
            (_, Some(status)) => Ending::Emulator(status),
            (_, None) => Ending::Killed,
        }
    }
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Board {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|board| board.name() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join("` and `");
            anyhow::anyhow!("no board is called `{name}`; QEMU plays `{names}`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for board in Board::ALL {
            assert_eq!(board.name().parse::<Board>().unwrap(), board);
        }
        assert!("qemu-virt".parse::<Board>().is_err());
    }

    #[test]
    fn the_boards_own_arguments_are_completed() {
        let options = Options { cores: 2, gic: 2, ..Options::default() };
        let text = "[run]\narguments = [\"-machine\", \"virt,gic-version={gic}\", \"-cpu\", \
                    \"cortex-a57\", \"-smp\", \"{cores}\", \"-nographic\"]";
        let arguments = Board::QemuVirtAarch64.arguments(text, &options).unwrap().join(" ");
        let wanted = "-machine virt,gic-version=2 -cpu cortex-a57,cntfrq=1000000000 -smp 2";
        assert_eq!(arguments, wanted);
        assert!(Board::QemuVirtAarch64.arguments("cores = 2", &options).is_err());
        for board in Board::ALL {
            assert!(board.machine(&options).unwrap().contains(&"-m".to_owned()));
        }
    }

    #[test]
    fn exit_statuses_mean_different_things() {
        let x86 = Board::QemuQ35X86_64;
        assert_eq!(x86.ending(Some(33)), Ending::Success);
        assert_eq!(x86.ending(Some(35)), Ending::Failure);
        assert_eq!(x86.ending(Some(0)), Ending::Reset);
        assert_eq!(Board::QemuVirtAarch64.ending(Some(0)), Ending::Success);
        assert_eq!(Board::QemuVirtAarch64.ending(Some(1)), Ending::Emulator(1));
        assert_eq!(x86.ending(None), Ending::Killed);
    }
}
