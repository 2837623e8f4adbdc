// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The Debian guest's initial file system: Debian's busybox, a few device nodes and a script.

use super::cpio::Archive;

/// The first process. It reads the kernel's command line, see the script.
pub(super) const INIT: &str = include_str!("init.sh");

/// What the script calls; the shell that it may end in installs all the others.
const APPLETS: [&str; 15] = [
    "cat",
    "cttyhack",
    "echo",
    "head",
    "insmod",
    "mount",
    "poweroff",
    "setsid",
    "sh",
    "sha256sum",
    "sleep",
    "switch_root",
    "umount",
    "uname",
    "[",
];

/// Packs the file system around the given busybox, with these kernel modules (name, content).
pub(super) fn pack(busybox: &[u8], modules: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Archive::new();
    for directory in ["bin", "dev", "lib", "lib/modules", "proc", "root", "sys", "tmp"] {
        archive.directory(directory);
    }
    // The kernel opens /dev/console for the first process before anything is mounted.
    archive.device("dev/console", (5, 1));
    archive.device("dev/null", (1, 3));
    // Where a shell takes the console: the UART of arm64 boards, Xen's console on x86-64.
    archive.device("dev/ttyAMA0", (204, 64));
    archive.device("dev/hvc0", (229, 0));
    archive.program("bin/busybox", busybox);
    for applet in APPLETS {
        archive.link(&format!("bin/{applet}"), "busybox");
    }
    for (name, module) in modules {
        archive.program(&format!("lib/modules/{name}"), module);
    }
    archive.program("init", INIT.as_bytes());
    archive.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_busybox_gives_the_same_bytes() {
        assert_eq!(pack(b"busybox", &[]), pack(b"busybox", &[]));
    }

    #[test]
    fn the_script_calls_nothing_that_is_not_linked() {
        for applet in APPLETS.iter().filter(|&&applet| !["echo", "sleep", "["].contains(&applet)) {
            assert!(INIT.contains(applet), "{applet}");
        }
    }
}
