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
    /// Derived values, trust.
    pub(crate) report: Report,
}

/// Makes an image.
pub(crate) fn write(arch: Arch, kernel: &KernelFile, lowered: &Lowered, run: Vec<String>) -> Result<Vec<u8>> {
    let (mut image, plan) = match arch {
        Arch::Aarch64 => arm64::write(kernel, &lowered.plan, &lowered.payload)?,
        Arch::X86_64 => elf::write(kernel, &lowered.plan, &lowered.payload)?,
    };
    let appendix = Appendix { plan, run, report: lowered.report.clone() };
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
