// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The header of an arm64 `Image` (Linux, `Documentation/arch/arm64/booting.rst`), and names for
//! what isn't one.
//!
//! ```text
//!    0  code0, code1         16  image_size (with what it clears; 0 before Linux 3.17)
//!    8  text_offset          24  flags: bit 0 big-endian        56  "ARM\x64"
//! ```

use core::fmt;

/// Bytes of the header.
const HEADER: usize = 64;
/// What old kernels without an image size expect above the 2 MiB boundary.
const OLD_TEXT_OFFSET: u64 = 0x8_0000;

/// What the header of an arm64 `Image` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// Bytes between a 2 MiB boundary and the image.
    pub text_offset: u64,
    /// Bytes that it takes in memory, 0 if it doesn't say.
    pub image_size: u64,
}

/// Why a file is not a kernel for this board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// It ends before the header does.
    Short(usize),
    /// It is something else, of which we know the name and the way out.
    Other {
        /// What it is.
        what: &'static str,
        /// What to do about it.
        help: &'static str,
    },
    /// It begins with nothing that we know: the four bytes.
    Unknown([u8; 4]),
    /// It is made for big-endian processors.
    BigEndian,
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(bytes) => write!(f, "the kernel's file has only {bytes} bytes: not an arm64 Image"),
            Self::Other { what, help } => {
                write!(f, "the kernel's file is {what}, not an arm64 Image: {help}")
            }
            Self::Unknown(first) => {
                write!(
                    f,
                    "the kernel's file is not an arm64 Image: no \"ARM\\x64\" at byte 56, it begins with {first:02x?}"
                )
            }
            Self::BigEndian => write!(f, "the kernel is big-endian: build it without CONFIG_CPU_BIG_ENDIAN"),
        }
    }
}

impl core::error::Error for ImageError {}

impl Image {
    /// Parses the header at the start of `file`.
    ///
    /// # Errors
    /// Says what the file is instead.
    pub fn parse(file: &[u8]) -> Result<Self, ImageError> {
        if let Some(other) = recognise(file) {
            return Err(other);
        }
        let Some(header) = file.first_chunk::<HEADER>() else {
            return Err(ImageError::Short(file.len()));
        };
        if &header[56..60] != b"ARM\x64" {
            return Err(ImageError::Unknown([header[0], header[1], header[2], header[3]]));
        }
        let word = |at: usize| (0..8).fold(0, |word, n| word | u64::from(header[at + n]) << (8 * n));
        let (text_offset, image_size, flags) = (word(8), word(16), word(24));
        match (flags & 1, image_size) {
            (1, 1..) => Err(ImageError::BigEndian),
            (_, 0) => Ok(Self { text_offset: OLD_TEXT_OFFSET, image_size: 0 }),
            _ => Ok(Self { text_offset, image_size }),
        }
    }

    /// Returns how many bytes of memory the kernel takes whose file has `file_bytes`.
    #[must_use]
    pub fn memory_bytes(&self, file_bytes: u64) -> u64 {
        self.image_size.max(file_bytes)
    }
}

/// Recognises what people hand over by mistake.
fn recognise(file: &[u8]) -> Option<ImageError> {
    let at = |offset: usize, magic: &[u8]| file.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let (what, help) = if at(0, b"\x1f\x8b") {
        ("compressed with gzip", "unpack it first (gunzip)")
    } else if at(0, b"\x28\xb5\x2f\xfd") {
        ("compressed with zstd", "unpack it first (unzstd)")
    } else if at(0, b"\xfd7zXZ\0") {
        ("compressed with xz", "unpack it first (unxz)")
    } else if at(0, b"\x02\x21\x4c\x18") || at(0, b"\x04\x22\x4d\x18") {
        ("compressed with lz4", "unpack it first (unlz4)")
    } else if at(0, b"BZh") {
        ("compressed with bzip2", "unpack it first (bunzip2)")
    } else if at(0, b"MZ") && at(4, b"zimg") {
        ("a compressed EFI program (vmlinuz.efi)", "use arch/arm64/boot/Image, or build without CONFIG_EFI_ZBOOT")
    } else if at(0, b"\x7fELF") {
        ("an ELF file (vmlinux)", "use arch/arm64/boot/Image")
    } else if at(0x202, b"HdrS") {
        ("a kernel for x86 (bzImage)", "name one for arm64")
    } else if at(0, b"\x27\x05\x19\x56") {
        ("an image for U-Boot (uImage)", "use arch/arm64/boot/Image")
    } else if at(0, b"!<arch>\n") {
        ("a Debian package", "name the vmlinuz inside it")
    } else {
        return None;
    };
    Some(ImageError::Other { what, help })
}

#[cfg(test)]
mod tests {
    extern crate alloc;
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn header(text_offset: u64, image_size: u64, flags: u64) -> [u8; 64] {
        let mut header = [0; 64];
        header[..2].copy_from_slice(b"MZ");
        header[8..16].copy_from_slice(&text_offset.to_le_bytes());
        header[16..24].copy_from_slice(&image_size.to_le_bytes());
        header[24..32].copy_from_slice(&flags.to_le_bytes());
        header[56..60].copy_from_slice(b"ARM\x64");
        header
    }

    #[test]
    fn reads_the_header() {
        assert_eq!(Image::parse(&header(0, 0x200_0000, 0xa)), Ok(Image { text_offset: 0, image_size: 0x200_0000 }));
        assert_eq!(Image::parse(&header(0x1_0000, 0, 0)), Ok(Image { text_offset: 0x8_0000, image_size: 0 }));
        assert_eq!(Image::parse(&header(0, 0x200_0000, 1)), Err(ImageError::BigEndian));
    }

    #[test]
    fn names_what_it_is_not() {
        let mut bzimage = vec![0; 0x300];
        bzimage[..2].copy_from_slice(b"MZ");
        bzimage[0x202..0x206].copy_from_slice(b"HdrS");
        for (file, word) in [
            (&b"\x1f\x8b\x08\0"[..], "gzip"),
            (b"\x7fELF\x02\x01", "ELF"),
            (b"MZ\0\0zimg", "EFI_ZBOOT"),
            (&bzimage, "x86"),
            (b"MZ", "only 2 bytes"),
            (&[7; 80], "begins with [07, 07, 07, 07]"),
        ] {
            let message = Image::parse(file).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }
}
