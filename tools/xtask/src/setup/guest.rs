// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Fetches the stock Debian guests: the cloud kernel and busybox, as Debian ships them.
//!
//! Further kernels of Debian's, for those who ask for them, are fetched by `versions`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::apt::{Apt, find};
use super::{initrd, must, replace};
use crate::house::House;

/// A guest of one architecture.
pub(super) struct Guest {
    /// The folder of its files.
    pub(super) folder: &'static str,
    /// What Debian calls its architecture.
    pub(super) architecture: &'static str,
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
        let apt = Apt::new(house, guest.architecture)?;
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
    let images = apt.kernels(guest.kernel).context(match complaints.as_str() {
        "" => "the lists of packages are there".to_owned(),
        _ => format!("apt-get: {complaints}"),
    })?;
    let unpacked = apt.directory.join("unpacked");
    let image = images.first().context("there is always one")?;
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
