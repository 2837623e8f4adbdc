// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Refusals: what the kernel can't honour it names, and then does not start.

use core::fmt;
use parzelle_paging::MapError;
use parzelle_plan::PlanError;

/// Why this kernel does not boot this plan on this board: what, where, what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no plan, or it is damaged.
    Plan(PlanError),
    /// The content of the plan makes no sense.
    Core(parzelle_core::Refusal),
    /// The plan is for something else: what, then what it says.
    Architecture(u32),
    /// The plan is for another board.
    Board(&'static str),
    /// The image was built for another kernel: where the plan says that it begins.
    Image { plan: u64, kernel: u64 },
    /// A part of the image was changed: its index, and where it lies.
    Segment { index: usize, address: u64 },
    /// There is no device tree, or it can't be read.
    DeviceTree(&'static str),
    /// Memory that the plan uses is not there.
    Memory { index: usize, address: u64, bytes: u64 },
    /// The plan has more cores than there are.
    Cores { plan: usize, found: usize },
    /// The first core of the device tree is not the one that boots.
    BootCore { found: u64, running: u64 },
    /// A core did not start: its number and what the firmware said.
    CoreStart { core: usize, status: i64 },
    /// Firmware calls are to be made otherwise than by SMC.
    Firmware,
    /// The interrupt controller is another one.
    IrqChip { plan: u32, found: u32 },
    /// The interrupt controller lies elsewhere: which part.
    IrqChipAddress { part: usize, plan: u64, found: u64 },
    /// There is no redistributor for a core.
    IrqChipCore(usize),
    /// An interrupt line that partitions can't have.
    Line { index: usize, line: u32 },
    /// The counter has no usable frequency.
    Counter,
    /// The arena of page tables does not suffice, or a mapping is wrong: what, where.
    Mapping { what: &'static str, address: u64, error: MapError },
    /// A context lies where no context can be.
    Context { vcpu: usize },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Refusal::Plan(error) => write!(f, "{error}"),
            Refusal::Core(error) => write!(f, "{error}"),
            Refusal::Architecture(found) => {
                write!(f, "the plan is for architecture {found}, this kernel is for 183 (aarch64)")
            }
            Refusal::Board(name) => write!(f, "the plan is for another board, this kernel is for {name}"),
            Refusal::Image { plan, kernel } => {
                write!(f, "the plan's image begins at {plan:#x}, this kernel at {kernel:#x}")
            }
            Refusal::Segment { index, address } => {
                write!(f, "segment {index} of the image, at {address:#x}, was changed: its digest is wrong")
            }
            Refusal::DeviceTree(what) => write!(f, "the device tree: {what}"),
            Refusal::Memory { index, address, bytes } => {
                write!(f, "memory {index} of the plan, {address:#x} + {bytes:#x}, is not RAM of this board")
            }
            Refusal::Cores { plan, found } => {
                write!(f, "the plan has {plan} cores, of which {found} can be used")
            }
            Refusal::BootCore { found, running } => {
                write!(f, "the device tree's first core is {found:#x}, but {running:#x} boots")
            }
            Refusal::CoreStart { core, status } => {
                write!(f, "core {core} does not start: the firmware says {status}")
            }
            Refusal::Firmware => write!(f, "the firmware can't be called: PSCI by smc is needed"),
            Refusal::IrqChip { plan, found } => {
                write!(f, "the plan has a GICv{plan}, this board a GICv{found} (0: none known)")
            }
            Refusal::IrqChipAddress { part, plan, found } => {
                write!(
                    f,
                    "part {part} of the interrupt controller is at {plan:#x} in the plan, at {found:#x} on this board"
                )
            }
            Refusal::IrqChipCore(core) => write!(f, "the interrupt controller has no part for core {core}"),
            Refusal::Line { index, line } => {
                write!(f, "line {index} of the plan: {line} is not a shared line, 32 to 1019 are")
            }
            Refusal::Counter => write!(f, "the firmware has set no frequency of the counter (CNTFRQ_EL0)"),
            Refusal::Mapping { what, address, error } => write!(f, "mapping {what} at {address:#x}: {error}"),
            Refusal::Context { vcpu } => write!(f, "the context of vCPU {vcpu} is not on a page of RAM"),
        }
    }
}
