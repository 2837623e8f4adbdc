// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Fetches the stock Debian guests: the cloud kernel and busybox, as Debian ships them.
//!
//! The packages are of another architecture than the machine, perhaps. apt is given that
//! architecture and directories of its own, so nothing of the system changes and no root is needed.
//! Where packages come from, and whose signatures count, is what the machine's own configuration says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};

use super::{initrd, must, output, replace};
use crate::house::House;

/// A guest of one architecture.
pub(super) struct Guest {
    /// The folder of its files.
    folder: &'static str,
    /// What Debian calls its architecture.
    architecture: &'static str,
    /// The package that depends on Debian's current cloud kernel.
    kernel: &'static str,
}

/// The guest of the boards with arm64 processors.
pub(super) const AARCH64: Guest = Guest { folder: "aarch64", architecture: "arm64", kernel: "linux-image-cloud-arm64" };
/// The guest of the boards with x86-64 processors.
pub(super) const X86_64: Guest = Guest { folder: "x86_64", architecture: "amd64", kernel: "linux-image-cloud-amd64" };

/// The package with a busybox that needs no libraries.
const BUSYBOX: &str = "busybox-static";

/// Makes `.cache/guests/debian-12/<folder>/{vmlinuz,initrd.img}` unless they are there.
pub(super) fn fetch(house: &House, guest: &Guest) -> Result<()> {
    let folder = house.cache().join("guests/debian-12").join(guest.folder);
    let (kernel, busybox, image) = (folder.join("vmlinuz"), folder.join("busybox"), folder.join("initrd.img"));
    if !kernel.is_file() || !busybox.is_file() {
        let apt = Apt::new(house.cache().join("apt"), guest.architecture)?;
        download(&apt, guest, &folder, &kernel, &busybox).with_context(|| {
            format!(
                "setup: cannot fetch the Debian guest ({}, {BUSYBOX} for {}) from this machine's apt \
                 sources; is it online, and are they Debian's?",
                guest.kernel, guest.architecture
            )
        })?;
        apt.remove();
    }
    let packed = initrd::pack(&fs::read(&busybox)?);
    if fs::read(&image).ok().as_ref() != Some(&packed) {
        replace(&image, &packed)?;
    }
    Ok(())
}

/// Downloads both packages and takes the two files out of them.
fn download(apt: &Apt, guest: &Guest, folder: &Path, kernel: &Path, busybox: &Path) -> Result<()> {
    eprintln!("setup: fetching Debian's {} cloud kernel and busybox, about 40 MB, once", guest.architecture);
    let complaints = apt.update()?;
    let image = apt.dependency(guest.kernel).context(match complaints.as_str() {
        "" => "the lists of packages are there".to_owned(),
        _ => format!("apt-get: {complaints}"),
    })?;
    let unpacked = apt.directory.join("unpacked");
    for package in [image.as_str(), BUSYBOX] {
        let file = apt.download(package)?;
        must(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&unpacked))?;
        eprintln!("setup: {}", file.file_name().unwrap_or_default().to_string_lossy());
    }
    fs::create_dir_all(folder)?;
    let boot = find(&unpacked.join("boot"), |name| name.starts_with("vmlinuz-"))?;
    replace(busybox, &fs::read(unpacked.join("bin/busybox"))?)?;
    replace(kernel, &fs::read(boot)?)
}

/// apt for one architecture with a directory of its own.
struct Apt {
    directory: PathBuf,
    architecture: &'static str,
}

impl Apt {
    /// Begins with an empty directory.
    fn new(directory: PathBuf, architecture: &'static str) -> Result<Self> {
        let apt = Self { directory, architecture };
        apt.remove();
        for part in ["state/lists/partial", "cache/archives/partial", "packages"] {
            fs::create_dir_all(apt.directory.join(part))?;
        }
        fs::write(apt.directory.join("status"), "")?;
        Ok(apt)
    }

    /// A command of apt that sees nothing of this machine but its list of sources.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let directories = [
            ("Dir::State", "state"),
            ("Dir::State::Lists", "state/lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
        ];
        for (key, part) in directories {
            let path = self.directory.join(part);
            command.arg("-o").arg(format!("{key}={}", path.display()));
        }
        for key in ["APT::Architecture", "APT::Architectures"] {
            command.arg("-o").arg(format!("{key}={}", self.architecture));
        }
        let settings = [
            // Root's download would drop to a user who may not write here.
            "APT::Sandbox::User=root",
            // Nobody reads descriptions here.
            "Acquire::Languages=none",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
            "Acquire::Retries=2",
        ];
        for setting in settings {
            command.args(["-o", setting]);
        }
        command.current_dir(self.directory.join("packages")).env("LC_ALL", "C");
        command
    }

    /// Reads the package lists and gives what apt complained of. One source of several may fail:
    /// what counts is whether the packages are found, and that is seen next.
    fn update(&self) -> Result<String> {
        let output = self.command("apt-get").args(["-q", "update"]).output();
        let output = output.context("cannot start apt-get")?;
        Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// The package that a meta package depends on.
    fn dependency(&self, package: &str) -> Result<String> {
        let text = output(self.command("apt-cache").args(["depends", package]))?;
        first_dependency(&text).map(str::to_owned).ok_or_else(|| anyhow!("{package} depends on no kernel:\n{text}"))
    }

    /// Downloads a package, checked by apt against the signed lists.
    fn download(&self, package: &str) -> Result<PathBuf> {
        output(self.command("apt-get").args(["-qq", "download", package]))?;
        let start = format!("{package}_");
        find(&self.directory.join("packages"), |name| name.starts_with(&start))
    }

    /// Removes what apt kept; what is left over from a failed run, too.
    fn remove(&self) {
        // If it was not there, all is well; if it cannot be removed, the next step says so.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The first kernel image among the lines of `apt-cache depends`.
fn first_dependency(text: &str) -> Option<&str> {
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    names.map(str::trim).find(|name| name.starts_with("linux-image-"))
}

/// The file in `directory` whose name fits.
fn find(directory: &Path, fits: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(&fits));
    paths.sort();
    paths.pop().ok_or_else(|| anyhow!("{} lacks the file that was expected", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_behind_the_meta_package_is_found() {
        let text = "linux-image-cloud-arm64\n  Depends: linux-image-6.1.0-50-cloud-arm64\n";
        assert_eq!(first_dependency(text), Some("linux-image-6.1.0-50-cloud-arm64"));
        assert_eq!(first_dependency("x\n  Suggests: y\n"), None);
    }
}
