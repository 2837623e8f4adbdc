// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The ELF image of x86-64: the kernel's segments and notes (PVH: where QEMU enters), and one
//! segment more with plan and payload, right behind the kernel's memory.
//!
//! ```text
//!   ELF header │ program headers │ notes │ segments, each at its page offset │ plan │ payload
//! ```
//! Written by hand: two structures of the System V ABI, and no sections.

use anyhow::Result;
use object::elf::{PF_R, PT_LOAD, PT_NOTE};
use parzelle_abi::PAGE;

use super::KernelFile;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;

/// A program header (System V ABI, "Program Header").
struct Part<'a> {
    kind: u32,
    flags: u32,
    virtual_address: u64,
    physical: u64,
    bytes: &'a [u8],
    size: u64,
    align: u64,
}

/// Makes the image; returns where the plan is in it, too.
pub(super) fn write(kernel: &KernelFile, plan: &[u8], payload: &[u8]) -> Result<(Vec<u8>, u64)> {
    let behind: Vec<u8> = [plan, payload].concat();
    let mut parts: Vec<Part<'_>> = kernel
        .notes
        .iter()
        .map(|note| Part {
            kind: PT_NOTE.0,
            flags: PF_R.0,
            virtual_address: 0,
            physical: 0,
            bytes: note,
            size: note.len() as u64,
            align: 4,
        })
        .collect();
    parts.extend(kernel.segments.iter().map(|segment| Part {
        kind: PT_LOAD.0,
        flags: segment.flags,
        virtual_address: segment.virtual_address,
        physical: segment.physical,
        bytes: &segment.bytes,
        size: segment.size,
        align: PAGE,
    }));
    let offset = kernel.segments.first().map_or(0, |first| first.virtual_address.wrapping_sub(first.physical));
    parts.push(Part {
        kind: PT_LOAD.0,
        flags: PF_R.0,
        virtual_address: kernel.end.wrapping_add(offset),
        physical: kernel.end,
        bytes: &behind,
        size: behind.len() as u64,
        align: PAGE,
    });

    let mut image = header(kernel, parts.len());
    image.resize(HEADER + parts.len() * PROGRAM_HEADER, 0);
    let mut plan_at = 0;
    for (index, part) in parts.iter().enumerate() {
        let at = place(image.len() as u64, part);
        image.resize(at as usize, 0);
        image.extend_from_slice(part.bytes);
        let words = [at, part.virtual_address, part.physical, part.bytes.len() as u64, part.size, part.align];
        let mut head: Vec<u8> = [part.kind, part.flags].iter().flat_map(|word| word.to_le_bytes()).collect();
        head.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        let start = HEADER + index * PROGRAM_HEADER;
        if let Some(slot) = image.get_mut(start..start + PROGRAM_HEADER) {
            slot.copy_from_slice(&head);
        }
        plan_at = at;
    }
    Ok((image, plan_at))
}

/// The next offset at which a part may lie: congruent to its address.
fn place(behind: u64, part: &Part<'_>) -> u64 {
    let base = behind.next_multiple_of(part.align);
    base + part.virtual_address % part.align
}

/// The ELF header (System V ABI, "ELF Header"): 64 bits, little-endian, executable.
fn header(kernel: &KernelFile, parts: usize) -> Vec<u8> {
    let mut head = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    head.extend(2u16.to_le_bytes());
    head.extend(kernel.machine.to_le_bytes());
    head.extend(1u32.to_le_bytes());
    head.extend(kernel.entry.to_le_bytes());
    head.extend((HEADER as u64).to_le_bytes());
    head.extend(0u64.to_le_bytes());
    head.extend(0u32.to_le_bytes());
    for half in [HEADER, PROGRAM_HEADER, parts, 0, 0, 0] {
        head.extend((half as u16).to_le_bytes());
    }
    head
}
