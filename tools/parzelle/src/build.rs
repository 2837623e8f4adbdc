// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `parzelle build`: a description becomes an image.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use crate::assemble::{Outcome, assemble};
use crate::house;

/// What `build` takes.
#[derive(Debug, Args)]
pub(crate) struct Build {
    /// The description.
    file: PathBuf,
    /// The board; the first of the description if none is named.
    #[arg(long)]
    board: Option<String>,
    /// Where the image goes; `target/parzelle/<system>/<board>.img` otherwise.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Where a copy of the kernel's ELF file goes, with its symbols: for debuggers and traces.
    #[arg(long)]
    kernel_elf: Option<PathBuf>,
    #[command(flatten)]
    kernel: KernelOptions,
}

/// How the kernel is built.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct KernelOptions {
    /// With a kernel that measures its longest stretch with interrupts masked; it is a little
    /// slower for it.
    #[arg(long)]
    measure: bool,
    /// With a kernel that audits the page tables of all guests when the module ends (x86-64).
    #[arg(long)]
    audit: bool,
    /// For tests: runs the crate in this folder in place of the shim of guests (x86-64).
    #[arg(long, value_name = "FOLDER", hide = true)]
    shim: Option<PathBuf>,
}

impl KernelOptions {
    /// As features of the board's crate.
    pub(crate) fn features(&self) -> Vec<String> {
        let all = [(self.measure, "measure"), (self.audit, "audit")];
        all.into_iter().filter(|(is, _)| *is).map(|(_, feature)| feature.to_owned()).collect()
    }

    /// What runs in place of the shim.
    pub(crate) fn shim(&self) -> Option<&Path> {
        self.shim.as_deref()
    }
}

/// Builds and says where.
pub(crate) fn run(args: &Build) -> Result<ExitCode> {
    let path =
        image_of(&args.file, args.board.as_deref(), args.output.as_deref(), args.kernel_elf.as_deref(), &args.kernel)?;
    let Some(path) = path else {
        return Ok(ExitCode::FAILURE);
    };
    println!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the image of a description; `None` when it was refused, with all that was found printed.
pub(crate) fn image_of(
    file: &Path,
    board: Option<&str>,
    output: Option<&Path>,
    elf: Option<&Path>,
    kernel: &KernelOptions,
) -> Result<Option<PathBuf>> {
    let target = house::target(file);
    let Some(checked) = crate::describe::system(file, board)? else {
        return Ok(None);
    };
    let system = &checked.system;
    let (image, kernel) = match assemble(system, &target, kernel)? {
        Outcome::Image(image, kernel) => (image, kernel),
        Outcome::Findings(findings) => {
            checked.print(&findings);
            return Ok(None);
        }
    };
    if let Some(elf) = elf {
        std::fs::write(elf, kernel).with_context(|| elf.display().to_string())?;
    }
    let named = || target.join(&system.name.value).join(format!("{}.img", system.board.name));
    let path = output.map_or_else(named, Path::to_owned);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    crate::disks::write(system, &path)?;
    let same = std::fs::read(&path).is_ok_and(|old| old == image);
    if !same {
        std::fs::write(&path, image).with_context(|| path.display().to_string())?;
    }
    Ok(Some(path))
}
