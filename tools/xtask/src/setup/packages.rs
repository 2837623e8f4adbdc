// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Programs from the machine's own package manager.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::must;

/// A program that is needed: its name, the Debian package that has it, and why.
const NEEDED: [(&str, &str, &str); 5] = [
    ("qemu-system-aarch64", "qemu-system-arm", "plays the board qemu-virt-aarch64"),
    ("qemu-system-x86_64", "qemu-system-x86", "plays the board qemu-q35-x86_64"),
    ("dpkg-deb", "dpkg", "unpacks the guests' packages"),
    ("fakeroot", "fakeroot", "lets files of a guest's system belong to its root"),
    ("mke2fs", "e2fsprogs", "makes the guests' file systems"),
];

/// Installs the packages whose programs are missing, and says so.
pub(super) fn install() -> Result<()> {
    let missing: Vec<_> = NEEDED.into_iter().filter(|(program, ..)| !is_there(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages = Vec::new();
    for (program, package, why) in missing {
        eprintln!("setup: `{program}` is missing ({why}): installing the package {package}");
        packages.push(package);
    }
    if !is_there("apt-get") {
        bail!("this machine has no apt-get: install {} by hand", packages.join(", "));
    }
    must(root("apt-get")?.args(["-q", "update"]))
        .context("setup: cannot refresh the package lists; is this machine online?")?;
    // Recommended packages are displays, audio, firmware: nothing a serial line needs, and on some
    // machines they conflict with what is installed.
    must(root("apt-get")?.args(["-q", "install", "--yes", "--no-install-recommends"]).args(&packages))
        .with_context(|| format!("setup: cannot install {}", packages.join(", ")))
}

/// A command that runs as root, through sudo if we are not.
fn root(program: &str) -> Result<Command> {
    let id = super::output(Command::new("id").arg("-u"))?;
    let mut command = if id.trim() == "0" {
        Command::new(program)
    } else if is_there("sudo") {
        eprintln!("setup: this needs root: asking sudo");
        let mut command = Command::new("sudo");
        command.args(["env", "DEBIAN_FRONTEND=noninteractive", program]);
        command
    } else {
        bail!("setup: `{program}` needs root and there is no sudo: run `cargo xtask setup` as root");
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

/// Where Debian has the programs of administrators, which are on the path of root only.
const ADMINISTRATION: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Whether a program of that name lies on the path, or on that of root.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(ADMINISTRATION.map(PathBuf::from));
    folders.into_iter().any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_on_the_path() {
        assert!(is_there("sh"));
        assert!(!is_there("no-such-program-anywhere"));
    }
}
