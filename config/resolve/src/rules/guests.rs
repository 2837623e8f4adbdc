// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Guests: PZ0008 for their memory, PZ0306, PZ0307, PZ1001, PZ1002, PZ1003, PZ1004.
//!
//! What a kernel needs is in the header of its image (Linux: `Documentation/arch/arm64/booting`):
//!
//! ```text
//!  0x08  text_offset   0x10  image_size   0x18  flags   0x38  "ARM\x64"
//! ```
//! or, on x86-64, in the segments and notes of the ELF file that a bzImage carries: `crate::guest`.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::{Guest, Partition};
use parzelle_schema::reader::{Text, add_line};
use parzelle_schema::source::{At, Place};
use parzelle_schema::text::show_size;

use super::programs::path_of;
use super::share::{self, Kind, Link};
use super::{Ctx, written_size};
use crate::guest::{self, Obstacle};
use crate::model::Arch;

/// The longest command line, with the final zero: `COMMAND_LINE_SIZE` of Linux on arm64; on x86-64
/// `MAX_GUEST_CMDLINE` of Xen's `start_info`.
fn longest(arch: Arch) -> usize {
    match arch {
        Arch::Aarch64 => 2048,
        Arch::X86_64 => 1024,
    }
}

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
        let Some(path) = guest.kernel.good() else { continue };
        let Ok(bytes) = std::fs::read(path_of(cx.folder, &path.value.text, cx.arch, cx.board_name)) else { continue };
        drivers(cx, p, guest, path, &bytes);
        match cx.arch {
            Arch::Aarch64 => image(cx, p, guest, path, &bytes),
            Arch::X86_64 => {
                paravirtual(cx, p, guest, path, bytes);
                pool(cx, p, guest);
            }
        }
    }
}

/// PZ1003 (warning). A driver that is built in names its parameters with the name of its module.
fn drivers(cx: &mut Ctx<'_>, p: &Partition, guest: &Guest, path: &At<Text>, bytes: &[u8]) {
    if guest.initrd.is_written() {
        return;
    }
    let uses = |link: &Link<'_>| link.ends.iter().any(|e| e.end.partition == p.name.value);
    let links: Vec<Link<'_>> = share::all(cx).into_iter().filter(uses).collect();
    let kinds = [(Kind::Disk, &b"xen_blkfront."[..]), (Kind::Network, &b"xen_netfront."[..])];
    let wanted: Vec<_> =
        kinds.iter().filter_map(|(kind, word)| Some((links.iter().find(|l| l.kind == *kind)?, *word))).collect();
    if wanted.is_empty() {
        return;
    }
    let Ok(kernel) = guest::kernel(cx.arch, bytes.to_vec()) else {
        return; // PZ1001
    };
    for (link, word) in wanted {
        let title = String::from_utf8_lossy(word).trim_end_matches('.').to_owned();
        if kernel.windows(word.len()).any(|window| window == word) {
            continue;
        }
        cx.push(
            Diagnostic::warning(
                "PZ1003",
                format!("the kernel of `{}` has no driver for `{}`", p.name.value, link.name),
                link.table.head,
                format!("used by `{}`", p.name.value),
            )
            .counter(path.place, format!("`{title}` is not built in, and there is no initrd"))
            .help("`initrd = …`: as the distribution ships it, it has the driver as a module"),
        );
    }
}

/// PZ1004.
fn command_line(cx: &mut Ctx<'_>, guest: &Guest) {
    let Some(line) = guest.cmdline.good() else {
        return;
    };
    let length = line.value.text.len() + ADDED + 1;
    let longest = longest(cx.arch);
    if length > longest {
        cx.push(
            Diagnostic::error(
                "PZ1004",
                "the command line is longer than the kernel accepts",
                line.place,
                format!("{} bytes too many", length - longest),
            )
            .counter_if(guest.kernel.place(), format!("takes {longest} bytes, of which the tool uses {ADDED}")),
        );
    }
}

/// PZ1001, PZ1002, PZ0306 on x86-64.
fn paravirtual(cx: &mut Ctx<'_>, p: &Partition, guest: &Guest, path: &At<Text>, bytes: Vec<u8>) {
    let initrd = initrd(cx, guest);
    let size = initrd.map_or(0, |(_, size)| size);
    let memory = p.memory.good();
    let unpacked = guest::kernel(cx.arch, bytes).map_err(Obstacle::Unfit);
    let room = memory.map_or(u64::MAX / 2, |at| at.value);
    let Err(obstacle) = unpacked.and_then(|kernel| guest::fits(&kernel, size, room)) else {
        return;
    };
    match (obstacle, memory) {
        (Obstacle::Unfit(found), _) => cx.push(
            Diagnostic::error(
                "PZ1001",
                format!("`{}` is not a kernel that can be booted on `{}`", path.value.text, cx.board_name),
                path.place,
                format!("this is {found}"),
            )
            .counter_if(cx.board_place(), "needs a bzImage or an ELF file whose notes name an entry for Xen")
            .help("the `vmlinuz` of a distribution whose kernels are built with `CONFIG_XEN_PV`, as Debian's are"),
        ),
        (Obstacle::Kernel(needed), Some(memory)) => too_little(cx, p, memory, path.place, needed),
        (Obstacle::Room(kernel, least), Some(memory)) => {
            let place = initrd.map_or(path.place, |(place, _)| place);
            no_room(cx, p, memory, (place, size), kernel, least);
        }
        (_, None) => {}
    }
}

/// Tables by which a guest maps its memory once in pages of 4 KiB; more by so many tenths for what it
/// maps elsewhere besides, and so many to begin with.
const MAPPED: u64 = 2 << 20;
/// See [`MAPPED`].
const TENTHS: u64 = 14;
/// See [`MAPPED`].
const FIRST: u64 = 64;

/// PZ0307.
fn pool(cx: &mut Ctx<'_>, p: &Partition, guest: &Guest) {
    let (Some(memory), Some(pool)) = (p.memory.good(), guest.page_tables.good()) else {
        return;
    };
    let needed = (memory.value.div_ceil(MAPPED) * TENTHS).div_ceil(10) + FIRST;
    let least = (needed * parzelle_abi::PAGE).next_multiple_of(64 << 10);
    if pool.value < least {
        cx.push(
            Diagnostic::error(
                "PZ0307",
                format!("the page tables of `{}` can't map its memory", p.name.value),
                pool.place,
                format!("room for {} tables", pool.value / parzelle_abi::PAGE),
            )
            .counter(memory.place, format!("takes {needed} tables in pages of 4 KiB"))
            .fix("the least", pool.place, format!("\"{}\"", written_size(least)))
            .help("or delete `page-tables`: by default they get 1/64 of `memory`, and 1 MiB or more"),
        );
    }
}

/// PZ1001, PZ1002, PZ0306 on arm64.
fn image(cx: &mut Ctx<'_>, p: &Partition, guest: &Guest, path: &At<Text>, bytes: &[u8]) {
    if bytes.get(0x38..0x3c) != Some(b"ARM\x64") {
        cx.push(
            Diagnostic::error(
                "PZ1001",
                format!("`{}` is not a kernel that can be booted on `{}`", path.value.text, cx.board_name),
                path.place,
                format!("this is {}", what(bytes)),
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
        too_little(cx, p, memory, path.place, size);
        return;
    }
    if let Some(initrd) = initrd(cx, guest) {
        let need = size.saturating_add(initrd.1);
        if memory.value < need {
            no_room(cx, p, memory, initrd, size, need);
        }
    }
}

/// Where the initrd is named, and its bytes.
fn initrd(cx: &Ctx<'_>, guest: &Guest) -> Option<(Place, u64)> {
    let initrd = guest.initrd.good()?;
    let file = path_of(cx.folder, &initrd.value.text, cx.arch, cx.board_name);
    Some((initrd.place, std::fs::metadata(file).ok()?.len()))
}

/// PZ1002.
fn too_little(cx: &mut Ctx<'_>, p: &Partition, memory: &At<u64>, kernel: Place, needed: u64) {
    let title = format!("`{}` has less memory than its kernel needs", p.name.value);
    cx.push(
        Diagnostic::error("PZ1002", title, memory.place, show_size(memory.value))
            .counter(kernel, format!("says that it needs {}", show_size(needed)))
            .fix("the least", memory.place, least(needed)),
    );
}

/// PZ0306.
fn no_room(cx: &mut Ctx<'_>, p: &Partition, memory: &At<u64>, initrd: (Place, u64), kernel: u64, needed: u64) {
    let title = format!("kernel and initrd do not fit the memory of `{}`", p.name.value);
    cx.push(
        Diagnostic::error("PZ0306", title, memory.place, show_size(memory.value))
            .counter(initrd.0, format!("{}, beside {} of kernel", show_size(initrd.1), show_size(kernel)))
            .fix("the least", memory.place, least(needed)),
    );
}

/// A size as it is proposed.
fn least(bytes: u64) -> String {
    format!("\"{}\"", written_size(bytes.next_multiple_of(2 << 20)))
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
