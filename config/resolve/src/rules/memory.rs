// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Memory, as far as it is known without building: PZ0303, PZ0304, PZ0305, PZ0308, PZ0309.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::source::{At, Place};
use parzelle_schema::text::show_size;

use super::{Ctx, written_address, written_size};
use crate::model::Region;

/// The page of both architectures.
pub(crate) const PAGE: u64 = 4096;

pub(super) fn check(cx: &mut Ctx<'_>) {
    let d = cx.d;
    let mut physical: Vec<(Region, Place, String)> = Vec::new();
    for p in &d.partitions {
        let name = p.name.value.clone();
        for (field, key) in [(&p.memory, "memory"), (&p.stack, "stack"), (&p.dma_memory, "dma-memory")] {
            if let Some(at) = field.good() {
                whole_pages(cx, at, p.table.entry(key).map(|(k, _)| k.place));
            }
        }
        if let Some(at) = p.physical.good()
            && let (Some(start), Some(memory)) =
                (address(cx, at, p.table.entry("physical").map(|(k, _)| k.place)), p.memory.good())
        {
            physical.push((Region { start, size: memory.value }, at.place, name));
        }
    }
    for s in &d.shared {
        if let Some(at) = s.size.good() {
            whole_pages(cx, at, s.table.entry("size").map(|(k, _)| k.place));
        }
        if let Some(at) = s.physical.good()
            && let (Some(start), Some(size)) =
                (address(cx, at, s.table.entry("physical").map(|(k, _)| k.place)), s.size.good())
        {
            physical.push((Region { start, size: size.value }, at.place, s.name.value.clone()));
        }
    }
    ranges(cx, &physical);
    metadata(cx);
}

/// PZ0305 for a size.
fn whole_pages(cx: &mut Ctx<'_>, at: &At<u64>, key: Option<Place>) {
    if at.value.is_multiple_of(PAGE) {
        return;
    }
    let up = at.value.div_ceil(PAGE).saturating_mul(PAGE);
    cx.push(
        Diagnostic::error(
            "PZ0305",
            format!("{} are not whole pages", show_size(at.value)),
            at.place,
            "not a multiple of 4 KiB",
        )
        .counter_if(key, "memory is given in pages")
        .fix("rounded up", at.place, format!("\"{}\"", written_size(up))),
    );
}

/// PZ0305 for an address.
fn address(cx: &mut Ctx<'_>, at: &At<i64>, key: Option<Place>) -> Option<u64> {
    let value = u64::try_from(at.value).ok()?;
    if value.is_multiple_of(PAGE) {
        return Some(value);
    }
    let up = value.div_ceil(PAGE).saturating_mul(PAGE);
    cx.push(
        Diagnostic::error(
            "PZ0305",
            format!("{} is not the address of a page", written_address(value)),
            at.place,
            "not a multiple of 4 KiB",
        )
        .counter_if(key, "memory is given in pages")
        .fix("rounded up", at.place, written_address(up)),
    );
    None
}

/// PZ0303 and PZ0304.
fn ranges(cx: &mut Ctx<'_>, physical: &[(Region, Place, String)]) {
    for (at, (region, place, name)) in physical.iter().enumerate() {
        if let Some((other, other_place, other_name)) = physical[..at].iter().find(|(o, _, _)| o.overlaps(*region)) {
            cx.push(
                Diagnostic::error(
                    "PZ0303",
                    format!("the memory of `{name}` and of `{other_name}` overlap"),
                    *place,
                    span(*region),
                )
                .counter(*other_place, span(*other))
                .fix("the next free address", *place, written_address(other.end().div_ceil(PAGE).saturating_mul(PAGE)))
                .help("or delete `physical`: the tool chooses"),
            );
        }
        let list = |f: &parzelle_schema::reader::Field<Vec<At<(u64, u64)>>>| -> Vec<(Region, Place)> {
            f.good()
                .map(|l| l.value.iter().map(|r| (Region { start: r.value.0, size: r.value.1 }, r.place)).collect())
                .unwrap_or_default()
        };
        let ram = list(&cx.board.ram);
        if !ram.is_empty() && !ram.iter().any(|(r, _)| r.start <= region.start && region.end() <= r.end()) {
            let line = cx.board.line("ram");
            cx.push(
                Diagnostic::error(
                    "PZ0304",
                    format!("the memory of `{name}` is not in the RAM of `{}`", cx.board_name),
                    *place,
                    span(*region),
                )
                .counter_if(line, "all the RAM of this board")
                .help("delete `physical`: the tool chooses"),
            );
            continue;
        }
        let kernel = cx
            .board
            .kernel_load
            .good()
            .and_then(|k| Some((Region { start: u64::try_from(k.value).ok()?, size: PAGE }, k.place)));
        let hit = list(&cx.board.reserved)
            .into_iter()
            .find(|(r, _)| r.overlaps(*region))
            .map(|h| (h, "firmware keeps this"))
            .or_else(|| kernel.filter(|(k, _)| k.overlaps(*region)).map(|h| (h, "the kernel is loaded here")));
        if let Some(((taken, taken_place), why)) = hit {
            cx.push(
                Diagnostic::error(
                    "PZ0304",
                    format!("the memory of `{name}` is not free on `{}`", cx.board_name),
                    *place,
                    span(*region),
                )
                .counter(taken_place, why)
                .fix(
                    "an address behind it",
                    *place,
                    written_address(taken.end().div_ceil(16 << 20).saturating_mul(16 << 20)),
                )
                .help("or delete `physical`: the tool chooses"),
            );
        }
    }
}

/// PZ0308 and PZ0309.
fn metadata(cx: &mut Ctx<'_>) {
    let d = cx.d;
    for (at, p) in d.partitions.iter().enumerate() {
        let metadata = cx.facts.packages.get(at).cloned().flatten();
        let wants = metadata.as_ref().and_then(|m| m.metadata.stack);
        if let (Some(stack), Some(wants)) = (p.stack.good(), wants)
            && stack.value < wants
        {
            cx.push(
                Diagnostic::error(
                    "PZ0308",
                    format!("the stack of `{}` is smaller than its program needs", p.name.value),
                    stack.place,
                    format!("the program asks for {}", show_size(wants)),
                )
                .counter_if(p.krate.place(), format!("`stack = \"{}\"` in this crate's metadata", written_size(wants)))
                .fix("that size", stack.place, format!("\"{}\"", written_size(wants))),
            );
        }
        let asked = metadata.as_ref().and_then(|m| m.metadata.dma_memory);
        if let (None, Some(asked), Some(memory)) = (p.dma_memory.place(), asked, p.memory.good())
            && asked > memory.value
        {
            cx.push(
                Diagnostic::error(
                    "PZ0309",
                    format!("the devices of `{}` shall reach more than its memory", p.name.value),
                    memory.place,
                    show_size(memory.value),
                )
                .counter_if(
                    p.krate.place(),
                    format!("`dma-memory = \"{}\"` in this crate's metadata", written_size(asked)),
                )
                .fix(
                    "a larger memory",
                    memory.place,
                    format!("\"{}\"", written_size(asked.saturating_mul(2))),
                ),
            );
        }
        if let (Some(dma), Some(memory)) = (p.dma_memory.good(), p.memory.good())
            && dma.value > memory.value
        {
            cx.push(
                Diagnostic::error(
                    "PZ0309",
                    format!("the devices of `{}` shall reach more than its memory", p.name.value),
                    dma.place,
                    show_size(dma.value),
                )
                .counter(memory.place, format!("of {}", show_size(memory.value)))
                .fix(
                    "a larger memory",
                    memory.place,
                    format!("\"{}\"", written_size(dma.value.saturating_mul(2))),
                ),
            );
        }
    }
}

fn span(region: Region) -> String {
    format!("{} to {}", written_address(region.start), written_address(region.end()))
}
