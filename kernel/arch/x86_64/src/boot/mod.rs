// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Boot: from the loader's hands to the first window.
//!
//! ```text
//!   boot.S      long mode, boot root
//!   find        the plan behind the image; is it whole, is it for us
//!   machine     processor, memory map, ACPI: is there what the plan uses
//!   clock       frequencies, against the ACPI timer
//!   build       memory zeroed, kernel objects, roots, cores' blocks
//!   cores       the others wake up; all agree on when time begins
//!   devices     IOMMU, what the plan sets up, interrupt lines
//! ```
//! Whatever is wrong is said on the board's console, by name; then the module ends as failed.

mod acpi;
mod build;
mod calibrate;
mod features;
mod find;
mod image;
mod physical;
mod pvh;
mod refusal;

pub(crate) use acpi::number;
pub(crate) use build::System;
pub(crate) use features::Features;
pub(crate) use image::symbol;
pub use refusal::Refusal;
pub(crate) use refusal::{ensure, same};

use crate::console::{self, Printer, print};
use crate::cores;
use crate::iommu;
use crate::power::halt;
use acpi::Acpi;
use core::convert::Infallible;
use parzelle_core::machine::Halt;
use parzelle_plan::REVISION;
use physical::BootWindow;
use pvh::StartInfo;

const NO_START_INFO: Refusal = Refusal::Sentence("there is no PVH start info;", "load the image by its PVH note");
const FIRMWARE: &str = "the firmware's";

/// A board.
pub struct Board {
    /// The name that the plan must have.
    pub name: &'static str,
    /// How it prints.
    pub print: Printer,
}

/// Boots. `start_info` is what the loader left in EBX.
pub fn boot(board: &Board, start_info: u64) -> ! {
    console::set(board.print);
    let Err(refusal) = begin(board, start_info);
    print(format_args!("parzelle: refused: {refusal}\n"));
    halt(Halt::Fail)
}

fn begin(board: &Board, start_info: u64) -> Result<Infallible, Refusal> {
    // SAFETY: `boot.S` has just loaded the boot root; other cores sleep.
    let memory = unsafe { BootWindow::new() };
    let features = features::probe()?;
    let info = StartInfo::read(&memory, start_info).ok_or(NO_START_INFO)?;
    let (plan, digest) = find::plan(&memory, image::image().data.end)?;
    find::check_identity(&plan, board.name)?;
    find::check_memory(&plan, &info)?;
    find::check_segments(&plan, &memory)?;
    find::check_ports(&plan)?;
    let acpi = Acpi::read(&memory, info.rsdp).map_err(|what| Refusal::Sentence(FIRMWARE, what))?;
    find::check_controllers(&plan, &acpi)?;
    let timer = calibrate::measure(&plan, &acpi, &features)?;
    let system = build::build(&plan, &memory, &acpi, timer, features)?;
    cores::wake(system)?;
    iommu::set_up(&plan, system.module)?;
    print(format_args!(
        "parzelle: {} on {}, partitions: {}, cores: {}, plan digest {:016x} (format {REVISION})\n",
        plan.system.name.as_str(),
        board.name,
        plan.partitions().len(),
        plan.cores().len(),
        digest,
    ));
    cores::begin(system)
}
