// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The raw `Image` of arm64 (Linux, Documentation/arch/arm64/booting.rst): what U-Boot's `booti`
//! and QEMU's `-kernel` take. The kernel brings the header; its size is filled in here.

use anyhow::{Result, bail};

use super::KernelFile;

/// Offset of `image_size`.
const SIZE: usize = 16;
/// Offset of the magic.
const MAGIC: usize = 0x38;

/// Makes the image; returns where the plan is in it, too.
pub(super) fn write(kernel: &KernelFile, plan: &[u8], payload: &[u8]) -> Result<(Vec<u8>, u64)> {
    let load = kernel.load();
    let bytes = (kernel.end - load) as usize;
    let mut image = vec![0; bytes];
    for segment in &kernel.segments {
        let start = (segment.physical - load) as usize;
        match image.get_mut(start..start + segment.bytes.len()) {
            Some(slot) => slot.copy_from_slice(&segment.bytes),
            None => bail!("a segment of the kernel lies behind its end"),
        }
    }
    if image.get(MAGIC..MAGIC + 4) != Some(b"ARM\x64".as_slice()) {
        bail!("the kernel does not begin with the header of an arm64 image");
    }
    image.extend_from_slice(plan);
    image.extend_from_slice(payload);
    let size = (image.len() as u64).to_le_bytes();
    if let Some(slot) = image.get_mut(SIZE..SIZE + 8) {
        slot.copy_from_slice(&size);
    }
    Ok((image, bytes as u64))
}
