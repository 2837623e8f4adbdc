// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Debian's package manager, used on the side: for another architecture or suite than the machine's.
//!
//! apt is given that architecture and directories of its own, so nothing of the system changes and
//! no root is needed. Where packages come from, and whose signatures count, is what the machine's own
//! configuration says; for other suites, the same servers, and the keys of Debian's archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use super::output;
use crate::house::House;

/// The public keys of all of Debian's suites (package debian-archive-keyring).
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Whether packages may be newer than their suite's last release: backports are, but have no updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Updates {
    With,
    Without,
}

/// apt for one architecture with a directory of its own.
pub(super) struct Apt {
    pub(super) directory: PathBuf,
    architecture: &'static str,
    /// Whether it has a list of sources of its own.
    has_sources: bool,
}

impl Apt {
    /// Begins with an empty directory.
    pub(super) fn new(house: &House, architecture: &'static str) -> Result<Self> {
        let apt = Self { directory: house.cache().join("apt"), architecture, has_sources: false };
        apt.remove();
        for part in ["state/lists/partial", "cache/archives/partial", "packages"] {
            fs::create_dir_all(apt.directory.join(part))?;
        }
        fs::write(apt.directory.join("status"), "")?;
        Ok(apt)
    }

    /// Looks for packages in another suite of the servers that the machine's own packages come from.
    pub(super) fn of_suite(mut self, suite: &str, updates: Updates) -> Result<Self> {
        let own = std::fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
        let own = own.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        let own = own.context("this machine is no Debian: /etc/os-release names no suite")?.trim_matches('"');
        let places = output(self.command("apt-get").args(["--print-uris", "update"]))?;
        let sources = sources(&places, own, suite, updates);
        if sources.is_empty() {
            bail!("this machine's apt sources do not name Debian's suite {own}");
        }
        fs::write(self.directory.join("sources.list"), sources)?;
        self.has_sources = true;
        Ok(self)
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
        if self.has_sources {
            let list = self.directory.join("sources.list");
            command.arg("-o").arg(format!("Dir::Etc::SourceList={}", list.display()));
            command.args(["-o", "Dir::Etc::SourceParts=/dev/null"]);
        }
        command.current_dir(self.directory.join("packages")).env("LC_ALL", "C");
        command
    }

    /// Reads the package lists and gives what apt complained of. One source of several may fail:
    /// what counts is whether the packages are found, and that is seen next.
    pub(super) fn update(&self) -> Result<String> {
        let output = self.command("apt-get").args(["-q", "update"]).output();
        let output = output.context("cannot start apt-get")?;
        Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// The kernels that the versions of a meta package depend on, newest first.
    pub(super) fn kernels(&self, package: &str) -> Result<Vec<String>> {
        let text = output(self.command("apt-cache").args(["show", package]))?;
        let kernels = dependencies(&text, "linux-image-");
        if kernels.is_empty() {
            bail!("{package} depends on no kernel:\n{text}");
        }
        Ok(kernels)
    }

    /// Downloads a package, checked by apt against the signed lists.
    pub(super) fn download(&self, package: &str) -> Result<PathBuf> {
        output(self.command("apt-get").args(["-qq", "download", package]))?;
        let start = format!("{package}_");
        find(&self.directory.join("packages"), |name| name.starts_with(&start))
    }

    /// Downloads packages with all that they depend on, and gives the folder that has them.
    pub(super) fn download_all(&self, packages: &[&str]) -> Result<PathBuf> {
        let arguments = ["-qq", "--yes", "--download-only", "--no-install-recommends", "install"];
        output(self.command("apt-get").args(arguments).args(packages))?;
        Ok(self.directory.join("cache/archives"))
    }

    /// Removes what apt kept; what is left over from a failed run, too.
    pub(super) fn remove(&self) {
        // If it was not there, all is well; if it cannot be removed, the next step says so.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The list of sources of `suite`, given the files that apt would read for the machine's own suite.
fn sources(places: &str, own: &str, suite: &str, updates: Updates) -> String {
    // 'http://server/debian/dists/bookworm-security/InRelease' and more
    let places = places.lines().filter_map(|line| line.strip_prefix('\'')?.split_once("/dists/"));
    let mut list = String::new();
    for (server, rest) in places {
        let kind = rest.split_once("/InRelease'").and_then(|(named, _)| named.strip_prefix(own));
        if let Some(kind @ ("" | "-updates" | "-security")) = kind
            && (kind.is_empty() || updates == Updates::With)
        {
            list.push_str(&format!("deb [signed-by={KEYS}] {server} {suite}{kind} main\n"));
        }
    }
    list
}

/// The packages whose names begin with `start`, of the fields `Depends`, in their order.
pub(super) fn dependencies(text: &str, start: &str) -> Vec<String> {
    let fields = text.lines().filter_map(|line| line.strip_prefix("Depends: "));
    let names = fields.flat_map(|field| field.split(',')).filter_map(|item| item.split_whitespace().next());
    let mut found: Vec<String> = Vec::new();
    for name in names.filter(|name| name.starts_with(start)) {
        if !found.iter().any(|known| known == name) {
            found.push(name.to_owned());
        }
    }
    found
}

/// The file in `directory` whose name fits.
pub(super) fn find(directory: &Path, fits: impl Fn(&str) -> bool) -> Result<PathBuf> {
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
    fn the_kernels_behind_a_meta_package_are_found() {
        let text = "Package: linux-image-cloud-arm64\nDepends: linux-base-cloud-arm64 (= 7), linux-image-7-cloud-arm64 (= 7)\n\n\
                    Package: linux-image-cloud-arm64\nDepends: linux-image-6-cloud-arm64 (= 6)\n";
        assert_eq!(dependencies(text, "linux-image-"), ["linux-image-7-cloud-arm64", "linux-image-6-cloud-arm64"]);
        assert!(dependencies("Suggests: linux-image-x\n", "linux-image-").is_empty());
    }

    #[test]
    fn another_suite_comes_from_the_same_servers() {
        let places = "'http://a/debian/dists/bookworm/InRelease' a_InRelease 0 \n\
                      'http://b/security/dists/bookworm-security/InRelease' b_InRelease 0 \n\
                      'http://c/other/dists/stable/InRelease' c_InRelease 0 \n\
                      'http://a/debian/dists/bookworm/main/binary-amd64/Packages.xz' a_Packages 0 \n";
        let key = format!("deb [signed-by={KEYS}]");
        let wanted = format!("{key} http://a/debian trixie main\n{key} http://b/security trixie-security main\n");
        assert_eq!(sources(places, "bookworm", "trixie", Updates::With), wanted);
        let wanted = format!("{key} http://a/debian trixie-backports main\n");
        assert_eq!(sources(places, "bookworm", "trixie-backports", Updates::Without), wanted);
        assert_eq!(sources(places, "buster", "trixie", Updates::With), "");
    }
}
