// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Images: what a board boots.
//!
//! ```text
//!   kernel, bss included │ plan │ payload │ appendix │ footer
//!   └──────── what the kernel knows ─────┘ └── for people ──┘
//! ```
//! The appendix is JSON that only `inspect` and `run` read. Nothing loads it, or nothing looks at
//! it where it was loaded.

mod arm64;
mod elf;
mod kernel;

use anyhow::{Context, Result, bail};
use parzelle_resolve::lower::{Lowered, Report};
use parzelle_resolve::model::Arch;
use serde::{Deserialize, Serialize};

pub(crate) use kernel::KernelFile;

use crate::devices::Attached;

/// "PZAPPEND".
const MAGIC: [u8; 8] = *b"PZAPPEND";
/// Magic, length, digest.
const FOOTER: usize = 24;

/// What stands behind the payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Appendix {
    /// Where the plan lies in the file.
    pub(crate) plan: u64,
    /// The emulator's program and arguments, without the image; empty for hardware.
    pub(crate) run: Vec<String>,
    /// Devices that the emulator has only for this system.
    pub(crate) devices: Vec<Attached>,
    /// Derived values, trust.
    pub(crate) report: Report,
}

/// Makes an image; `run` and `devices` are those of the appendix.
pub(crate) fn write(
    arch: Arch,
    kernel: &KernelFile,
    lowered: &Lowered,
    run: Vec<String>,
    devices: Vec<Attached>,
) -> Result<Vec<u8>> {
    let (mut image, plan) = match arch {
        Arch::Aarch64 => arm64::write(kernel, &lowered.plan, &lowered.payload)?,
        Arch::X86_64 => elf::write(kernel, &lowered.plan, &lowered.payload)?,
    };
    let appendix = Appendix { plan, run, devices, report: lowered.report.clone() };
    let json = serde_json::to_vec(&appendix)?;
    image.extend_from_slice(&json);
    image.extend_from_slice(&MAGIC);
    image.extend_from_slice(&(json.len() as u64).to_le_bytes());
    image.extend_from_slice(&parzelle_plan::digest(&json).to_le_bytes());
    Ok(image)
}

/// Reads the appendix of an image.
pub(crate) fn appendix(image: &[u8]) -> Result<Appendix> {
    let (rest, footer) = image.split_last_chunk::<FOOTER>().context("the file is too short for an image")?;
    let word = |at: usize| {
        let bytes = footer.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    };
    if !footer.starts_with(&MAGIC) {
        bail!("this is no image of `parzelle build`");
    }
    let start = rest.len().checked_sub(word(8) as usize).context("the image was cut")?;
    let json = rest.get(start..).unwrap_or(&[]);
    if parzelle_plan::digest(json) != word(16) {
        bail!("the image was changed: the digest of its appendix is wrong");
    }
    Ok(serde_json::from_slice(json)?)
}

#[cfg(test)]
mod tests {
    use super::kernel::Segment;
    use super::*;
    use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
    use object::{Endianness, elf};

    fn kernel(arch: Arch) -> KernelFile {
        let mut code = vec![0x90; 0x100];
        code[0x38..0x3c].copy_from_slice(b"ARM\x64");
        let segment = |at: u64, bytes: &[u8], size, flags| Segment {
            physical: 0x20_0000 + at,
            virtual_address: 0xffff_8000_0020_0000 + at,
            bytes: bytes.to_vec(),
            size,
            flags,
        };
        KernelFile {
            entry: 0xffff_8000_0020_0000,
            machine: arch.elf_machine(),
            segments: vec![segment(0, &code, 0x100, 5), segment(0x1000, &[1; 8], 0x1800, 6)],
            notes: vec![vec![4; 24]],
            end: 0x20_3000,
        }
    }

    fn lowered() -> Lowered {
        Lowered { plan: vec![0xaa; 4096], payload: vec![0xbb; 8192], report: Report::default() }
    }

    #[test]
    fn a_raw_image_has_the_kernel_its_zeros_the_plan_and_the_payload() {
        let image = write(Arch::Aarch64, &kernel(Arch::Aarch64), &lowered(), Vec::new(), Vec::new()).unwrap();
        assert_eq!(image[0x1000..0x1008], [1; 8]);
        assert_eq!(image[0x1008..0x3000], [0; 0x1ff8]);
        assert_eq!((image[0x3000], image[0x4000], image[0x5fff]), (0xaa, 0xbb, 0xbb));
        assert_eq!(image[16..24], 0x6000u64.to_le_bytes(), "image_size");
        assert_eq!(appendix(&image).unwrap().plan, 0x3000);
    }

    #[test]
    fn an_elf_image_has_its_note_and_one_segment_more() {
        let image = write(Arch::X86_64, &kernel(Arch::X86_64), &lowered(), Vec::new(), Vec::new()).unwrap();
        let file: ElfFile64<'_, Endianness> = ElfFile64::parse(image.as_slice()).unwrap();
        let endian = file.endian();
        assert_eq!(file.elf_header().e_machine(endian), elf::EM_X86_64);
        let headers = file.elf_program_headers();
        assert_eq!(headers[0].p_type(endian), elf::PT_NOTE);
        assert_eq!(headers[0].data(endian, image.as_slice()), Ok([4; 24].as_slice()));
        let last = headers.last().unwrap();
        assert_eq!(last.p_paddr(endian), 0x20_3000);
        assert_eq!(last.p_vaddr(endian), 0xffff_8000_0020_3000);
        let data = last.data(endian, image.as_slice()).unwrap();
        assert_eq!((data.len(), data[0], data[4096]), (3 * 4096, 0xaa, 0xbb));
        assert_eq!(last.p_offset(endian), appendix(&image).unwrap().plan);
        for header in headers.iter().filter(|header| header.p_type(endian) == elf::PT_LOAD) {
            assert_eq!(header.p_offset(endian) % 4096, header.p_vaddr(endian) % 4096);
        }
    }

    #[test]
    fn what_is_not_an_image_is_refused() {
        let run = vec!["qemu".to_owned()];
        let image = write(Arch::Aarch64, &kernel(Arch::Aarch64), &lowered(), run.clone(), Vec::new()).unwrap();
        assert_eq!(appendix(&image).unwrap().run, run);
        let end = image.len();
        for at in [end - 1, end - 10, end - FOOTER, end - FOOTER - 1] {
            let mut broken = image.clone();
            broken[at] ^= 1;
            assert!(appendix(&broken).is_err(), "{at}");
        }
        assert!(appendix(&image[..end - 1]).is_err());
        assert!(appendix(b"short").is_err());
    }
}
