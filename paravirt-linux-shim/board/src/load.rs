// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Where the guest's kernel, device tree and initrd go in its memory.
//!
//! After Linux's `Documentation/arch/arm64/booting.rst`: the image `text_offset` bytes above a 2
//! MiB boundary, the tree within one 2 MiB block of its own, the initrd anywhere near.
//!
//! ```text
//!   RAM ┬ 2 MiB boundary
//!       │ text_offset │ kernel (file + what it clears: image_size)
//!       ├ 2 MiB boundary
//!       │ device tree (64 KiB) │ initrd
//!       └ the guest's own
//! ```

mod image;

pub use image::{Image, ImageError};

use core::fmt;

use crate::map::Range;

/// Bytes kept for the device tree.
pub const DEVICE_TREE_BYTES: u64 = 64 << 10;
/// Bytes that a guest needs beyond what is loaded, to get anywhere at all.
const HEADROOM: u64 = 16 << 20;
/// Kernel and device tree begin on such boundaries.
const BLOCK: u64 = 2 << 20;

/// Guest physical addresses of what is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The kernel's file goes here; the range includes what it clears behind the file.
    pub kernel: Range,
    /// Where vCPU 0 begins, with `x0` = the device tree's address.
    pub entry: u64,
    /// Room for the device tree.
    pub device_tree: Range,
    /// The initrd, if there is one.
    pub initrd: Option<Range>,
}

/// The guest's memory can't hold what is to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RamTooSmall {
    /// How many bytes it has.
    pub has: u64,
    /// How many it needs at least.
    pub needs: u64,
}

impl fmt::Display for RamTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        write!(
            f,
            "the guest has {} MiB of memory, its kernel and initrd need at least {} MiB",
            self.has >> 20,
            mib(self.needs)
        )
    }
}

impl core::error::Error for RamTooSmall {}

/// Lays out a kernel whose file has `kernel_bytes` and an initrd of `initrd_bytes` (0: none) in
/// `ram`.
///
/// # Errors
/// Says how much memory it would take, if `ram` is too small.
pub fn layout(ram: Range, image: &Image, kernel_bytes: u64, initrd_bytes: u64) -> Result<Layout, RamTooSmall> {
    // Sizes come from files that may be rubbish: what leaves the address space does not fit either.
    place(ram, image, kernel_bytes, initrd_bytes).ok_or(RamTooSmall { has: ram.size, needs: u64::MAX }).and_then(
        |(layout, needs)| {
            if needs <= ram.size { Ok(layout) } else { Err(RamTooSmall { has: ram.size, needs }) }
        },
    )
}

/// Places everything one behind the other and tells how much memory that takes.
fn place(ram: Range, image: &Image, kernel_bytes: u64, initrd_bytes: u64) -> Option<(Layout, u64)> {
    let kernel = Range {
        start: ram.start.checked_next_multiple_of(BLOCK)?.checked_add(image.text_offset)?,
        size: image.memory_bytes(kernel_bytes),
    };
    let kernel_end = kernel.start.checked_add(kernel.size)?;
    let device_tree = Range { start: kernel_end.checked_next_multiple_of(BLOCK)?, size: DEVICE_TREE_BYTES };
    let initrd = Range { start: device_tree.start.checked_add(DEVICE_TREE_BYTES)?, size: initrd_bytes };
    let needs = initrd.start.checked_add(initrd_bytes)?.checked_add(HEADROOM)? - ram.start;
    let initrd = (initrd_bytes > 0).then_some(initrd);
    Some((Layout { kernel, entry: kernel.start, device_tree, initrd }, needs))
}

#[cfg(test)]
mod tests {
    extern crate alloc;
    use super::*;
    use alloc::string::ToString;

    const MIB: u64 = 1 << 20;
    const IMAGE: Image = Image { text_offset: 0, image_size: 33 * MIB };

    #[test]
    fn keeps_the_boot_protocol() {
        let ram = Range { start: 0x4000_0000, size: 128 * MIB };
        let layout = layout(ram, &IMAGE, 30 * MIB, 5 * MIB).unwrap();
        assert_eq!(layout.kernel, Range { start: 0x4000_0000, size: 33 * MIB });
        assert_eq!(layout.entry, layout.kernel.start);
        assert_eq!(layout.device_tree.start, ram.start + 34 * MIB);
        assert_eq!(layout.initrd, Some(Range { start: layout.device_tree.end(), size: 5 * MIB }));
    }

    #[test]
    fn honours_the_text_offset_of_old_kernels_and_odd_memory() {
        let ram = Range { start: 0x4010_0000, size: 128 * MIB };
        let image = Image { text_offset: 0x8_0000, image_size: 0 };
        let layout = layout(ram, &image, 30 * MIB, 0).unwrap();
        assert_eq!(layout.entry, 0x4028_0000);
        assert_eq!(layout.initrd, None);
    }

    #[test]
    fn says_how_much_memory_it_takes() {
        let error = layout(Range { start: 0x4000_0000, size: 32 * MIB }, &IMAGE, 30 * MIB, 5 * MIB).unwrap_err();
        assert_eq!(error.needs, 34 * MIB + DEVICE_TREE_BYTES + 5 * MIB + 16 * MIB);
        assert_eq!(error.to_string(), "the guest has 32 MiB of memory, its kernel and initrd need at least 56 MiB");
    }

    #[test]
    fn absurd_sizes_are_refused_not_wrapped() {
        let ram = Range { start: u64::MAX - MIB, size: 2 * MIB };
        let image = Image { text_offset: u64::MAX, image_size: u64::MAX };
        assert!(layout(ram, &image, u64::MAX, u64::MAX).is_err());
    }
}
