// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Our own programs that run inside guests, each the first process of an initial file system of its own.
//!
//! ```text
//!   tests/guest/check ──cargo──▶ target/<triple>/guest/guest-check ──▶ .cache/guests/programs/<arch>/check.img
//! ```

use std::fs;

use anyhow::{Context, Result};

use super::cpio::Archive;
use super::{must, replace};
use crate::house::House;

/// The programs: the package is called `guest-` and this.
const PROGRAMS: [&str; 2] = ["bench", "check"];

/// The architectures, and the compiler's targets for static Linux programs.
const TARGETS: [(&str, &str); 2] = [("aarch64", "aarch64-unknown-linux-musl"), ("x86_64", "x86_64-unknown-linux-musl")];

/// Builds the programs for both architectures and packs each, if it has changed.
pub(crate) fn make(house: &House) -> Result<()> {
    let mut cargo = house.cargo();
    cargo.args(["build", "--quiet", "--profile", "guest"]);
    for (_, target) in TARGETS {
        cargo.args(["--target", target]);
    }
    for program in PROGRAMS {
        cargo.args(["--package", &format!("guest-{program}")]);
    }
    must(&mut cargo).context("the programs in tests/guest do not build")?;
    for (arch, target) in TARGETS {
        let folder = house.cache().join("guests/programs").join(arch);
        fs::create_dir_all(&folder)?;
        for program in PROGRAMS {
            let file = house.target().join(target).join("guest").join(format!("guest-{program}"));
            let content = fs::read(&file).with_context(|| file.display().to_string())?;
            let (image, packed) = (folder.join(format!("{program}.img")), pack(&content));
            if fs::read(&image).ok().as_ref() != Some(&packed) {
                replace(&image, &packed)?;
            }
        }
    }
    Ok(())
}

/// Packs the file system around a program.
fn pack(program: &[u8]) -> Vec<u8> {
    let mut archive = Archive::new();
    for directory in ["dev", "proc", "sys", "tmp"] {
        archive.directory(directory);
    }
    // The kernel opens /dev/console for the first process before anything is mounted.
    archive.device("dev/console", (5, 1));
    archive.device("dev/null", (1, 3));
    archive.program("init", program);
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_program_gives_the_same_bytes() {
        assert_eq!(pack(b"program"), pack(b"program"));
        assert_ne!(pack(b"program"), pack(b"other"));
    }
}
