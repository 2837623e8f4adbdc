// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The bare-metal targets of the compiler.
//!
//! `rust-toolchain.toml` names them and rustup fetches them with the toolchain; a toolchain that was
//! installed earlier, or without rustup, may lack some.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use super::{must, output};
use crate::house::House;

/// Adds the targets that are missing.
pub(super) fn install(house: &House) -> Result<()> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]).current_dir(house.path("")))?;
    let libraries = Path::new(sysroot.trim()).join("lib/rustlib");
    for target in wanted(house)? {
        if !libraries.join(&target).is_dir() {
            eprintln!("setup: the compiler lacks the target {target}: adding it");
            must(Command::new("rustup").args(["target", "add", &target]).current_dir(house.path("")))
                .with_context(|| format!("setup: cannot add the target {target}"))?;
        }
    }
    Ok(())
}

/// The targets that `rust-toolchain.toml` names.
fn wanted(house: &House) -> Result<Vec<String>> {
    let file = house.path("rust-toolchain.toml");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let table: toml::Table = toml::from_str(&text)?;
    let targets = table.get("toolchain").and_then(|toolchain| toolchain.get("targets"));
    let targets = targets.ok_or_else(|| anyhow!("{} names no targets", file.display()))?;
    Ok(targets.clone().try_into()?)
}
