// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The stock kernels of Debian that guests are tested with, and where they come from.
//!
//! ```text
//!   SUITES × FLAVOURS × architectures ──▶ .cache/guests/<suite>-<flavour>/<arch>/vmlinuz
//! ```
//!
//! What has been fetched once stays: a newer one comes when the folder is removed. Servers drop
//! suites, and a list of packages may name one that is gone; such a kernel is left out, with a word.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Error, Result};

use super::apt::{Apt, dependencies, find};
use super::guest::{AARCH64, Guest, X86_64};
use super::replace;
use super::{must, output};
use crate::house::House;

/// The suites: Debian 11 to 13, and what newer kernels there are for 12 and 13.
const SUITES: [&str; 5] = ["bullseye", "bookworm", "bookworm-backports", "trixie", "trixie-backports"];
/// Their kernels: what the name of the package has for it.
const FLAVOURS: [(&str, &str); 2] = [("cloud", "-cloud"), ("generic", "")];
/// The kernel that every run of the tests boots, and where it is kept.
const EVERYDAY: (&str, &str, &str) = ("bookworm", "cloud", "debian-12");

/// What an arm64 kernel's name of itself stands behind.
const BANNER: &[u8] = b"Linux version ";

/// A stock kernel.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// The suite of Debian's archive.
    pub(crate) suite: &'static str,
    /// `cloud` or `generic`.
    pub(crate) flavour: &'static str,
    /// The processor, as boards call it.
    pub(crate) arch: &'static str,
    /// What it calls itself (`uname -r`).
    pub(crate) release: Result<String, Missing>,
}

/// Why a kernel isn't there.
#[derive(Clone, Debug)]
pub(crate) enum Missing {
    /// The servers have none, or can't be reached.
    NotOffered(String),
    /// It is not what was expected: this program is wrong, or the machine.
    Broken(String),
}

impl Version {
    /// The folder below `.cache/guests`.
    pub(crate) fn folder(&self) -> String {
        match (self.suite, self.flavour) {
            (suite, flavour) if (suite, flavour) == (EVERYDAY.0, EVERYDAY.1) => EVERYDAY.2.to_owned(),
            (suite, flavour) => format!("{suite}-{flavour}"),
        }
    }

    fn file(&self, house: &House) -> PathBuf {
        house.cache().join("guests").join(self.folder()).join(self.arch).join("vmlinuz")
    }
}

/// Fetches all that are missing, and tells of each what it is.
pub(crate) fn fetch(house: &House) -> Vec<Version> {
    let mut versions = Vec::new();
    for guest in [&AARCH64, &X86_64] {
        for suite in SUITES {
            // The lists of a suite are read once for its kernels, and only if one is missing.
            let mut apt = None;
            for (flavour, infix) in FLAVOURS {
                let release = Ok(String::new());
                let mut version = Version { suite, flavour, arch: guest.folder, release };
                let file = version.file(house);
                let package = format!("linux-image{infix}-{}", guest.architecture);
                let fetched =
                    if file.is_file() { Ok(()) } else { fetch_one(house, guest, suite, &package, &mut apt, &file) };
                version.release = fetched.and_then(|()| {
                    let release = release_of(&fs::read(&file)?);
                    Ok(release.with_context(|| format!("{} names no release", file.display()))?)
                });
                versions.push(version);
            }
            if let Some((apt, _)) = apt {
                apt.remove();
            }
        }
    }
    versions
}

/// Fetches the kernel behind a meta package, the newest that is really there.
fn fetch_one(
    house: &House,
    guest: &Guest,
    suite: &str,
    package: &str,
    apt: &mut Option<(Apt, String)>,
    file: &Path,
) -> Result<(), Missing> {
    let (apt, complaints) = match apt {
        Some(apt) => apt,
        None => {
            let new = Apt::new(house, guest.architecture)?.of_suite(suite)?;
            let complaints = new.update()?;
            apt.insert((new, complaints))
        }
    };
    eprintln!("setup: fetching {package} of {suite}, once");
    let kernels = apt.kernels(package).map_err(|error| Missing::NotOffered(format!("{error:#} {complaints}")))?;
    let mut why = Missing::NotOffered(format!("{suite} has no {package}"));
    for kernel in kernels {
        match image(apt, &kernel) {
            Ok(image) => {
                let folder = file.parent().context("a file has a folder")?;
                fs::create_dir_all(folder)?;
                return Ok(replace(file, &image)?);
            }
            // An older one may be there.
            Err(missing @ Missing::NotOffered(_)) => why = missing,
            Err(broken) => return Err(broken),
        }
    }
    Err(why)
}

/// The kernel out of a package, or out of the one with the program itself that newer ones depend on.
fn image(apt: &Apt, package: &str) -> Result<Vec<u8>, Missing> {
    let file = apt.download(package).map_err(|error| Missing::NotOffered(format!("{error:#}")))?;
    let unpacked = apt.directory.join("unpacked").join(package);
    fs::create_dir_all(&unpacked)?;
    must(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&unpacked))?;
    if let Ok(kernel) = find(&unpacked.join("boot"), |name| name.starts_with("vmlinuz-")) {
        return Ok(fs::read(kernel)?);
    }
    let release = package.trim_start_matches("linux-image-").trim_start_matches("linux-binary-");
    if let Ok(kernel) = fs::read(unpacked.join("usr/lib/modules").join(release).join("vmlinuz")) {
        return Ok(kernel);
    }
    let depends = output(Command::new("dpkg-deb").arg("--field").arg(&file).arg("Depends"))?;
    match dependencies(&format!("Depends: {depends}"), "linux-binary-").first() {
        Some(binary) if binary != package => image(apt, binary),
        _ => Err(Missing::Broken(format!("{package} has no kernel in it"))),
    }
}

impl<E: Into<Error>> From<E> for Missing {
    fn from(error: E) -> Self {
        Self::Broken(format!("{:#}", error.into()))
    }
}

/// What a kernel calls itself.
///
/// A bzImage has a pointer to it (`kernel_version`, Linux, Documentation/arch/x86/boot.rst), an arm64
/// Image its banner somewhere.
fn release_of(file: &[u8]) -> Option<String> {
    let text = if file.get(0x202..0x206) == Some(b"HdrS") {
        let at = u16::from_le_bytes([*file.get(0x20e)?, *file.get(0x20f)?]);
        file.get(usize::from(at) + 0x200..)?
    } else {
        // A number follows, unlike in the formats of banners.
        let is_banner = |place: &[u8]| place.starts_with(BANNER) && place.last().is_some_and(u8::is_ascii_digit);
        let at = file.windows(BANNER.len() + 1).position(is_banner)?;
        file.get(at + BANNER.len()..)?
    };
    let word = text.split(|&byte| byte == b' ' || byte == 0).next()?;
    String::from_utf8(word.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_tells_its_release() {
        let arm = b"MZ..Linux version %s (%s)..Linux version 6.1.0-9-cloud-arm64 (builder)";
        assert_eq!(release_of(arm).as_deref(), Some("6.1.0-9-cloud-arm64"));
        let mut x86 = vec![0; 0x400];
        x86[0x202..0x206].copy_from_slice(b"HdrS");
        x86[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
        x86[0x300..0x312].copy_from_slice(b"5.10.0-3-amd64 (x)");
        assert_eq!(release_of(&x86).as_deref(), Some("5.10.0-3-amd64"));
        assert_eq!(release_of(b"no kernel"), None);
    }

    #[test]
    fn each_has_a_folder_and_the_everyday_one_its_own() {
        let version = |suite, flavour| Version { suite, flavour, arch: "x86_64", release: Ok(String::new()) };
        assert_eq!(version("trixie", "generic").folder(), "trixie-generic");
        assert_eq!(version("bookworm", "cloud").folder(), "debian-12");
    }
}
