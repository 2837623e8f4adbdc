// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where things are: Parzelle's own tree, and the folder for what is built.

use std::path::{Path, PathBuf};

/// Parzelle's source tree, from which kernels, the loader and its own partitions are built: the
/// one this tool was built from, unless `PARZELLE_ROOT` names another.
pub(crate) fn root() -> PathBuf {
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_owned);
    std::env::var_os("PARZELLE_ROOT").map(PathBuf::from).or_else(here).unwrap_or_default()
}

/// Where images and their parts are built: `target/parzelle` of Parzelle's tree for its own
/// descriptions, beside the description otherwise; below `CARGO_TARGET_DIR` if that is set.
pub(crate) fn target(description: &Path) -> PathBuf {
    let root = root();
    let inside = || match (description.canonicalize(), root.canonicalize()) {
        (Ok(file), Ok(root)) if file.starts_with(&root) => root.join("target"),
        _ => description.parent().unwrap_or(Path::new("")).join("target"),
    };
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(inside, PathBuf::from).join("parzelle")
}
