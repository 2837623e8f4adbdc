// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Programs that were built elsewhere: PZ0203, PZ0205, PZ0206, PZ0207. The file is read as
//! lowering will read it; here it is said where the description asks for it.

use std::path::Path;

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::Partition;
use parzelle_schema::reader::Text;
use parzelle_schema::source::At;

use super::{Ctx, written_address};
use crate::lower::{Program, Unfit};
use crate::model::Arch;

/// The way out of most: how the house links.
const SCRIPT: &str = "use the linker script of `partitions/rt`";

pub(super) fn check(cx: &mut Ctx<'_>, p: &Partition, path: &At<Text>, file: &Path) {
    let bytes = std::fs::read(file).unwrap_or_default();
    let Err(unfit) = Program::parse(&bytes, cx.arch) else {
        return;
    };
    let name = &path.value.text;
    let needs = format!("needs ELF machine {} ({})", cx.arch.elf_machine(), cx.arch.title());
    let (title, label, help) = match &unfit {
        Unfit::Machine(machine) => {
            wrong_machine(cx, path, *machine, &needs);
            return;
        }
        Unfit::NotElf(why) => {
            let title = format!("`{name}` is not a 64-bit ELF program");
            cx.push(
                Diagnostic::error(unfit.code(), title, path.place, why.as_str()).counter_if(cx.board_place(), needs),
            );
            return;
        }
        Unfit::Revision(revision) => (
            format!("`{name}` was built against another kernel interface"),
            format!("revision {revision}; this kernel has {}", parzelle_abi::REVISION),
            "rebuild it",
        ),
        Unfit::WritableCode(address, section) => (
            format!("a segment of `{name}` is writable and executable"),
            format!("{section}{}at {}", if section.is_empty() { "" } else { " " }, written_address(*address)),
            "link it without `-N`, and with a linker script that keeps code and data apart",
        ),
        Unfit::Overlap(first, second) => (
            format!("segments of `{name}` share a page"),
            format!("those at {} and {}", written_address(*first), written_address(*second)),
            SCRIPT,
        ),
        Unfit::Entry(entry) => (
            format!("the entry of `{name}` lies in no executable segment"),
            format!("the entry is {}", written_address(*entry)),
            SCRIPT,
        ),
    };
    cx.push(
        Diagnostic::error(unfit.code(), title, path.place, label)
            .counter(p.table.head, "the program of this partition")
            .help(help),
    );
}

fn wrong_machine(cx: &mut Ctx<'_>, path: &At<Text>, machine: u16, needs: &str) {
    let known = [Arch::Aarch64, Arch::X86_64].into_iter().find(|a| a.elf_machine() == machine);
    let is = known.map_or_else(|| format!("for ELF machine {machine}"), |a| format!("an {} program", a.title()));
    let label =
        known.map_or_else(|| format!("ELF machine {machine}"), |a| format!("ELF machine {machine} ({})", a.title()));
    let text = &path.value.text;
    let title = format!("`{text}` is {is}, `{}` is an {} board", cx.board_name, cx.arch.title());
    let mut d = Diagnostic::error("PZ0203", title, path.place, label).counter_if(cx.board_place(), needs);
    if !text.contains("{arch}") && cx.boards.len() > 1 {
        let split = text.rfind('/').map_or(0, |n| n + 1);
        let (folder, name) = text.split_at(split);
        d = d.fix(
            "keep one file per architecture and let the tool choose",
            path.place,
            format!("\"{folder}{{arch}}/{name}\""),
        );
    }
    cx.push(d);
}
