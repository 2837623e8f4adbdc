// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A built program: what an ELF file says that lowering needs, and the rules about it.
//!
//! ```text
//!   PT_LOAD R   ──► mapped read-only, straight from the image
//!   PT_LOAD RX  ──► mapped executable, straight from the image
//!   PT_LOAD RW  ──► memory of the partition; the loader copies the pristine bytes at each start
//!                   (unless it covers a section `.retained…`: kept at a warm start)
//! ```

use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection, elf};
use parzelle_abi::PAGE;

use parzelle_schema::diagnostic::{Diagnostic, Label, Severity};

use crate::model::{Arch, Board, Partition};

/// A program, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it begins.
    pub entry: u64,
    /// Its loadable segments, sorted by address.
    pub segments: Vec<Segment>,
}

/// A loadable segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Virtual address.
    pub address: u64,
    /// The bytes that the file has.
    pub bytes: Vec<u8>,
    /// Its size in memory.
    pub size: u64,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
    /// Kept at a warm start.
    pub retained: bool,
}

impl Segment {
    /// The address after the last byte.
    pub fn end(&self) -> u64 {
        self.address.saturating_add(self.size)
    }

    /// The first page and the page after the last one.
    pub fn pages(&self) -> (u64, u64) {
        (self.address / PAGE * PAGE, self.end().next_multiple_of(PAGE))
    }
}

/// Why a file can't be a program. Each is a rule of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is not an ELF file that can be read: the reason. (PZ0203)
    NotElf(String),
    /// It is for another machine: the ELF number. (PZ0203)
    Machine(u16),
    /// It was built against another revision of the kernel interface. (PZ0205)
    Revision(u32),
    /// A segment is writable and executable: its address and section. (PZ0206)
    WritableCode(u64, String),
    /// Two segments share a page. (PZ0207)
    Overlap(u64, u64),
    /// The entry does not lie in an executable segment. (PZ0207)
    Entry(u64),
}

impl Unfit {
    /// The rule that it breaks.
    pub fn code(&self) -> &'static str {
        match self {
            Unfit::NotElf(_) | Unfit::Machine(_) => "PZ0203",
            Unfit::Revision(_) => "PZ0205",
            Unfit::WritableCode(..) => "PZ0206",
            Unfit::Overlap(..) | Unfit::Entry(_) => "PZ0207",
        }
    }
}

/// Where a program says against which revision it was built.
const NOTE_SECTION: &str = ".note.parzelle";

impl Unfit {
    /// Says so, about the program of a partition.
    pub fn finding(&self, partition: &Partition, board: &Board) -> Diagnostic {
        let name = &partition.name;
        let (title, label, help) = match self {
            Unfit::NotElf(why) => {
                (format!("the program of `{name}` can't be read"), why.clone(), "an ELF file of 64 bits is needed")
            }
            Unfit::Machine(machine) => (
                format!("the program of `{name}` is not for `{}`", board.name),
                format!("ELF machine {machine}; {} is {}", board.arch.title(), board.arch.elf_machine()),
                "keep one file per architecture and let the tool choose, by `{arch}` in the path",
            ),
            Unfit::Revision(revision) => (
                format!("the program of `{name}` was built against another kernel interface"),
                format!("revision {revision}; this kernel has {}", parzelle_abi::REVISION),
                "rebuild it",
            ),
            Unfit::WritableCode(address, section) => (
                format!("a segment of `{name}` is writable and executable"),
                format!("`{section}` at {address:#x}"),
                "link it with the linker script of `rt`, or without `-N`",
            ),
            Unfit::Overlap(first, second) => (
                format!("segments of `{name}` share a page"),
                format!("those at {first:#x} and {second:#x}"),
                "link it with the linker script of `rt`, or with `-z separate-code`",
            ),
            Unfit::Entry(entry) => (
                format!("the entry of `{name}` is not in its code"),
                format!("{entry:#x} lies in no executable segment"),
                "link it with the linker script of `rt`, which has `ENTRY(_start)`",
            ),
        };
        let place = partition.places.program.or(partition.places.head);
        let found = Diagnostic {
            code: self.code(),
            severity: Severity::Error,
            title,
            primary: place.map(|place| Label { place, text: label }),
            counters: Vec::new(),
            notes: Vec::new(),
            helps: Vec::new(),
        };
        found.help(help)
    }
}

impl Program {
    /// Parses an ELF file for a board of architecture `arch`.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn parse(file: &[u8], arch: Arch) -> Result<Program, Unfit> {
        let elf: ElfFile64<'_, Endianness> =
            ElfFile64::parse(file).map_err(|error| Unfit::NotElf(error.to_string()))?;
        let endian = elf.endian();
        let machine = elf.elf_header().e_machine(endian);
        if machine != elf::Machine(arch.elf_machine()) {
            return Err(Unfit::Machine(machine.0));
        }
        if let Some(found) = revision(&elf).filter(|&found| found != parzelle_abi::REVISION) {
            return Err(Unfit::Revision(found));
        }
        let mut segments = Vec::new();
        for header in elf.elf_program_headers() {
            let size = header.p_memsz(endian);
            if header.p_type(endian) != elf::PT_LOAD || size == 0 {
                continue;
            }
            let address = header.p_vaddr(endian);
            let bytes =
                header.data(endian, file).map_err(|()| Unfit::NotElf("a segment lies outside of the file".into()))?;
            let flags = header.p_flags(endian);
            let write = flags.0 & elf::PF_W.0 != 0;
            let execute = flags.0 & elf::PF_X.0 != 0;
            let section = section_at(&elf, address, address.saturating_add(size));
            if write && execute {
                return Err(Unfit::WritableCode(address, section));
            }
            segments.push(Segment {
                address,
                bytes: bytes.to_vec(),
                size,
                write,
                execute,
                retained: write && section.starts_with(".retained"),
            });
        }
        segments.sort_by_key(|segment| segment.address);
        let program = Program { entry: elf.entry(), segments };
        program.check()?;
        Ok(program)
    }

    fn check(&self) -> Result<(), Unfit> {
        for pair in self.segments.windows(2) {
            let [first, second] = pair else { continue };
            let same = first.write && second.write;
            let meet = if same { first.end() > second.address } else { first.pages().1 > second.pages().0 };
            if meet {
                return Err(Unfit::Overlap(first.address, second.address));
            }
        }
        let inside = |segment: &Segment| segment.execute && (segment.address..segment.end()).contains(&self.entry);
        if self.segments.iter().any(inside) { Ok(()) } else { Err(Unfit::Entry(self.entry)) }
    }

    /// The page after its last one.
    pub fn end(&self) -> u64 {
        self.segments.iter().map(|segment| segment.pages().1).max().unwrap_or(0)
    }

    /// The ranges of pages that its writable segments take; neighbours are joined.
    pub fn writable(&self) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (start, end) in self.segments.iter().filter(|s| s.write).map(Segment::pages) {
            match ranges.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => ranges.push((start, end)),
            }
        }
        ranges
    }
}

/// The revision in the program's note, if it has one: the last four bytes of the section.
fn revision(elf: &ElfFile64<'_, Endianness>) -> Option<u32> {
    let data = elf.section_by_name(NOTE_SECTION)?.data().ok()?;
    Some(u32::from_le_bytes(*data.last_chunk::<4>()?))
}

/// The name of the first section within a range.
fn section_at(elf: &ElfFile64<'_, Endianness>, start: u64, end: u64) -> String {
    elf.sections()
        .filter(|section| section.size() > 0 && (start..end).contains(&section.address()))
        .min_by_key(ObjectSection::address)
        .and_then(|section| section.name().ok().map(str::to_owned))
        .unwrap_or_default()
}
