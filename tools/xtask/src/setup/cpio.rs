// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Writes cpio archives in the `newc` format, which Linux takes as an initial file system
//! (Documentation/driver-api/early-userspace/buffer-format.rst in Linux's sources).
//!
//! Owner and times are always zero and inode numbers count up: the same entries give the same bytes.

/// An archive that grows.
pub(super) struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

impl Archive {
    /// An empty archive.
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), inode: 1 }
    }

    /// Adds a directory; those above it have to be there already.
    pub(super) fn directory(&mut self, path: &str) {
        self.entry(path, DIRECTORY | 0o755, &[], (0, 0));
    }

    /// Adds a program.
    pub(super) fn program(&mut self, path: &str, content: &[u8]) {
        self.entry(path, REGULAR | 0o755, content, (0, 0));
    }

    /// Adds a symbolic link.
    pub(super) fn link(&mut self, path: &str, to: &str) {
        self.entry(path, SYMLINK | 0o777, to.as_bytes(), (0, 0));
    }

    /// Adds a character device with its major and minor number.
    pub(super) fn device(&mut self, path: &str, numbers: (u32, u32)) {
        self.entry(path, CHARACTER | 0o600, &[], numbers);
    }

    /// Ends the archive and gives its bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.entry("TRAILER!!!", 0, &[], (0, 0));
        self.pad(512);
        self.bytes
    }

    /// One header, its name and its content, each padded to four bytes.
    fn entry(&mut self, path: &str, mode: u32, content: &[u8], device: (u32, u32)) {
        let links = if mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
        let fields = [
            self.inode,
            mode,
            0, // user
            0, // group
            links,
            0, // time
            content.len() as u32,
            0, // numbers of the device that holds the file
            0,
            device.0,
            device.1,
            path.len() as u32 + 1,
            0, // checksum, unused in this variant
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad(4);
        self.bytes.extend_from_slice(content);
        self.pad(4);
        self.inode += 1;
    }

    fn pad(&mut self, unit: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(unit), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_as_the_format_wants_it() {
        let mut archive = Archive::new();
        archive.program("init", b"hello");
        let bytes = archive.finish();
        let header = std::str::from_utf8(&bytes[..110]).unwrap();
        assert!(header.starts_with("07070100000001000081ed"));
        assert_eq!(&header[54..62], "00000005", "size");
        assert_eq!(&header[94..102], "00000005", "length of the name with its zero");
        assert_eq!(&bytes[110..116], b"init\0\0");
        assert_eq!(&bytes[116..124], b"hello\0\0\0");
        assert_eq!(bytes.len() % 512, 0);
    }

    #[test]
    fn devices_carry_their_numbers() {
        let mut archive = Archive::new();
        archive.device("dev/console", (5, 1));
        let bytes = archive.finish();
        assert_eq!(&bytes[78..94], b"0000000500000001");
        assert_eq!(&bytes[14..22], b"00002180");
    }
}
