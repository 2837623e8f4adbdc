// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Programs that were built elsewhere: PZ0203, PZ0206, PZ0207.

use std::path::Path;

use object::elf::{PF_W, PF_X, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf::FileHeader64};
use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::Partition;
use parzelle_schema::reader::Text;
use parzelle_schema::source::At;

use super::Ctx;
use crate::model::Arch;

/// A loadable segment: address, bytes, flags.
type Segment = (u64, u64, u32);

pub(super) fn check(cx: &mut Ctx<'_>, p: &Partition, path: &At<Text>, file: &Path) {
    let bytes = std::fs::read(file).unwrap_or_default();
    let Some((machine, entry, segments)) = read(&bytes) else {
        cx.push(
            Diagnostic::error(
                "PZ0203",
                format!("`{}` is not a 64-bit ELF program", path.value.text),
                path.place,
                "no ELF64 header, or a damaged one",
            )
            .counter_if(
                cx.board_place(),
                format!(
                    "needs ELF machine {} ({})",
                    cx.arch.elf_machine(),
                    cx.arch.title()
                ),
            ),
        );
        return;
    };
    if machine != cx.arch.elf_machine() {
        wrong_machine(cx, path, machine);
        return;
    }
    for (at, (address, _, flags)) in segments.iter().enumerate() {
        if flags & PF_W.0 != 0 && flags & PF_X.0 != 0 {
            cx.push(
                Diagnostic::error("PZ0206", format!("a segment of `{}` is writable and executable", path.value.text), path.place, format!("segment {at}, at {address:#x}"))
                    .counter(p.table.head, "the program of this partition")
                    .help("link without `-N`/`--omagic`, and with a linker script that keeps code and data in different segments"),
            );
        }
    }
    let mut sorted = segments.clone();
    sorted.sort_unstable();
    let overlap = sorted.windows(2).find_map(|w| match w {
        [a, b] if a.0.saturating_add(a.1) > b.0 => Some((a.0, b.0)),
        _ => None,
    });
    if let Some((a, b)) = overlap {
        cx.push(
            Diagnostic::error(
                "PZ0207",
                format!("segments of `{}` overlap", path.value.text),
                path.place,
                format!("those at {a:#x} and {b:#x}"),
            )
            .counter(p.table.head, "the program of this partition")
            .help("use the linker script of `partitions/rt`"),
        );
    }
    let inside = segments
        .iter()
        .any(|(a, size, flags)| flags & PF_X.0 != 0 && entry >= *a && entry - a < *size);
    if !inside {
        cx.push(
            Diagnostic::error(
                "PZ0207",
                format!(
                    "the entry of `{}` lies in no executable segment",
                    path.value.text
                ),
                path.place,
                format!("the entry is {entry:#x}"),
            )
            .counter(p.table.head, "the program of this partition")
            .help("use the linker script of `partitions/rt`"),
        );
    }
}

/// (machine, entry, segments) of a little-endian ELF64 program.
fn read(bytes: &[u8]) -> Option<(u16, u64, Vec<Segment>)> {
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let mut segments = Vec::new();
    for segment in header.program_headers(endian, bytes).ok()? {
        if segment.p_type(endian) == PT_LOAD {
            segments.push((
                segment.p_vaddr(endian),
                segment.p_memsz(endian),
                segment.p_flags(endian).0,
            ));
        }
    }
    Some((header.e_machine(endian).0, header.e_entry(endian), segments))
}

fn wrong_machine(cx: &mut Ctx<'_>, path: &At<Text>, machine: u16) {
    let known = [Arch::Aarch64, Arch::X86_64]
        .into_iter()
        .find(|a| a.elf_machine() == machine);
    let is = known.map_or_else(
        || format!("for ELF machine {machine}"),
        |a| format!("an {} program", a.title()),
    );
    let mut d = Diagnostic::error(
        "PZ0203",
        format!(
            "`{}` is {is}, `{}` is an {} board",
            path.value.text,
            cx.board_name,
            cx.arch.title()
        ),
        path.place,
        known.map_or_else(
            || format!("ELF machine {machine}"),
            |a| format!("ELF machine {machine} ({})", a.title()),
        ),
    )
    .counter_if(
        cx.board_place(),
        format!(
            "needs ELF machine {} ({})",
            cx.arch.elf_machine(),
            cx.arch.title()
        ),
    );
    if !path.value.text.contains("{arch}") && cx.boards.len() > 1 {
        let (folder, name) = path
            .value
            .text
            .rsplit_once('/')
            .map_or(("", path.value.text.as_str()), |(f, n)| (f, n));
        let slash = if folder.is_empty() { "" } else { "/" };
        d = d.fix(
            "keep one file per architecture and let the tool choose",
            path.place,
            format!("\"{folder}{slash}{{arch}}/{name}\""),
        );
    }
    cx.push(d);
}
