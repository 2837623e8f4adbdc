// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! From the plan to the tables of the IOMMU (VT-d, §9).

use super::{Iommu, PRESENT, Pages};
use crate::boot::Refusal;
use crate::irqchip::LINES;
use crate::layout::{PAGE, common};
use crate::mmio::Registers;
use crate::space::{REGISTERS, put};
use parzelle_abi::names::Name;
use parzelle_paging::{Access, Mapping, Memory, Pa, SecondLevel, Tables, map};
use parzelle_plan::{DMA, LINE_EDGE, LineRecord, PartitionRecord, Plan, WRITE};
use spin::mutex::TicketMutex;

/// Context entry, upper word: three levels.
const THREE_LEVELS: u64 = 1;
/// Remapping entry: level-triggered.
const LEVEL: u64 = 1 << 4;
/// Remapping entry, upper word: only from the device with exactly that requester id.
const FROM: u64 = 1 << 18;

/// A round of invalidations: context entries; translations, when reads and writes under way are
/// done; remapping entries; then a word is written (§6.5.2).
const COMMANDS: [u64; 4] = [0x11, 0xd2, 0x04, 1 << 32 | 0x25];
/// Bytes of a round.
pub(super) const ROUND: u32 = 16 * COMMANDS.len() as u32;

/// Makes all tables. `lines` says of a line to which APIC it goes, and from which device it comes.
///
/// # Errors
/// The arena is too small, or what a device shall reach can't be mapped.
pub(crate) fn build<'p>(
    plan: &Plan<'p>,
    kernel: Pa,
    tables: &mut impl Tables,
    lines: impl Iterator<Item = (&'p LineRecord, u8, u16)>,
) -> Result<Iommu, Refusal> {
    let name = plan.system.name;
    let [root, queue, remapping, done] =
        [page(kernel, name, tables)?, table(tables)?, table(tables)?, page(kernel, name, tables)?];
    for (index, partition) in plan.partitions().iter().enumerate().filter(|(_, partition)| partition.streams.count > 0)
    {
        let reached = second_level(plan, partition, tables)?;
        for &stream in partition.streams.of(plan.streams()) {
            let (bus, function) = (2 * (stream >> 8) as usize, 2 * (stream & 0xff) as usize);
            let context = match tables.read(root, bus) {
                0 => page(kernel, name, tables)?,
                there => Pa(there & !PRESENT),
            };
            tables.write(root, bus, context.0 | PRESENT);
            tables.write(context, function, reached.0 | PRESENT);
            tables.write(context, function + 1, (index as u64 + 1) << 8 | THREE_LEVELS);
        }
    }
    for (line, apic, source) in lines {
        let at = 2 * line.line as usize;
        let trigger = if line.flags & LINE_EDGE != 0 { 0 } else { LEVEL };
        let vector = LINES + u64::from(line.line);
        tables.write(remapping, at, u64::from(apic) << 40 | vector << 16 | trigger | PRESENT);
        tables.write(remapping, at + 1, FROM | u64::from(source));
    }
    for (number, command) in COMMANDS.into_iter().cycle().take((PAGE / 16) as usize).enumerate() {
        tables.write(queue, 2 * number, command);
        tables.write(queue, 2 * number + 1, if number % COMMANDS.len() == 3 { done.0 } else { 0 });
    }
    // SAFETY: boot has found the unit at this address, and the kernel's root, which is linked to all,
    // maps it.
    let registers = unsafe { Registers::new(common(plan.system.iommu)) };
    let pages = Pages { root: root.0, queue: queue.0, remapping: remapping.0, done: done.0 };
    Ok(Iommu { registers, pages, tail: TicketMutex::new(0) })
}

/// Takes a page.
fn table(tables: &mut impl Tables) -> Result<Pa, Refusal> {
    tables.alloc().ok_or(Refusal::room("the IOMMU's tables"))
}

/// Takes a page that the kernel will change: it maps it uncached.
fn page(kernel: Pa, name: Name, tables: &mut impl Tables) -> Result<Pa, Refusal> {
    let page = table(tables)?;
    put(tables, kernel, name, common(page.0), page.0..page.0 + PAGE, REGISTERS)?;
    Ok(page)
}

/// Makes the table of what the devices of a partition reach, each thing at its physical address.
fn second_level(plan: &Plan<'_>, partition: &PartitionRecord, tables: &mut impl Tables) -> Result<Pa, Refusal> {
    let root = table(tables)?;
    for region in partition.regions.of(plan.regions()).iter().filter(|region| region.access & DMA != 0) {
        let (va, len) = (region.physical, region.bytes);
        let access = Access { read: true, write: region.access & WRITE != 0, execute: false, user: true };
        let mapping = Mapping { va, pa: Pa(va), len, access, memory: Memory::Normal };
        map::<SecondLevel>(tables, root, &mapping).map_err(|error| Refusal::Map(region.name, error))?;
    }
    Ok(root)
}
