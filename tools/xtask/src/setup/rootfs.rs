// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The Debian guest's root file system: an ext4 image made of Debian's packages, without root.
//!
//! ```text
//!   apt (resolves, downloads, checks) ─▶ *.deb ─▶ make.sh, under fakeroot ─▶ mke2fs -d ─▶ root.ext4
//!                                       overlay ─┘  (unpacks, fills in what packages' scripts would)
//! ```
//! A whole system with its own `init`, shell, login and network tools, and small: it boots in seconds
//! on an emulator that counts instructions. systemd would take a minute.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::apt::Apt;
use super::guest::Guest;
use super::{must, output, replace};

/// What the system has; apt adds what these depend on.
const PACKAGES: [&str; 32] = [
    "base-files",
    "base-passwd",
    "bash",
    "bsdutils",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "e2fsprogs",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "ifupdown",
    "iproute2",
    "iputils-ping",
    "less",
    "libc-bin",
    "login",
    "mount",
    "nano",
    "ncurses-base",
    "netbase",
    "netcat-openbsd",
    "passwd",
    "procps",
    "sed",
    "sysvinit-core",
    "tar",
    "udhcpc",
    // Keeps perl out, which another package would convert old systems with.
    "usr-is-merged",
    "util-linux",
];

/// Bytes of the file system, for `mke2fs`.
const SIZE: &str = "192M";

/// What is ours in it: path, content, whether it is a program.
const OVERLAY: [(&str, &str, bool); 7] = [
    ("etc/inittab", include_str!("rootfs/overlay/etc/inittab"), false),
    ("etc/fstab", include_str!("rootfs/overlay/etc/fstab"), false),
    ("etc/hostname", include_str!("rootfs/overlay/etc/hostname"), false),
    ("etc/hosts", include_str!("rootfs/overlay/etc/hosts"), false),
    ("etc/network/interfaces", include_str!("rootfs/overlay/etc/network/interfaces"), false),
    ("etc/parzelle/start", include_str!("rootfs/overlay/etc/parzelle/start"), true),
    ("etc/parzelle/stop", include_str!("rootfs/overlay/etc/parzelle/stop"), true),
];

/// How it is made.
const SCRIPT: &str = include_str!("rootfs/make.sh");
/// Where the recipe is kept of the image that lies beside it.
const RECIPE: &str = "root.recipe";

/// All that the image is made of but the packages' content.
fn recipe() -> String {
    let files = OVERLAY.map(|(path, content, _)| format!("{path}\n{content}"));
    [&[PACKAGES.join(" "), SIZE.to_owned(), SCRIPT.to_owned()], &files[..]].concat().join("\n")
}

/// Whether the image in this folder was made as one is made now.
pub(super) fn is_current(folder: &Path) -> bool {
    fs::read_to_string(folder.join(RECIPE)).is_ok_and(|made| made == recipe())
}

/// Downloads the packages and makes the image `root.ext4` in this folder.
pub(super) fn make(apt: &Apt, guest: &Guest, folder: &Path) -> Result<()> {
    let image = &folder.join("root.ext4");
    eprintln!("setup: making a Debian root file system for {}, of 30 MB of packages, once", guest.architecture);
    let packages = apt.download_all(&PACKAGES)?;
    let work = apt.directory.join("rootfs");
    let overlay = work.join("overlay");
    for (path, content, is_program) in OVERLAY {
        let path = overlay.join(path);
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        fs::write(&path, content)?;
        if is_program {
            must(Command::new("chmod").arg("755").arg(&path))?;
        }
    }
    let script = work.join("make.sh");
    fs::write(&script, SCRIPT)?;
    let part = image.with_extension("part");
    let mut command = Command::new("fakeroot");
    command.arg("sh").arg(&script).args([&packages, &overlay, &work.join("root"), &part]);
    output(command.args([SIZE, guest.terminal]))?;
    fs::rename(&part, image).with_context(|| image.display().to_string())?;
    replace(&folder.join(RECIPE), recipe().as_bytes())
}
