// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Fetches the stock Debian guests: the cloud kernel with the modules of its paravirtual frontends, and
//! busybox, as Debian ships them; and makes a root file system for them.
//!
//! Further kernels of Debian's, for those who ask for them, are fetched by `versions`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::apt::{Apt, find};
use super::{initrd, must, replace, rootfs};
use crate::house::House;

/// A guest of one architecture.
pub(super) struct Guest {
    /// The folder of its files.
    pub(super) folder: &'static str,
    /// What Debian calls its architecture.
    pub(super) architecture: &'static str,
    /// The package that depends on Debian's current cloud kernel.
    kernel: &'static str,
    /// Its console, as Linux calls it.
    pub(super) terminal: &'static str,
}

/// The guest of the boards with arm64 processors.
pub(super) const AARCH64: Guest =
    Guest { folder: "aarch64", architecture: "arm64", kernel: "linux-image-cloud-arm64", terminal: "ttyAMA0" };
/// The guest of the boards with x86-64 processors.
pub(super) const X86_64: Guest =
    Guest { folder: "x86_64", architecture: "amd64", kernel: "linux-image-cloud-amd64", terminal: "hvc0" };

/// The package with a busybox that needs no libraries.
const BUSYBOX: &str = "busybox-static";

/// The frontends that the kernel has as modules, by their place below `kernel/drivers`.
const MODULES: [(&str, &str); 2] = [("xen-blkfront.ko", "block"), ("xen-netfront.ko", "net")];

/// Makes `.cache/guests/debian-12/<folder>/{vmlinuz,initrd.img,root.ext4}` unless they are there.
pub(super) fn fetch(house: &House, guest: &Guest) -> Result<()> {
    let folder = house.cache().join("guests/debian-12").join(guest.folder);
    let files = ["vmlinuz", "busybox", "root.ext4"].into_iter().chain(MODULES.map(|(name, _)| name));
    if !files.map(|name| folder.join(name)).all(|file| file.is_file()) || !rootfs::is_current(&folder) {
        let apt = Apt::new(house, guest.architecture)?;
        download(&apt, guest, &folder).with_context(|| {
            format!(
                "setup: cannot fetch the Debian guest ({}, {BUSYBOX} for {}) from this machine's apt \
                 sources; is it online, and are they Debian's?",
                guest.kernel, guest.architecture
            )
        })?;
        apt.remove();
    }
    let image = folder.join("initrd.img");
    let read = |name: &str| fs::read(folder.join(name)).with_context(|| name.to_owned());
    let modules = MODULES.map(|(name, _)| read(name).map(|module| (name, module)));
    let packed = initrd::pack(&read("busybox")?, &modules.into_iter().collect::<Result<Vec<_>>>()?);
    if fs::read(&image).ok().as_ref() != Some(&packed) {
        replace(&image, &packed)?;
    }
    Ok(())
}

/// Downloads the packages, takes the files out of them, and makes the root file system.
fn download(apt: &Apt, guest: &Guest, folder: &Path) -> Result<()> {
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
    let release = image.trim_start_matches("linux-image-");
    for (module, kind) in MODULES {
        let path = format!("lib/modules/{release}/kernel/drivers/{kind}/{module}");
        replace(&folder.join(module), &fs::read(unpacked.join(&path)).context(path)?)?;
    }
    let boot = find(&unpacked.join("boot"), |name| name.starts_with("vmlinuz-"))?;
    replace(&folder.join("busybox"), &fs::read(unpacked.join("bin/busybox"))?)?;
    replace(&folder.join("vmlinuz"), &fs::read(boot)?)?;
    rootfs::make(apt, guest, folder)
}
