// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Guests: PZ0008 for their memory, PZ0306, PZ1001, PZ1002, PZ1004.
//!
//! What a kernel needs is in the header of its image (Linux: `Documentation/arch/arm64/booting`):
//!
//! ```text
//!  0x08  text_offset   0x10  image_size   0x18  flags   0x38  "ARM\x64"
//! ```

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::{Guest, Partition};
use parzelle_schema::reader::add_line;
use parzelle_schema::source::{At, Place};
use parzelle_schema::text::show_size;

use super::programs::path_of;
use super::{Ctx, written_size};
use crate::model::Arch;

/// `COMMAND_LINE_SIZE` of Linux on arm64 and x86, with the final zero.
const LONGEST: usize = 2048;

/// What the tool puts before the user's words: `console=…` and the like.
const ADDED: usize = 64;

pub(super) fn check(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for p in &d.partitions {
        let Some(guest) = &p.guest else { continue };
        if !p.memory.is_written() {
            let found = Diagnostic::error(
                "PZ0008",
                format!("the guest `{}` has no `memory`", p.name.value),
                p.table.head,
                "`memory` is required for a guest",
            )
            .counter(guest.table.head, "an operating system takes what it gets");
            let line = "memory = \"256MiB\"";
            cx.push(match p.table.implied_by() {
                Some(head) => {
                    let text = format!("[partition.{}]\n{line}\n\n", p.name.value);
                    found.fix("add", Place { end: head.start, ..head }, text)
                }
                None => add_line(found, &p.table, "add", line),
            });
        }
        command_line(cx, guest);
        if cx.arch == Arch::Aarch64 {
            kernel(cx, p, guest);
        }
    }
}

/// PZ1004.
fn command_line(cx: &mut Ctx<'_>, guest: &Guest) {
    let Some(line) = guest.cmdline.good() else {
        return;
    };
    let length = line.value.text.len() + ADDED + 1;
    if length > LONGEST {
        cx.push(
            Diagnostic::error(
                "PZ1004",
                "the command line is longer than the kernel accepts",
                line.place,
                format!("{} bytes too many", length - LONGEST),
            )
            .counter_if(guest.kernel.place(), format!("takes {LONGEST} bytes, of which the tool uses {ADDED}")),
        );
    }
}

/// PZ1001, PZ1002, PZ0306.
fn kernel(cx: &mut Ctx<'_>, p: &Partition, guest: &Guest) {
    let Some(path) = guest.kernel.good() else {
        return;
    };
    let Ok(bytes) = std::fs::read(path_of(cx.folder, &path.value.text, cx.arch, cx.board_name)) else {
        return;
    };
    if bytes.get(0x38..0x3c) != Some(b"ARM\x64") {
        cx.push(
            Diagnostic::error(
                "PZ1001",
                format!("`{}` is not a kernel that can be booted on `{}`", path.value.text, cx.board_name),
                path.place,
                format!("this is {}", what(&bytes)),
            )
            .counter_if(cx.board_place(), "needs an arm64 `Image`")
            .help(if bytes.starts_with(&[0x1f, 0x8b]) {
                "unpack it: `gzip -dc vmlinuz > Image`"
            } else {
                "the file that the distribution calls `vmlinuz` or `Image`, uncompressed"
            }),
        );
        return;
    }
    let Some(memory) = p.memory.good() else {
        return;
    };
    let size =
        bytes.get(0x10..0x18).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes).max(bytes.len() as u64);
    if memory.value < size {
        let up = size.next_multiple_of(2 << 20);
        cx.push(
            Diagnostic::error(
                "PZ1002",
                format!("`{}` has less memory than its kernel needs", p.name.value),
                memory.place,
                show_size(memory.value),
            )
            .counter(path.place, format!("says that it needs {}", show_size(size)))
            .fix("the least", memory.place, format!("\"{}\"", written_size(up))),
        );
        return;
    }
    room(cx, p, guest, memory, size);
}

/// PZ0306.
fn room(cx: &mut Ctx<'_>, p: &Partition, guest: &Guest, memory: &At<u64>, kernel: u64) {
    let Some(initrd) = guest.initrd.good() else {
        return;
    };
    let file = path_of(cx.folder, &initrd.value.text, cx.arch, cx.board_name);
    let Ok(size) = std::fs::metadata(file).map(|m| m.len()) else {
        return;
    };
    let need = kernel.saturating_add(size);
    if memory.value < need {
        cx.push(
            Diagnostic::error(
                "PZ0306",
                format!("kernel and initrd do not fit the memory of `{}`", p.name.value),
                memory.place,
                show_size(memory.value),
            )
            .counter(initrd.place, format!("{}, beside {} of kernel", show_size(size), show_size(kernel)))
            .fix(
                "the least",
                memory.place,
                format!("\"{}\"", written_size(need.next_multiple_of(2 << 20))),
            ),
        );
    }
}

fn what(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x1f, 0x8b, ..] => "a gzip archive",
        [0x7f, b'E', b'L', b'F', ..] => "an ELF file",
        [b'M', b'Z', _, _, b'z', b'i', b'm', b'g', ..] => "a compressed EFI program (zboot)",
        [b'M', b'Z', ..] => "an EFI program without an arm64 header",
        [] => "an empty file",
        _ if bytes.get(0x202..0x206) == Some(b"HdrS") => "a bzImage for x86",
        _ => "no kernel image",
    }
}
