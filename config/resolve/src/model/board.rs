// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The board: what its `board.toml` says, with the options of this system applied.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{DeviceIndex, PartitionIndex, Place};

pub use parzelle_schema::file::{Msix, Quiesce};
pub use parzelle_schema::text::{PciAddress, PciId};

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// ARMv8-A, 64 bits.
    Aarch64,
    /// x86, 64 bits.
    X86_64,
}

impl Arch {
    /// The name in files and target triples.
    pub fn name(self) -> &'static str {
        match self {
            Arch::Aarch64 => "aarch64",
            Arch::X86_64 => "x86_64",
        }
    }

    /// The name for people.
    pub fn title(self) -> &'static str {
        match self {
            Arch::Aarch64 => "aarch64",
            Arch::X86_64 => "x86-64",
        }
    }

    /// `e_machine` of its ELF files (System V ABI: `EM_AARCH64`, `EM_X86_64`).
    pub fn elf_machine(self) -> u16 {
        match self {
            Arch::Aarch64 => 183,
            Arch::X86_64 => 62,
        }
    }
}

/// Some addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// Bytes, never 0; `start + size` does not overflow.
    pub size: u64,
}

impl Region {
    /// The address after the last one.
    pub fn end(self) -> u64 {
        self.start.saturating_add(self.size)
    }

    /// Whether the two have a byte in common.
    pub fn overlaps(self, other: Region) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

/// Regions, sorted, not overlapping.
pub type IntervalSet = Vec<Region>;

/// A value of a board option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// A number, as in `gic = 3`.
    Number(i64),
    /// A word.
    Word(String),
}

/// A board.
#[derive(Clone, Debug)]
pub struct Board {
    /// The name of its folder in `bsp`.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// Its instruction set.
    pub arch: Arch,
    /// Cores that it has.
    pub cores: u32,
    /// All RAM, sorted.
    pub ram: IntervalSet,
    /// What firmware keeps of it, sorted.
    pub reserved: IntervalSet,
    /// Resolution of the schedule timer, nanoseconds.
    pub tick: u64,
    /// No window may be shorter, nanoseconds.
    pub shortest_window: u64,
    /// There is an IOMMU before the devices with `dma = "iommu"`: its kind (`vt-d`, `smmuv3`). Its
    /// registers are those of the kernel's device `iommu`.
    pub iommu: Option<String>,
    /// PCI buses, by number.
    pub buses: Vec<Bus>,
    /// The UART on which the kernel prints until a partition owns it.
    pub console: Option<DeviceIndex>,
    /// The options with the values chosen (`gic` → 3).
    pub options: BTreeMap<String, OptionValue>,
    /// Where the kernel is loaded (physical).
    pub kernel_load: u64,
    /// Registers of the interrupt controller by name (`distributor`, `redistributor`, `cpu`,
    /// `hypervisor`, `virtual-cpu` from the board's `[gic]`); empty where it is found otherwise.
    pub irqchip: BTreeMap<String, Region>,
    /// Devices of the board and of the description, by name.
    pub devices: Vec<Device>,
    /// How to start the emulator; `None` for hardware.
    pub run: Option<Run>,
    /// The value of `ram`.
    pub ram_place: Option<Place>,
}

/// A PCI bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bus {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u8,
    /// Configuration space (ECAM; PCI Express 3.0, §7.2.2), from bus 0 on: a function's 4 KiB lie at
    /// bus × 1 MiB + device × 32 KiB + function × 4 KiB.
    pub configuration: Region,
    /// Where base address registers may point.
    pub memory: Region,
}

/// What the plan knows of a PCI function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pci {
    /// Where it is; [`Board::buses`] has a bus of that number.
    pub address: PciAddress,
    /// What boot has to find there, if anything is said of it.
    pub id: Option<PciId>,
    /// Its base address registers that are used: number (0–5) and bytes, a power of two; sorted.
    pub bars: Vec<(u8, u64)>,
    /// Its message interrupts: the table lies within one of `bars`.
    pub msix: Option<Msix>,
}

/// A device.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its name, by role and number.
    pub name: String,
    /// `block`, `net`, `uart` or `other`.
    pub class: String,
    /// It is a PCI function.
    pub pci: Option<Pci>,
    /// The emulator's model of it: what stands behind `-device`.
    pub qemu: Option<String>,
    /// Registers in memory (of a PCI function: besides its base address registers).
    pub registers: Vec<Region>,
    /// Registers in the I/O space (x86-64).
    pub ports: Vec<Region>,
    /// Interrupt lines, as the interrupt controller numbers them (GIC: INTID).
    pub interrupts: Vec<u32>,
    /// Its lines signal by edges (else by level).
    pub edge: bool,
    /// What silences it.
    pub quiesce: Option<Quiesce>,
    /// Whether it reaches memory by itself.
    pub dma: Dma,
    /// The partition that owns it.
    pub owner: Option<PartitionIndex>,
    /// It belongs to the kernel (timer, interrupt controller).
    pub kernel: bool,
    /// The head of its table.
    pub head: Place,
}

/// How a device reaches memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dma {
    /// Not at all.
    None,
    /// Through an IOMMU.
    Iommu,
    /// Anywhere.
    Direct,
}

/// How to start an emulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The program.
    pub command: String,
    /// Its arguments, with `{cores}` and options (`{gic}`) filled in; the image comes after them.
    pub arguments: Vec<String>,
}
