// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What surrounds a description: the boards' folder, the crates that come with Parzelle, and
//! how crates are found. Tests bring their own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use parzelle_schema::text::parse_size;

/// A Cargo package that a partition may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its `Cargo.toml`.
    pub manifest: PathBuf,
    /// Its binaries.
    pub bins: Vec<String>,
    /// Its features.
    pub features: Vec<String>,
    /// `[package.metadata.parzelle]`.
    pub metadata: Metadata,
}

/// `[package.metadata.parzelle]`: what the author of a program knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Stack per vCPU, bytes.
    pub stack: Option<u64>,
    /// Whether it uses FP/SIMD. `false`: it is built for a soft-float target.
    pub fp: Option<bool>,
    /// Heap, bytes.
    pub heap: Option<u64>,
    /// Memory that its devices reach, bytes.
    pub dma_memory: Option<u64>,
    /// What it can serve with a device of its own: of [`SERVED`].
    pub serves: Vec<String>,
    /// What of it can't be taken (PZ0210): the key, and why.
    pub wrong: Vec<(String, &'static str)>,
}

/// What programs serve: disks, networks, consoles.
pub const SERVED: [&str; 3] = ["block", "network", "console"];

impl Metadata {
    /// Reads the table; without one, nothing is said.
    fn read(table: Option<&serde_json::Value>) -> Self {
        let mut it = Self::default();
        for (key, value) in table.and_then(|table| table.as_object()).into_iter().flatten() {
            let size = value.as_str().and_then(|text| parse_size(text).ok());
            let slot = match key.as_str() {
                "fp" => {
                    it.fp = value.as_bool();
                    if it.fp.is_none() {
                        it.wrong.push((key.clone(), "wants `true` or `false`"));
                    }
                    continue;
                }
                "stack" => &mut it.stack,
                "heap" => &mut it.heap,
                "dma-memory" => &mut it.dma_memory,
                "serves" => {
                    let words = value.as_array().into_iter().flatten();
                    it.serves = words.filter_map(|word| word.as_str().map(str::to_owned)).collect();
                    let known = it.serves.iter().all(|word| SERVED.contains(&word.as_str()));
                    if !known || value.as_array().is_none_or(|all| all.len() != it.serves.len()) {
                        it.wrong.push((key.clone(), "wants a list of `block`, `network` and `console`"));
                    }
                    continue;
                }
                _ => {
                    let why = "is unknown; the keys are `fp`, `stack`, `heap`, `dma-memory` and `serves`";
                    it.wrong.push((key.clone(), why));
                    continue;
                }
            };
            *slot = size;
            if size.is_none() {
                it.wrong.push((key.clone(), "wants a size such as \"64KiB\""));
            }
        }
        it
    }
}

/// How crates are found.
#[derive(Clone, Debug)]
pub enum Crates {
    /// By `cargo metadata`, in the description's workspace and then in Parzelle's own.
    Cargo,
    /// These and no others (tests).
    Fixed(Vec<Package>),
}

/// What surrounds a description.
#[derive(Debug)]
pub struct Environment {
    /// Parzelle's own source tree: the workspace with `bsp`.
    pub root: PathBuf,
    /// How crates are found.
    pub crates: Crates,
    cache: RefCell<BTreeMap<PathBuf, Result<Vec<Package>, String>>>,
}

impl Environment {
    /// Parzelle's tree at `root`, crates by Cargo.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self::with_crates(root, Crates::Cargo)
    }

    /// Parzelle's tree at `root`, crates as given.
    pub fn with_crates(root: impl Into<PathBuf>, crates: Crates) -> Self {
        Environment { root: root.into(), crates, cache: RefCell::default() }
    }

    /// The folder of boards.
    pub fn boards(&self) -> PathBuf {
        self.root.join("bsp")
    }

    /// The names of all boards.
    pub fn board_names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.boards())
            .into_iter()
            .flatten()
            .flatten()
            .filter(|e| e.path().join("board.toml").is_file())
            .filter_map(|e| e.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// The packages that a description in `folder` can name: those of the workspace around it
    /// first, then those that come with Parzelle.
    pub fn packages(&self, folder: &Path) -> Vec<Package> {
        match &self.crates {
            Crates::Fixed(all) => all.clone(),
            Crates::Cargo => {
                let mut all = self.workspace(folder).unwrap_or_default();
                for package in self.workspace(&self.root).unwrap_or_default() {
                    if !all.iter().any(|p| p.name == package.name) {
                        all.push(package);
                    }
                }
                all
            }
        }
    }

    /// Why there are no packages of the workspace around `folder`, in Cargo's words; `None` if there
    /// is nothing wrong with it.
    pub fn trouble(&self, folder: &Path) -> Option<String> {
        match &self.crates {
            Crates::Fixed(_) => None,
            Crates::Cargo => self.workspace(folder).err(),
        }
    }

    fn workspace(&self, folder: &Path) -> Result<Vec<Package>, String> {
        let key = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if let Some(known) = self.cache.borrow().get(&key) {
            return known.clone();
        }
        let found = cargo_metadata(&key);
        self.cache.borrow_mut().insert(key, found.clone());
        found
    }
}

/// Asks Cargo for the packages of the workspace around a folder; if it has none, what it says.
fn cargo_metadata(folder: &Path) -> Result<Vec<Package>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(folder)
        .output()
        .map_err(|error| format!("it can't be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.trim().trim_start_matches("error: ").to_owned());
    }
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let packages = json.get("packages").and_then(|packages| packages.as_array());
    Ok(packages.into_iter().flatten().filter_map(package).collect())
}

fn package(json: &serde_json::Value) -> Option<Package> {
    let targets = json.get("targets")?.as_array()?;
    Some(Package {
        name: json.get("name")?.as_str()?.to_owned(),
        manifest: json.get("manifest_path")?.as_str()?.into(),
        bins: targets
            .iter()
            .filter(|t| t.get("kind").and_then(|k| k.as_array()).is_some_and(|k| k.iter().any(|k| k == "bin")))
            .filter_map(|t| t.get("name")?.as_str().map(str::to_owned))
            .collect(),
        features: json
            .get("features")
            .and_then(|f| f.as_object())
            .map(|f| f.keys().cloned().collect())
            .unwrap_or_default(),
        metadata: Metadata::read(json.get("metadata").and_then(|metadata| metadata.get("parzelle"))),
    })
}
