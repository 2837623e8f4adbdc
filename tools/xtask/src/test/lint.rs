// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Formatting and lints, on the host, on the bare targets and on those of programs inside guests.

use std::path::Path;
use std::process::Command;

use super::Tally;
use crate::house::House;

/// The targets beside the host's, the architecture of each, and whose code is compiled for it: the kernel must not
/// touch the vector registers, which belong to the partitions.
const TARGETS: [(&str, &str, Privilege); 5] = [
    ("aarch64-unknown-none-softfloat", "aarch64", Privilege::Kernel),
    ("aarch64-unknown-none", "aarch64", Privilege::Partition),
    ("x86_64-unknown-none", "x86_64", Privilege::Both),
    ("aarch64-unknown-linux-musl", "aarch64", Privilege::Guest),
    ("x86_64-unknown-linux-musl", "x86_64", Privilege::Guest),
];

/// Whose code it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Privilege {
    Kernel,
    Partition,
    Both,
    /// A program of Linux's.
    Guest,
}

/// Where the code of each kind lies; everything else runs on the host only.
const ROOMS: [(&str, Privilege); 7] = [
    ("kernel", Privilege::Kernel),
    ("config/plan", Privilege::Kernel),
    ("bsp", Privilege::Kernel),
    ("partitions", Privilege::Partition),
    ("paravirt-linux-shim", Privilege::Partition),
    ("tests/partitions", Privilege::Partition),
    ("tests/guest", Privilege::Guest),
];

/// Checks the formatting of the whole workspace.
pub(super) fn format(house: &House) -> Result<String, String> {
    let mut command = house.cargo();
    command.args(["fmt", "--all", "--check", "--", "-l", "--color", "never"]);
    quiet(&mut command).map_err(|said| format!("run `cargo fmt --all`; these files differ:\n{said}"))
}

/// Runs clippy on the host and once per other target; a warning is an error.
pub(super) fn clippy(house: &House, tally: &mut Tally) {
    let mut host = house.cargo();
    host.args(["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]);
    tally.note("lint host", quiet(&mut host));
    for (target, arch, privilege) in TARGETS {
        let mut command = house.cargo();
        command.args(["clippy", "--quiet", "--target", target]);
        let mut any = false;
        for package in house.packages() {
            if is_for(package.directory, arch, privilege) {
                command.args(["--package", package.name]);
                any = true;
            }
        }
        command.args(["--", "-D", "warnings"]);
        if any {
            tally.note(&format!("lint {target}"), quiet(&mut command));
        }
    }
}

/// Whether the package in `directory` is compiled for this architecture and privilege.
fn is_for(directory: &Path, arch: &str, privilege: Privilege) -> bool {
    let other = if arch == "aarch64" { "x86_64" } else { "aarch64" };
    let elsewhere = directory.iter().any(|part| part.to_string_lossy().ends_with(other));
    let room = ROOMS.iter().find(|(room, _)| directory.starts_with(room));
    let is_privilege = |whose| privilege == whose || privilege == Privilege::Both && whose != Privilege::Guest;
    !elsewhere && room.is_some_and(|&(_, whose)| is_privilege(whose))
}

/// Runs a command; what it said matters only if it failed.
fn quiet(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::new());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&said).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_goes_to_its_targets() {
        let bare = |directory, arch, privilege| is_for(Path::new(directory), arch, privilege);
        assert!(bare("kernel/core", "aarch64", Privilege::Kernel));
        assert!(!bare("kernel/core", "aarch64", Privilege::Partition));
        assert!(bare("kernel/core", "x86_64", Privilege::Both));
        assert!(!bare("kernel/arch/aarch64", "x86_64", Privilege::Both));
        assert!(!bare("bsp/qemu-q35-x86_64", "aarch64", Privilege::Kernel));
        assert!(bare("partitions/examples/hello", "aarch64", Privilege::Partition));
        assert!(!bare("config/schema", "x86_64", Privilege::Both));
        assert!(bare("tests/guest/check", "x86_64", Privilege::Guest));
        assert!(!bare("tests/guest/check", "x86_64", Privilege::Both));
    }
}
