// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From a checked system to the bytes of an image: builds what it runs, lowers, writes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use parzelle_resolve::lower::{self, GuestFiles, Inputs};
use parzelle_resolve::model::{Arch, Partition, Program, System};

use crate::build::KernelOptions;
use crate::cargo::{Builder, Job, Kind};
use crate::house;
use crate::image::{self, KernelFile};

/// An image, or findings that only show when programs are built.
pub(crate) enum Outcome {
    /// The image's bytes, and those of the kernel's ELF file.
    Image(Vec<u8>, Vec<u8>),
    /// What is wrong with the description or its programs.
    Findings(Vec<parzelle_schema::diagnostic::Diagnostic>),
}

/// Builds the image of a system in folder `target`, with such a kernel.
pub(crate) fn assemble(system: &System, target: &Path, kernel: &KernelOptions) -> Result<Outcome> {
    let built = build(system, target, kernel)?;
    let arch = system.board.arch;
    let file = KernelFile::parse(&built.kernel, system.board.kernel_load)?;
    let loader = lower::Program::parse(&built.loader, arch).map_err(|unfit| anyhow!("the loader: {unfit:?}"))?;
    let mut findings = Vec::new();
    let mut programs = Vec::new();
    for (partition, file) in system.partitions.iter().zip(&built.programs) {
        match lower::Program::parse(file, arch) {
            Ok(program) => programs.push(program),
            Err(unfit) => findings.push(unfit.finding(partition, &system.board)),
        }
    }
    if !findings.is_empty() {
        return Ok(Outcome::Findings(findings));
    }
    let guests = system.partitions.iter().map(|partition| guest_files(partition, arch)).collect::<Result<Vec<_>>>()?;
    let inputs = Inputs { system, programs: &programs, guests: &guests, loader: &loader, kernel: file.facts() };
    match lower::lower(&inputs) {
        Ok(lowered) => Ok(Outcome::Image(write(arch, &file, &lowered, system)?, built.kernel)),
        Err(lower::Failure::Findings(findings)) => Ok(Outcome::Findings(findings)),
        Err(lower::Failure::Internal(why)) => bail!("internal error, please report it: {why}"),
    }
}

/// The image, with all that is said behind it.
fn write(arch: Arch, kernel: &KernelFile, lowered: &lower::Lowered, system: &System) -> Result<Vec<u8>> {
    image::write(arch, kernel, lowered, run_line(system), crate::devices::attached(system))
}

struct Built {
    kernel: Vec<u8>,
    loader: Vec<u8>,
    /// By partition.
    programs: Vec<Vec<u8>>,
}

fn build(system: &System, target: &Path, kernel: &KernelOptions) -> Result<Built> {
    let root = house::root();
    let board = &system.board;
    let package = format!("bsp-{}", board.name);
    let mut jobs = vec![
        Job {
            kind: Kind::Kernel,
            bin: package.clone(),
            package,
            features: kernel.features(),
            manifest: board.folder.join("Cargo.toml"),
        },
        Job {
            kind: Kind::Loader,
            package: "parzelle-loader".to_owned(),
            bin: "parzelle-loader".to_owned(),
            features: Vec::new(),
            manifest: root.join("partitions/loader/Cargo.toml"),
        },
    ];
    let shim = kernel.shim().map(package_in).transpose()?;
    jobs.extend(system.partitions.iter().filter_map(|partition| {
        let mut job = job(partition, board.arch)?;
        if let Some((package, manifest)) = shim.clone().filter(|_| job.kind == Kind::Shim) {
            (job.bin, job.package, job.manifest) = (package.clone(), package, manifest);
        }
        Some(job)
    }));
    let mut built = Builder { arch: board.arch, target: target.to_owned() }.build(&jobs)?.into_iter();
    let mut next = || built.next().context("a program was not built");
    let (kernel, loader) = (next()?, next()?);
    let programs = system
        .partitions
        .iter()
        .map(|partition| match &partition.program.value {
            Program::Crate { .. } => next(),
            Program::Elf { path } => read(path),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Built { kernel, loader, programs })
}

/// The package whose `Cargo.toml` lies in a folder: its name, and where.
fn package_in(folder: &Path) -> Result<(String, PathBuf)> {
    let manifest = folder.join("Cargo.toml");
    let manifest = manifest.canonicalize().with_context(|| manifest.display().to_string())?;
    let text = std::fs::read_to_string(&manifest)?;
    let name = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    Ok((name.with_context(|| format!("{} has no name", manifest.display()))?.to_owned(), manifest))
}

fn job(partition: &Partition, arch: Arch) -> Option<Job> {
    match &partition.program.value {
        Program::Crate { package, bin, features, manifest } => Some(Job {
            kind: match (&partition.guest, arch) {
                (Some(_), Arch::X86_64) => Kind::Shim,
                _ => Kind::Partition { fp: partition.fp.value },
            },
            package: package.clone(),
            bin: bin.clone(),
            features: features.clone(),
            manifest: manifest.clone(),
        }),
        Program::Elf { .. } => None,
    }
}

fn guest_files(partition: &Partition, arch: Arch) -> Result<GuestFiles> {
    let Some(guest) = &partition.guest else {
        return Ok(GuestFiles::default());
    };
    let initrd = guest.initrd.as_ref().map(|path: &PathBuf| read(path)).transpose()?;
    let kernel = parzelle_resolve::guest::kernel(arch, read(&guest.kernel)?);
    let kernel = kernel.map_err(|found| anyhow!("{} is {found}", guest.kernel.display()))?;
    Ok(GuestFiles { kernel, initrd: initrd.unwrap_or_default() })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

fn run_line(system: &System) -> Vec<String> {
    let run = system.board.run.as_ref();
    run.map_or(Vec::new(), |run| [vec![run.command.clone()], run.arguments.clone()].concat())
}
