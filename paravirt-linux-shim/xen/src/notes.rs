// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A kernel for Xen guests: an ELF file with notes that say how it wants to be started.
//!
//! The notes are from Xen's `elfnote.h`: owner "Xen", a number, and as much as the kind takes.
//! They lie in a `PT_NOTE` segment, or with some kernels only in sections.

#[cfg(test)]
pub(crate) mod tests;

use core::fmt;

use elf::ElfBytes;
use elf::abi::{EM_X86_64, PT_LOAD, PT_NOTE, SHT_NOTE};
use elf::endian::LittleEndian;
use elf::note::{Note, NoteIterator};

use crate::abi::PAGE;

/// Numbers of notes.
mod number {
    pub(super) const ENTRY: u64 = 1;
    pub(super) const HYPERCALL_PAGE: u64 = 2;
    pub(super) const VIRT_BASE: u64 = 3;
    pub(super) const PADDR_OFFSET: u64 = 4;
    pub(super) const XEN_VERSION: u64 = 5;
    pub(super) const LOADER: u64 = 8;
    pub(super) const PAE_MODE: u64 = 9;
    pub(super) const HV_START_LOW: u64 = 12;
    pub(super) const INIT_P2M: u64 = 15;
    pub(super) const MOD_START_PFN: u64 = 16;
    pub(super) const SUPPORTED_FEATURES: u64 = 17;
}

/// What the notes say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Where the boot vCPU begins.
    pub entry: u64,
    /// Which page the kernel wants filled with entries to hypercalls; newer ones want none.
    pub hypercall_page: Option<u64>,
    /// The address of pseudo-physical address 0.
    pub virt_base: u64,
    /// What is to be taken from the physical addresses of segments.
    pub paddr_offset: u64,
    /// The lowest address that the hypervisor may use.
    pub hypervisor_start: Option<u64>,
    /// Where the list of machine frames is to be mapped; none: behind the kernel.
    pub init_p2m: Option<u64>,
    /// The initrd need not be mapped: a frame number will do.
    pub initrd_by_frame: bool,
    /// Bits of features that it can live with.
    pub supported_features: u32,
}

/// A kernel file.
#[derive(Debug)]
pub struct Kernel<'a> {
    elf: ElfBytes<'a, LittleEndian>,
    /// What it says of itself.
    pub notes: Notes,
}

/// A part of a kernel that is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Pseudo-physical address.
    pub address: u64,
    /// From the file.
    pub bytes: &'a [u8],
    /// In memory; zeroes follow the bytes.
    pub size: u64,
}

/// Why a file is no kernel for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is no ELF file for 64-bit x86.
    NotElf,
    /// It has no entry for Xen's paravirtualised guests: it was built without that.
    NoEntry,
    /// It was made for another interface than Xen 3's and later.
    OtherVersion,
    /// It wants a loader of its own.
    OtherLoader,
    /// Its segments lie nowhere, overlap the end of memory, or there are none.
    BadSegments,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotElf => "this is no ELF file for x86-64",
            Self::NoEntry => "it has no entry for paravirtualised Xen guests (CONFIG_XEN_PV)",
            Self::OtherVersion => "it was made for another version of Xen's interface",
            Self::OtherLoader => "it wants a loader of its own",
            Self::BadSegments => "its segments make no sense",
        })
    }
}

impl core::error::Error for Unfit {}

impl<'a> Kernel<'a> {
    /// Reads a kernel's headers and notes.
    ///
    /// # Errors
    /// Says why it can't be started.
    pub fn parse(file: &'a [u8]) -> Result<Self, Unfit> {
        let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|_| Unfit::NotElf)?;
        if elf.ehdr.e_machine != EM_X86_64 || elf.ehdr.class != elf::file::Class::ELF64 {
            return Err(Unfit::NotElf);
        }
        let notes = Notes::read(&elf)?;
        let kernel = Self { elf, notes };
        kernel.extent()?;
        Ok(kernel)
    }

    /// What is loaded, in the order of the file.
    pub fn segments(&self) -> impl Iterator<Item = Result<Segment<'a>, Unfit>> {
        let headers = self.elf.segments().into_iter().flatten();
        headers.filter(|header| header.p_type == PT_LOAD && header.p_memsz > 0).map(|header| {
            let bytes = self.elf.segment_data(&header).map_err(|_| Unfit::BadSegments)?;
            let address = header.p_paddr.checked_sub(self.notes.paddr_offset);
            // What is beyond the file's part is not there; what is beyond memory can't be.
            let fits = bytes.len() as u64 <= header.p_memsz;
            let address = address.filter(|at| fits && at.checked_add(header.p_memsz).is_some_and(|end| end < 1 << 46));
            Ok(Segment { address: address.ok_or(Unfit::BadSegments)?, bytes, size: header.p_memsz })
        })
    }

    /// Where its memory begins and ends, in whole pages.
    ///
    /// # Errors
    /// [`Unfit::BadSegments`].
    pub fn extent(&self) -> Result<(u64, u64), Unfit> {
        let mut extent: Option<(u64, u64)> = None;
        for segment in self.segments() {
            let Segment { address, size, .. } = segment?;
            let end = (address + size).next_multiple_of(PAGE);
            let (first, last) = extent.unwrap_or((address, end));
            extent = Some((first.min(address) / PAGE * PAGE, last.max(end)));
        }
        extent.ok_or(Unfit::BadSegments)
    }
}

impl Notes {
    fn read(elf: &ElfBytes<'_, LittleEndian>) -> Result<Self, Unfit> {
        let mut found = Found::default();
        for header in elf.segments().into_iter().flatten().filter(|header| header.p_type == PT_NOTE) {
            if let Ok(notes) = elf.segment_data_as_notes(&header) {
                found.take(notes)?;
            }
        }
        if found.entry.is_none() {
            for header in elf.section_headers().into_iter().flatten().filter(|header| header.sh_type == SHT_NOTE) {
                if let Ok(notes) = elf.section_data_as_notes(&header) {
                    found.take(notes)?;
                }
            }
        }
        Ok(Self { entry: found.entry.ok_or(Unfit::NoEntry)?, ..found.notes })
    }
}

/// Notes so far.
#[derive(Default)]
struct Found {
    notes: Notes,
    entry: Option<u64>,
}

impl Found {
    fn take(&mut self, notes: NoteIterator<'_, LittleEndian>) -> Result<(), Unfit> {
        for note in notes {
            let Note::Unknown(note) = note else { continue };
            if note.name.strip_suffix(b"\0").unwrap_or(note.name) != b"Xen" {
                continue;
            }
            self.note(note.n_type, note.desc)?;
        }
        Ok(())
    }

    fn note(&mut self, number: u64, value: &[u8]) -> Result<(), Unfit> {
        let text = value.strip_suffix(b"\0").unwrap_or(value);
        let notes = &mut self.notes;
        match number {
            number::ENTRY => self.entry = integer(value),
            number::HYPERCALL_PAGE => notes.hypercall_page = integer(value),
            number::VIRT_BASE => notes.virt_base = integer(value).unwrap_or(0),
            number::PADDR_OFFSET => notes.paddr_offset = integer(value).unwrap_or(0),
            number::HV_START_LOW => notes.hypervisor_start = integer(value),
            number::INIT_P2M => notes.init_p2m = integer(value),
            number::MOD_START_PFN => notes.initrd_by_frame = integer(value).is_some_and(|flag| flag != 0),
            number::SUPPORTED_FEATURES => notes.supported_features = integer(value).unwrap_or(0) as u32,
            number::XEN_VERSION if text != b"xen-3.0" => return Err(Unfit::OtherVersion),
            number::LOADER if text != b"generic" => return Err(Unfit::OtherLoader),
            // 64-bit kernels have no other mode.
            number::PAE_MODE => {}
            _ => {}
        }
        Ok(())
    }
}

/// A number of 4 or 8 bytes.
fn integer(value: &[u8]) -> Option<u64> {
    match value.len() {
        4 => Some(u32::from_le_bytes(value.try_into().ok()?).into()),
        8 => Some(u64::from_le_bytes(value.try_into().ok()?)),
        _ => None,
    }
}
