// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! A partition's program, loader, vCPUs and memory.

use parzelle_abi::PAGE;
use parzelle_abi::info::{LoadSegment, ObjectKind, layout};
use parzelle_plan::{EXECUTE, READ, WRITE};

use super::blocks::{Block, Blocks, Part};
use super::cell::{Backing, Bus, Cell, object};
use super::payload::Payload;
use super::program::{Program, Segment};
use crate::model::{Arch, Partition};

/// Lays out what every partition has. `Err` is what `memory` would have to be.
pub(crate) fn lay_out(
    index: usize,
    arch: Arch,
    partition: &Partition,
    program: &Program,
    loader: &Program,
    payload: &mut Payload,
    blocks: &mut Blocks,
) -> Result<Cell, u64> {
    let mut cell = Cell::new(super::guest::base(partition, arch));
    let vcpus = partition.vcpus.value.len() as u64;
    home(&mut cell, index, partition, blocks);
    for segment in loader.segments.iter().filter(|segment| !segment.write) {
        let base = cell.base;
        map_constant(&mut cell, payload, "loader", base, segment);
    }
    cell.entry = program.entry;

    let stack = partition.stack.value.next_multiple_of(PAGE);
    let writable = program.writable();
    let data: u64 = writable.iter().map(|(start, end)| end - start).sum();
    let heap = partition.heap.value.next_multiple_of(PAGE);
    let dma = partition.dma_memory.value.next_multiple_of(PAGE);
    let needed = data + vcpus * stack + heap + dma;
    let own = if partition.guest.is_some() { None } else { partition.memory.value };
    let memory = own.unwrap_or(needed).next_multiple_of(PAGE);
    if memory < needed {
        return Err(needed);
    }
    cell.memory_bytes = memory;
    let heap = memory - data - vcpus * stack - dma;
    let part = |name: &str, bytes, zero| Part { name: name.to_owned(), bytes, zero };
    let block = blocks.add(Block {
        parts: [
            part("data", data, false),
            part("stacks", vcpus * stack, true),
            part("heap", heap, false),
            part("dma memory", dma, true),
        ]
        .into_iter()
        .filter(|part| part.bytes > 0)
        .collect(),
        partition: Some(index),
        users: Vec::new(),
        wish: if partition.guest.is_some() {
            None
        } else {
            partition.physical.map(|address| (address, partition.places.physical))
        },
        owner: partition.name.clone(),
        why: if partition.guest.is_some() { "shim" } else { "memory" },
    });

    let mut offset = 0;
    for (start, end) in writable {
        cell.map("data", start, Backing::Block(block, offset), end - start, READ | WRITE);
        offset += end - start;
    }
    stacks(&mut cell, vcpus, stack, |below| Backing::Block(block, offset + (vcpus - 1 - below) * stack));
    offset += vcpus * stack;
    if heap > 0 {
        let behind = program.end().max(cell.base + layout::PROGRAM);
        let fits = behind + heap <= cell.base + layout::OBJECTS;
        cell.heap = if fits { behind } else { cell.base + layout::GUEST };
        cell.heap_bytes = heap;
        cell.map("heap", cell.heap, Backing::Block(block, offset), heap, READ | WRITE);
        offset += heap;
    }
    if dma > 0 {
        reached(&mut cell, Backing::Block(block, offset), dma);
    }
    for segment in &program.segments {
        if segment.write {
            load(&mut cell, payload, segment);
        } else {
            map_constant(&mut cell, payload, if segment.execute { "text" } else { "constants" }, 0, segment);
        }
    }
    Ok(cell)
}

/// Contexts (the kernel's alone) and vCPU pages.
fn home(cell: &mut Cell, index: usize, partition: &Partition, blocks: &mut Blocks) {
    let vcpus = partition.vcpus.value.len() as u64;
    cell.context_bytes = if partition.guest.is_some() { 2 * PAGE } else { PAGE };
    let contexts = vcpus * cell.context_bytes;
    let part = |name: &str, bytes| Part { name: name.to_owned(), bytes, zero: true };
    let home = blocks.add(Block {
        parts: vec![part("contexts", contexts), part("vcpu pages", vcpus * PAGE)],
        partition: Some(index),
        users: Vec::new(),
        wish: None,
        owner: partition.name.clone(),
        why: "vCPUs",
    });
    cell.home = Some(home);
    let backing = Backing::Block(home, contexts);
    cell.map("vcpu pages", cell.base + layout::VCPU_PAGES, backing, vcpus * PAGE, READ | WRITE);
}

/// Maps one stack per vCPU, that of vCPU 0 on top, with a hole below each.
fn stacks(cell: &mut Cell, vcpus: u64, stack: u64, backing: impl Fn(u64) -> Backing) {
    cell.stack_stride = stack + PAGE;
    let bottom = cell.reserve(vcpus * cell.stack_stride);
    cell.stack_top = bottom + vcpus * cell.stack_stride;
    for vcpu in 0..vcpus {
        let top = cell.stack_top - vcpu * cell.stack_stride;
        cell.map("stack", top - stack, backing(vcpu), stack, READ | WRITE);
    }
}

/// The part of the memory that the partition's devices reach.
fn reached(cell: &mut Cell, backing: Backing, bytes: u64) {
    let mut info = object("dma-memory", ObjectKind::DmaMemory);
    info.address = cell.map_reached("dma memory", backing, bytes, READ | WRITE);
    info.size = bytes;
    let number = cell.object(info);
    cell.buses.push((Bus::Object(number), backing));
}

/// Maps a segment that nobody writes straight from the image, so much higher than it says.
fn map_constant(cell: &mut Cell, payload: &mut Payload, title: &str, higher: u64, segment: &Segment) {
    let (start, end) = segment.pages();
    let mut bytes = vec![0; (segment.address - start) as usize];
    bytes.extend_from_slice(&segment.bytes);
    bytes.resize((end - start) as usize, 0);
    let (offset, bytes) = payload.add(title, bytes);
    let access = if segment.execute { READ | EXECUTE } else { READ };
    cell.map(title, higher + start, Backing::Image(offset), bytes, access);
}

/// Maps a segment's pristine bytes, and tells the loader what to do with them.
fn load(cell: &mut Cell, payload: &mut Payload, segment: &Segment) {
    let mut from = 0;
    if !segment.bytes.is_empty() {
        let lead = segment.address % PAGE;
        let mut bytes = vec![0; lead as usize];
        bytes.extend_from_slice(&segment.bytes);
        let (offset, bytes) = payload.add("pristine data", bytes);
        from = cell.map_object("pristine data", Backing::Image(offset), bytes, READ) + lead;
    }
    cell.segments.push(LoadSegment {
        to: segment.address,
        from,
        bytes: segment.bytes.len() as u64,
        size: segment.size,
        retained: u64::from(segment.retained),
    });
}
