// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Why this machine doesn't run this plan: what, where, and what would be right.

use crate::ports::PORTS_MAX;
use core::fmt;
use parzelle_abi::info::Name;
use parzelle_paging::MapError;
use parzelle_plan::PlanError;

/// Why.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// The processor lacks something.
    Processor(&'static str),
    /// The loader gave no PVH start info.
    StartInfo,
    /// There is no plan, or not a whole one.
    Plan(PlanError),
    /// It is for another architecture (ELF machine number).
    Arch(u32),
    /// It is for another board.
    Board {
        /// The plan's.
        plan: Name,
        /// This one.
        board: &'static str,
    },
    /// The kernel core's objection.
    Core(parzelle_core::Refusal),
    /// RAM that the plan uses is not there.
    Memory {
        /// What it is for.
        name: Name,
        /// Where.
        address: u64,
        /// How much.
        bytes: u64,
    },
    /// An address lies where the kernel's windows don't reach.
    Window {
        /// What it is for.
        name: Name,
        /// Where.
        address: u64,
    },
    /// A part of the image was changed.
    Segment(Name),
    /// Something of the firmware's tables is missing or broken.
    Firmware(&'static str),
    /// There are too few cores.
    Cores {
        /// In the plan.
        plan: u32,
        /// In the machine.
        found: u32,
    },
    /// The interrupt controllers lie elsewhere.
    Controller {
        /// Which.
        what: &'static str,
        /// In the plan.
        plan: u64,
        /// In the machine.
        found: u64,
    },
    /// There is no such interrupt line.
    Line {
        /// The plan's.
        line: u32,
        /// How many there are.
        lines: u32,
    },
    /// A partition has more I/O ports than a switch may open.
    Ports {
        /// Which partition.
        name: Name,
        /// How many it has.
        count: u64,
    },
    /// A write that silences a device would go to memory that isn't mapped.
    Quiesce(u64),
    /// A mapping was refused.
    Map {
        /// What was to be mapped.
        name: Name,
        /// Why not.
        error: MapError,
    },
    /// The arena is too small.
    Arena(&'static str),
    /// The clock could not be measured.
    Clock,
    /// A core did not start.
    Silent(u32),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Processor(what) => write!(f, "the processor has no {what}"),
            Refusal::StartInfo => write!(f, "there is no PVH start info; load the image by its PVH note"),
            Refusal::Plan(error) => write!(f, "{error}"),
            Refusal::Arch(arch) => write!(f, "the plan is for ELF machine {arch}, this is 62"),
            Refusal::Board { plan, board } => {
                write!(f, "the plan is for board {}, this kernel is for {board}", plan.as_str())
            }
            Refusal::Core(refusal) => write!(f, "{refusal}"),
            Refusal::Memory { name, address, bytes } => write!(
                f,
                "there is no RAM at {address:#x}, {bytes:#x} bytes, for {}: build for a board with less, or start it with more",
                name.as_str()
            ),
            Refusal::Window { name, address } => {
                write!(f, "{} at {address:#x} is beyond what the kernel reaches", name.as_str())
            }
            Refusal::Segment(name) => {
                write!(f, "the digest of {} is wrong: the image was changed", name.as_str())
            }
            Refusal::Firmware(what) => write!(f, "the firmware's {what}"),
            Refusal::Cores { plan, found } => {
                write!(f, "the plan is for {plan} cores, there are {found}")
            }
            Refusal::Controller { what, plan, found } => {
                write!(f, "the {what} is at {found:#x}, the plan says {plan:#x}")
            }
            Refusal::Line { line, lines } => {
                write!(f, "the plan uses interrupt line {line}, there are {lines}")
            }
            Refusal::Ports { name, count } => {
                write!(f, "{} has {count} I/O ports, at most {PORTS_MAX} are possible", name.as_str())
            }
            Refusal::Quiesce(address) => {
                write!(f, "the quiesce write to {address:#x} has no common kernel map")
            }
            Refusal::Map { name, error } => write!(f, "mapping {}: {error}", name.as_str()),
            Refusal::Arena(what) => write!(f, "the arena has no room for {what}"),
            Refusal::Clock => write!(f, "the clock can't be measured: the ACPI timer stands still"),
            Refusal::Silent(core) => write!(f, "core {core} did not start"),
        }
    }
}

impl From<PlanError> for Refusal {
    fn from(error: PlanError) -> Self {
        Refusal::Plan(error)
    }
}
