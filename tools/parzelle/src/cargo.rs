// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Building kernels and programs with Cargo: as few runs as possible, each with the flags that make
//! the same input give the same bytes.
//!
//! ```text
//!   kind        target                               linker script
//!   kernel      aarch64-…-softfloat / x86_64-…       bsp/<board>/kernel.ld, by its build script
//!   loader      the same                             partitions/loader/loader.ld
//!   partition   aarch64-… (fp) or as above           partitions/rt/partition.ld
//!   shim        x86_64-…                             the same, from `SHIM` on
//! ```
//! On x86-64 the loader and the shim run where no 32-bit address reaches: they are compiled as
//! position-independent code, and linked for one place all the same (bsp/qemu-q35-x86_64/README.md).
//!
//! Each kind has a target folder of its own, as each has flags of its own.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use parzelle_resolve::model::Arch;

use crate::house;

/// What is built, which decides about target and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A board's kernel.
    Kernel,
    /// The loader.
    Loader,
    /// A partition's program; with FP/SIMD or without.
    Partition {
        /// It may use FP/SIMD registers.
        fp: bool,
    },
    /// The program of a guest partition on x86-64.
    Shim,
}

/// A program to be built.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) kind: Kind,
    pub(crate) package: String,
    pub(crate) bin: String,
    pub(crate) features: Vec<String>,
    /// Its `Cargo.toml`.
    pub(crate) manifest: PathBuf,
}

/// Jobs that one run of Cargo can do.
#[derive(Debug, Default)]
struct Batch {
    jobs: Vec<usize>,
}

/// Builds for one architecture, into one folder.
pub(crate) struct Builder {
    pub(crate) arch: Arch,
    /// The folder for all that is built.
    pub(crate) target: PathBuf,
}

impl Builder {
    /// Builds all jobs; returns the programs' files, as read, in the order of the jobs.
    pub(crate) fn build(&self, jobs: &[Job]) -> Result<Vec<Vec<u8>>> {
        // Programs of other features have the same names: nobody else builds until ours are read.
        std::fs::create_dir_all(&self.target).with_context(|| self.target.display().to_string())?;
        let lock = std::fs::File::create(self.target.join("lock"))?;
        lock.lock().context("the folder for builds can't be locked")?;
        let mut files: Vec<Vec<u8>> = vec![Vec::new(); jobs.len()];
        let mut workspaces: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
        let mut batches: BTreeMap<(PathBuf, Kind, usize), Batch> = BTreeMap::new();
        for (index, job) in jobs.iter().enumerate() {
            let workspace = match workspaces.get(&job.manifest) {
                Some(known) => known.clone(),
                None => {
                    let found = workspace_of(&job.manifest)?;
                    workspaces.insert(job.manifest.clone(), found.clone());
                    found
                }
            };
            // One package with two sets of features takes two runs.
            for round in 0.. {
                let batch = batches.entry((workspace.clone(), job.kind, round)).or_default();
                let other = |&&other: &&usize| jobs.get(other).is_some_and(|o| o.package == job.package);
                let same = batch.jobs.iter().find(other).and_then(|&other| jobs.get(other));
                if same.is_none_or(|same| same.features == job.features) {
                    batch.jobs.push(index);
                    break;
                }
            }
        }
        for ((workspace, kind, _), batch) in &batches {
            let batch: Vec<(usize, &Job)> =
                batch.jobs.iter().filter_map(|&index| Some((index, jobs.get(index)?))).collect();
            for (index, file) in self.run(workspace, *kind, &batch)? {
                if let Some(slot) = files.get_mut(index) {
                    *slot = file;
                }
            }
        }
        Ok(files)
    }

    /// Runs Cargo once.
    fn run(&self, workspace: &Path, kind: Kind, jobs: &[(usize, &Job)]) -> Result<Vec<(usize, Vec<u8>)>> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let folder = self.folder(workspace, kind);
        let mut command = Command::new(cargo);
        // The first time takes a minute: somebody who waits sees what for.
        let quiet = folder.is_dir() || !std::io::stderr().is_terminal();
        command
            .current_dir(workspace.parent().unwrap_or(Path::new(".")))
            .arg("build")
            .args(if quiet { &["--quiet"][..] } else { &[] })
            .args(["--profile", "bare", "--message-format", "json-render-diagnostics"])
            .args(["--target", triple(self.arch, kind)])
            .arg("--manifest-path")
            .arg(workspace)
            .arg("--target-dir")
            .arg(folder)
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags(workspace, kind)?)
            .env_remove("RUSTFLAGS")
            .stderr(Stdio::inherit());
        if workspace != house::root().join("Cargo.toml") {
            for line in ["inherits=\"release\"", "panic=\"abort\"", "lto=\"fat\"", "codegen-units=1"] {
                command.args(["--config", &format!("profile.bare.{line}")]);
            }
        }
        let mut known = std::collections::BTreeSet::new();
        for (_, job) in jobs.iter().filter(|(_, job)| known.insert((&job.package, &job.bin))) {
            command.args(["-p", &job.package, "--bin", &job.bin]);
            for feature in &job.features {
                command.args(["--features", &format!("{}/{feature}", job.package)]);
            }
        }
        let output = command.output().context("cargo can't be run")?;
        if !output.status.success() {
            let mut names: Vec<&str> = jobs.iter().map(|(_, job)| job.package.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            bail!("cargo could not build {}", names.join(", "));
        }
        let found = executables(&output.stdout);
        jobs.iter()
            .map(|&(index, job)| {
                let path = found
                    .get(&(job.manifest.clone(), job.bin.clone()))
                    .with_context(|| format!("cargo has built no program `{}`", job.bin))?;
                let file = std::fs::read(path).with_context(|| path.display().to_string())?;
                Ok((index, file))
            })
            .collect()
    }

    /// Cargo's folder. One for each set of flags: build scripts run again when flags change, and
    /// all that depends on them is built again.
    fn folder(&self, workspace: &Path, kind: Kind) -> PathBuf {
        let kind = match kind {
            Kind::Kernel => "kernel",
            Kind::Loader => "loader",
            Kind::Partition { .. } => "partitions",
            Kind::Shim => "shim",
        };
        let other = format!("{kind}-{:08x}", parzelle_plan::digest(workspace.as_os_str().as_encoded_bytes()));
        let own = workspace == house::root().join("Cargo.toml");
        self.target.join("cargo").join(if own { kind } else { &other })
    }

    /// The flags for rustc, as `CARGO_ENCODED_RUSTFLAGS` wants them.
    fn flags(&self, workspace: &Path, kind: Kind) -> Result<String> {
        let root = house::root();
        let script = match kind {
            // Its build script passes it.
            Kind::Kernel => None,
            Kind::Loader => Some(root.join("partitions/loader/loader.ld")),
            Kind::Partition { .. } | Kind::Shim => Some(root.join("partitions/rt/partition.ld")),
        };
        let mut flags = vec![format!("--remap-path-prefix={}=/parzelle", root.display())];
        if let Some(home) = cargo_home() {
            flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
        }
        if let Some(folder) = workspace.parent().filter(|folder| *folder != root) {
            flags.push(format!("--remap-path-prefix={}=/workspace", folder.display()));
        }
        if let Some(script) = script {
            flags.push(format!("-Clink-arg=-T{}", self.keep(&script)?.display()));
        }
        if kind == Kind::Shim {
            flags.push(format!("-Clink-arg=--defsym=__program_base={:#x}", parzelle_abi::x86_64::VECTORS));
        }
        match (self.arch, kind) {
            // What a kernel needs, its build script says.
            (_, Kind::Kernel) => {}
            (Arch::X86_64, Kind::Loader | Kind::Shim) => {
                flags.extend(["-Crelocation-model=pic", "-Clink-arg=--no-pie"].map(str::to_owned));
            }
            // The script says where a program lies; nobody relocates it.
            _ => flags.push("-Crelocation-model=static".to_owned()),
        }
        Ok(flags.join("\x1f"))
    }

    /// Copies a linker script to a name made of its content: Cargo, which does not look into
    /// linker scripts, then builds anew when one changes.
    fn keep(&self, script: &Path) -> Result<PathBuf> {
        let text = std::fs::read(script).with_context(|| script.display().to_string())?;
        let folder = self.target.join("link");
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let folder = folder.canonicalize()?;
        let kept = folder.join(format!("{:016x}.ld", parzelle_plan::digest(&text)));
        if !kept.is_file() {
            std::fs::write(&kept, text)?;
        }
        Ok(kept)
    }
}

/// The target triple.
fn triple(arch: Arch, kind: Kind) -> &'static str {
    match (arch, kind) {
        (Arch::Aarch64, Kind::Partition { fp: true }) => "aarch64-unknown-none",
        (Arch::Aarch64, _) => "aarch64-unknown-none-softfloat",
        (Arch::X86_64, _) => "x86_64-unknown-none",
    }
}

fn cargo_home() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// The `Cargo.toml` of the workspace around a package.
fn workspace_of(manifest: &Path) -> Result<PathBuf> {
    let root = house::root();
    if manifest.starts_with(&root) {
        return Ok(root.join("Cargo.toml"));
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["locate-project", "--workspace", "--message-format", "plain", "--manifest-path"])
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo can't be run")?;
    if !output.status.success() {
        bail!("{} is in no workspace", manifest.display());
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// The programs that Cargo reports, by manifest and name.
fn executables(messages: &[u8]) -> BTreeMap<(PathBuf, String), PathBuf> {
    let lines = messages.split(|&byte| byte == b'\n');
    let values = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    values
        .filter_map(|message| {
            let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
            let path = message.get("executable").and_then(text)?;
            let manifest = message.get("manifest_path").and_then(text)?;
            let name = message.get("target").and_then(|target| target.get("name")).and_then(text)?;
            Some(((PathBuf::from(manifest), name), PathBuf::from(path)))
        })
        .collect()
}
