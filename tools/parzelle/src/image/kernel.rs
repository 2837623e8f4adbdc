// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A built kernel, as far as images need it.

use anyhow::{Context, Result, bail};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSymbol, elf};
use parzelle_abi::PAGE;
use parzelle_resolve::lower::Kernel;

/// A loadable segment of the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) physical: u64,
    pub(crate) virtual_address: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) size: u64,
    pub(crate) flags: u32,
}

impl Segment {
    fn end(&self) -> u64 {
        self.physical + self.size
    }
}

/// The kernel.
#[derive(Clone, Debug)]
pub(crate) struct KernelFile {
    pub(crate) entry: u64,
    pub(crate) machine: u16,
    /// Its loadable segments, by physical address.
    pub(crate) segments: Vec<Segment>,
    /// The contents of its note segments.
    pub(crate) notes: Vec<Vec<u8>>,
    /// Where the plan begins: physical.
    pub(crate) end: u64,
}

impl KernelFile {
    /// Reads a kernel that is to be loaded at `load`.
    pub(crate) fn parse(file: &[u8], load: u64) -> Result<KernelFile> {
        let elf: ElfFile64<'_, Endianness> = ElfFile64::parse(file).context("the kernel is no ELF file")?;
        let endian = elf.endian();
        let mut segments = Vec::new();
        let mut notes = Vec::new();
        for header in elf.elf_program_headers() {
            let bytes = header.data(endian, file).map_err(|()| anyhow::anyhow!("the kernel was cut"))?;
            if header.p_type(endian) == elf::PT_NOTE {
                notes.push(bytes.to_vec());
            }
            if header.p_type(endian) == elf::PT_LOAD && header.p_memsz(endian) > 0 {
                segments.push(Segment {
                    physical: header.p_paddr(endian),
                    virtual_address: header.p_vaddr(endian),
                    bytes: bytes.to_vec(),
                    size: header.p_memsz(endian),
                    flags: header.p_flags(endian).0,
                });
            }
        }
        segments.sort_by_key(|segment| segment.physical);
        let start = segments.first().map_or(0, |segment| segment.physical);
        if start != load {
            bail!("the kernel was linked for {start:#x}, its board loads it at {load:#x}");
        }
        let end = segments.iter().map(Segment::end).max().unwrap_or(0);
        let symbol = elf.symbols().find(|symbol| symbol.name() == Ok("__image_end"));
        let symbol = symbol.context("the kernel has no symbol `__image_end`")?.address();
        let end = match segments.last() {
            Some(last) => end.max(symbol.wrapping_sub(last.virtual_address).wrapping_add(last.physical)),
            None => end,
        };
        Ok(KernelFile {
            entry: elf.entry(),
            machine: elf.elf_header().e_machine(endian).0,
            segments,
            notes,
            end: end.next_multiple_of(PAGE),
        })
    }

    /// What lowering has to know.
    pub(crate) fn facts(&self) -> Kernel {
        let load = self.load();
        Kernel { load, bytes: self.end - load }
    }

    /// Where it begins.
    pub(crate) fn load(&self) -> u64 {
        self.segments.first().map_or(0, |segment| segment.physical)
    }
}
