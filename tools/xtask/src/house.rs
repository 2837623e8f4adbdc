// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where things lie in this repository, and the two programs that everything here calls: cargo and
//! the tool `parzelle`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};
use parzelle_harness::Board;
use serde_json::Value;

/// The repository.
pub(crate) struct House {
    root: PathBuf,
    metadata: Value,
    parzelle: OnceLock<PathBuf>,
}

impl House {
    /// Finds the repository that this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).ok_or_else(|| anyhow!("no repository around xtask"))?;
        let output = cargo(root)
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start cargo")?;
        let metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
        Ok(Self { root: root.to_owned(), metadata, parzelle: OnceLock::new() })
    }

    /// A path in the repository.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Fetched things that survive `cargo clean`; ignored by git.
    pub(crate) fn cache(&self) -> PathBuf {
        self.path(".cache")
    }

    /// Cargo's target directory.
    pub(crate) fn target(&self) -> PathBuf {
        let directory = self.metadata.get("target_directory").and_then(Value::as_str);
        directory.map_or_else(|| self.path("target"), PathBuf::from)
    }

    /// Cargo, in the root of the repository.
    pub(crate) fn cargo(&self) -> Command {
        cargo(&self.root)
    }

    /// The packages of the workspace.
    pub(crate) fn packages(&self) -> impl Iterator<Item = Package<'_>> {
        let packages = self.metadata.get("packages").and_then(Value::as_array);
        packages.into_iter().flatten().filter_map(move |package| {
            let manifest = Path::new(package.get("manifest_path")?.as_str()?);
            Some(Package {
                name: package.get("name")?.as_str()?,
                directory: manifest.parent()?.strip_prefix(&self.root).ok()?,
                is_half_bare: !self.is_default(package) && has_library_tests(package),
            })
        })
    }

    /// Whether cargo works on a package that isn't named.
    fn is_default(&self, package: &Value) -> bool {
        let defaults = self.metadata.get("workspace_default_members").and_then(Value::as_array);
        defaults.into_iter().flatten().any(|id| Some(id) == package.get("id"))
    }

    /// The tool `parzelle`, built once per run of xtask.
    pub(crate) fn parzelle(&self) -> Result<Command> {
        if self.parzelle.get().is_none() {
            let built = self.build_parzelle()?;
            // Lost races are harmless: both built the same file.
            let _ = self.parzelle.set(built);
        }
        let program = self.parzelle.get().ok_or_else(|| anyhow!("`parzelle` was not built"))?;
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        Ok(command)
    }

    fn build_parzelle(&self) -> Result<PathBuf> {
        let output = self
            .cargo()
            .arg("build")
            .args(if self.target().join("debug/parzelle").exists() { &["--quiet"][..] } else { &[] })
            .args(["--package", "parzelle", "--message-format", "json-render-diagnostics"])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start cargo")?;
        if !output.status.success() {
            bail!("the tool `parzelle` does not build");
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut programs = messages.filter_map(|message| {
            let name = message.get("target")?.get("name")?.as_str()? == "parzelle";
            let path = message.get("executable")?.as_str()?;
            name.then(|| PathBuf::from(path))
        });
        programs.next_back().ok_or_else(|| anyhow!("package `parzelle` has no program `parzelle`"))
    }

    /// Builds an image as [`Self::build_image`], and reads the kernel in it, for traces.
    pub(crate) fn build_traced(&self, file: &Path, board: Board, name: &str) -> Result<Traced> {
        let elf = self.target().join("systems").join(format!("{name}-{board}.elf"));
        let image = self.build_image(file, board, name, &["--kernel-elf", &elf.to_string_lossy()])?;
        let kernel = std::fs::read(&elf).with_context(|| elf.display().to_string())?;
        Ok(Traced { image, kernel })
    }

    /// Builds the image of a description file for `board`; on failure the error is what the tool said.
    ///
    /// `extra` is handed to the tool: `--measure`, perhaps.
    pub(crate) fn build_image(&self, file: &Path, board: Board, name: &str, extra: &[&str]) -> Result<PathBuf> {
        let image = self.target().join("systems").join(format!("{name}-{board}.img"));
        if let Some(directory) = image.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let output = self
            .parzelle()?
            .arg("build")
            .arg(file)
            .args(["--board", board.name(), "-o"])
            .arg(&image)
            .args(extra)
            .output()
            .context("cannot start `parzelle`")?;
        if output.status.success() {
            return Ok(image);
        }
        let said = [output.stdout, output.stderr].concat();
        bail!("parzelle build {}:\n{}", file.display(), String::from_utf8_lossy(&said).trim_end())
    }
}

/// An image, and the ELF file of the kernel in it.
pub(crate) struct Traced {
    pub(crate) image: PathBuf,
    pub(crate) kernel: Vec<u8>,
}

/// A package of the workspace.
pub(crate) struct Package<'a> {
    pub(crate) name: &'a str,
    /// Its directory, below the root.
    pub(crate) directory: &'a Path,
    /// Its program is for bare metal only, but the tests of its library run on the host.
    pub(crate) is_half_bare: bool,
}

/// Whether a package has a library whose tests are not switched off (`test = false`).
fn has_library_tests(package: &Value) -> bool {
    let targets = package.get("targets").and_then(Value::as_array);
    targets.into_iter().flatten().any(|target| {
        let kinds = target.get("kind").and_then(Value::as_array);
        let is_library = kinds.into_iter().flatten().any(|kind| kind == "lib");
        is_library && target.get("test") == Some(&Value::Bool(true))
    })
}

/// Cargo as it called us, so that a `+toolchain` stays in force.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}
