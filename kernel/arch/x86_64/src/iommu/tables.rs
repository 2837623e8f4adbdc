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

#[cfg(test)]
mod tests {
    use super::*;
    use parzelle_paging::{Arena, Frame, leaves, translate};
    use parzelle_plan::{PlanBuilder, READ, RegionRecord, Span};
    use zerocopy::IntoBytes;

    const OWN: u64 = 0x200_0000;

    /// Partition 1 has two devices, on buses 0 and 2, a page that they may write and one that they may read.
    fn builder() -> PlanBuilder {
        let mut builder = PlanBuilder::default();
        builder.system.iommu = 0xfed9_0000;
        builder.streams = vec![0x0018, 0x0208];
        let region = |physical, access| RegionRecord { physical, bytes: PAGE, access, ..Default::default() };
        builder.regions =
            vec![region(OWN, READ | WRITE | DMA), region(OWN + PAGE, READ | DMA), region(OWN + 2 * PAGE, READ | WRITE)];
        builder.partitions.push(PartitionRecord::default());
        let (regions, streams) = (Span { first: 0, count: 3 }, Span { first: 0, count: 2 });
        builder.partitions.push(PartitionRecord { regions, streams, ..Default::default() });
        builder
    }

    #[test]
    fn devices_reach_what_is_theirs_and_lines_have_a_source() {
        let blob = builder().write();
        let mut words = vec![0u64; blob.len().div_ceil(8)];
        words.as_mut_bytes()[..blob.len()].copy_from_slice(&blob);
        let plan = Plan::read(words.as_bytes()).unwrap();
        let frames: Vec<Frame> = (0..64).map(|_| Frame::new()).collect();
        let mut tables = Arena::new(&frames, Pa(0x5000_0000));
        let kernel = tables.alloc().unwrap();
        let message = LineRecord { line: 64, flags: LINE_EDGE, ..Default::default() };
        let level = LineRecord { line: 4, ..Default::default() };
        let lines = [(&message, 3, 0x18), (&level, 1, 0xff00)];
        let Iommu { pages, .. } = build(&plan, kernel, &mut tables, lines.into_iter()).unwrap();
        let word = |page: u64, index: usize| tables.read(Pa(page), index);

        let mut reached = Vec::new();
        for (bus, function) in [(0, 0x18), (2, 0x08)] {
            let context = word(pages.root, 2 * bus);
            assert_eq!(context & 0xfff, 1);
            // Domain 2 in 23:8 of the upper word, three levels in 2:0.
            assert_eq!(word(context - 1, 2 * function + 1), 0x201);
            reached.push(word(context - 1, 2 * function) - 1);
            let others = (0..256).filter(|&other| other != function);
            assert!(others.into_iter().all(|other| word(context - 1, 2 * other) == 0));
        }
        assert_eq!(reached[0], reached[1]);
        assert_eq!(word(pages.root, 2), 0, "nobody's bus");
        let root = Pa(reached[0]);
        let all: Vec<_> =
            leaves::<SecondLevel, _>(&tables, root).flatten().map(|leaf| (leaf.va, leaf.access.write)).collect();
        assert_eq!(all, [(OWN, true), (OWN + PAGE, false)]);
        assert_eq!(translate::<SecondLevel>(&tables, root, OWN).unwrap().pa, Pa(OWN));

        // Present 0, level 4, vector 23:16, APIC 47:40; source 79:64, exactly that one 83:82 = 01.
        assert_eq!(
            [word(pages.remapping, 128), word(pages.remapping, 129)],
            [3 << 40 | 0x70 << 16 | 1, 1 << 18 | 0x18]
        );
        assert_eq!(
            [word(pages.remapping, 8), word(pages.remapping, 9)],
            [1 << 40 | 0x34 << 16 | 0x11, 1 << 18 | 0xff00]
        );
        assert_eq!(word(pages.remapping, 0), 0);
        assert_eq!([word(pages.queue, 510), word(pages.queue, 511)], [1 << 32 | 0x25, pages.done]);
        // The kernel changes only what it maps.
        let mapped = |page: u64| translate::<parzelle_paging::LongMode>(&tables, kernel, common(page));
        assert!(mapped(pages.root).is_some_and(|leaf| leaf.memory == Memory::Device) && mapped(pages.done).is_some());
    }
}
