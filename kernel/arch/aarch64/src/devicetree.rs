// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the firmware says of the board (the device tree), held against what the plan says.

use crate::core_block::CORES_MAX;
use crate::refusal::Refusal;
use fdt::helpers::AlignedFallibleNode;
use fdt::parsing::NoPanic;
use fdt::parsing::aligned::AlignedParser;
use fdt::{Fdt, FdtError};
use parzelle_plan::{MemoryRecord, Plan};

type Tree<'a> = Fdt<'a, (AlignedParser<'a>, NoPanic)>;

/// Ranges of RAM that are looked at; boards have a few.
const RANGES: usize = 16;

/// What boot takes from the device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topology {
    /// The affinities of the cores, in the tree's order.
    pub(crate) cores: [u64; CORES_MAX],
}

/// Holds the board against the plan.
pub(crate) fn check(words: &[u32], plan: &Plan<'_>) -> Result<Topology, Refusal> {
    let tree = Fdt::new_fallible(words).map_err(|_| Refusal::DeviceTree("it can't be read"))?;
    check_memory(&tree, plan.memory())?;
    check_firmware(&tree)?;
    check_irqchip(&tree, plan)?;
    cores(&tree, plan.cores().len())
}

/// Bytes of the tree that begins with these words, from its header (Devicetree Specification §5.2).
pub(crate) fn total_bytes(magic: u32, size: u32) -> Option<usize> {
    /// 2 MiB: what the boot protocol allows.
    const MAX: u32 = 2 << 20;
    let (magic, size) = (u32::from_be(magic), u32::from_be(size));
    (magic == 0xd00d_feed && size <= MAX).then_some(size as usize)
}

fn broken(_: FdtError) -> Refusal {
    Refusal::DeviceTree("it is damaged")
}

/// Ranges of RAM: the `reg` of every `memory` node at the top.
fn ram(tree: &Tree<'_>) -> Result<[(u64, u64); RANGES], Refusal> {
    let mut ranges = [(0, 0); RANGES];
    let mut slots = ranges.iter_mut();
    let root = tree.find_node("/").map_err(broken)?.ok_or(Refusal::DeviceTree("it has no root"))?;
    for child in root.children().map_err(broken)?.iter() {
        let child = child.map_err(broken)?;
        if child.name().map_err(broken)?.name != "memory" {
            continue;
        }
        let Some(reg) = child.reg().map_err(broken)? else { continue };
        for entry in reg.iter::<u64, u64>() {
            let entry = entry.map_err(|_| Refusal::DeviceTree("it has memory of more than 64 bits"))?;
            if let Some(slot) = slots.next() {
                *slot = (entry.address, entry.address.saturating_add(entry.len));
            }
        }
    }
    Ok(ranges)
}

fn check_memory(tree: &Tree<'_>, records: &[MemoryRecord]) -> Result<(), Refusal> {
    let ram = ram(tree)?;
    for (index, record) in records.iter().enumerate() {
        let MemoryRecord { address, bytes, .. } = *record;
        let end = address.checked_add(bytes);
        let inside = |&(start, stop): &(u64, u64)| start <= address && end.is_some_and(|end| end <= stop);
        if bytes > 0 && !ram.iter().any(inside) {
            return Err(Refusal::Memory { index, address, bytes });
        }
    }
    Ok(())
}

fn check_firmware(tree: &Tree<'_>) -> Result<(), Refusal> {
    let psci = tree.find_node("/psci").map_err(broken)?.ok_or(Refusal::Firmware)?;
    match psci.raw_property("method").map_err(broken)? {
        Some(method) if method.value == b"smc\0" => Ok(()),
        _ => Err(Refusal::Firmware),
    }
}

/// The first node that is compatible with one of these.
fn compatible<'a>(tree: &Tree<'a>, with: &[&str]) -> Result<Option<AlignedFallibleNode<'a>>, Refusal> {
    tree.all_compatible(with).map_err(broken)?.next().transpose().map_err(broken)
}

fn check_irqchip(tree: &Tree<'_>, plan: &Plan<'_>) -> Result<(), Refusal> {
    let system = plan.system;
    let chips: [(u32, &[&str]); 2] = [(3, &["arm,gic-v3"]), (2, &["arm,cortex-a15-gic", "arm,gic-400"])];
    let mut found = (0, None);
    for (version, names) in chips {
        if let Some(node) = compatible(tree, names)? {
            found = (version, Some(node));
        }
    }
    let (version, Some(node)) = found else {
        return Err(Refusal::IrqChip { plan: system.irqchip, found: 0 });
    };
    if version != system.irqchip {
        return Err(Refusal::IrqChip { plan: system.irqchip, found: version });
    }
    // GICv3: distributor, redistributors; GICv2: distributor, GICC, GICH, GICV.
    let all = [system.irqchip_base, system.irqchip_cpu, system.irqchip_hyp, system.irqchip_vcpu];
    let parts = if version == 3 { 2 } else { 4 };
    let reg = node.reg().map_err(broken)?;
    let mut entries = reg.iter().flat_map(|reg| reg.iter::<u64, u64>());
    for (part, &plan) in all.iter().enumerate().take(parts) {
        let found = entries.next().and_then(Result::ok).map_or(0, |entry| entry.address);
        if found != plan {
            return Err(Refusal::IrqChipAddress { part, plan, found });
        }
    }
    Ok(())
}

fn cores(tree: &Tree<'_>, wanted: usize) -> Result<Topology, Refusal> {
    let mut cores = [0; CORES_MAX];
    let mut found = 0;
    let cpus = tree.find_node("/cpus").map_err(broken)?.ok_or(Refusal::DeviceTree("it has no cpus"))?;
    for child in cpus.children().map_err(broken)?.iter() {
        let child = child.map_err(broken)?;
        if child.name().map_err(broken)?.name != "cpu" {
            continue;
        }
        let Some(reg) = child.raw_property("reg").map_err(broken)? else { continue };
        let affinity = reg.value.iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
        if let Some(slot) = cores.get_mut(found) {
            *slot = affinity;
            found += 1;
        }
    }
    if wanted > found {
        return Err(Refusal::Cores { plan: wanted, found });
    }
    Ok(Topology { cores })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_known() {
        assert_eq!(total_bytes(0xd00d_feed_u32.to_be(), 4096_u32.to_be()), Some(4096));
        assert_eq!(total_bytes(0, 4096_u32.to_be()), None);
        assert_eq!(total_bytes(0xd00d_feed_u32.to_be(), u32::MAX), None);
    }

    /// Writes a tree: the structure block of the Devicetree Specification §5.4, by hand.
    #[derive(Default)]
    struct Writer {
        structs: Vec<u8>,
        strings: Vec<u8>,
    }

    impl Writer {
        fn word(&mut self, word: u32) {
            self.structs.extend(word.to_be_bytes());
        }
        fn pad(&mut self) {
            self.structs.resize(self.structs.len().next_multiple_of(4), 0);
        }
        fn begin(&mut self, name: &str) {
            self.word(1);
            self.structs.extend(name.as_bytes());
            self.structs.push(0);
            self.pad();
        }
        fn end(&mut self) {
            self.word(2);
        }
        fn property(&mut self, name: &str, value: &[u8]) {
            self.word(3);
            self.word(value.len() as u32);
            self.word(self.strings.len() as u32);
            self.strings.extend(name.as_bytes());
            self.strings.push(0);
            self.structs.extend(value);
            self.pad();
        }
        fn cells(&mut self, name: &str, cells: &[u32]) {
            let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
            self.property(name, &bytes);
        }
        fn finish(mut self) -> Vec<u32> {
            self.word(9);
            let structs_at = 56u32;
            let strings_at = structs_at + self.structs.len() as u32;
            let total = strings_at + self.strings.len().next_multiple_of(4) as u32;
            let sizes = [self.strings.len() as u32, self.structs.len() as u32];
            let head = [0xd00d_feed, total, structs_at, strings_at, 40, 17, 16, 0, sizes[0], sizes[1]];
            let mut bytes: Vec<u8> = head.iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
            bytes.extend([0; 16]);
            bytes.extend(&self.structs);
            bytes.extend(&self.strings);
            bytes.resize(total as usize, 0);
            bytes.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect()
        }
    }

    /// A board like QEMU's virt: 16 MiB, two cores, GICv3.
    fn tree(method: &str) -> Vec<u32> {
        let mut writer = Writer::default();
        writer.begin("");
        writer.cells("#address-cells", &[2]);
        writer.cells("#size-cells", &[2]);
        writer.begin("psci");
        writer.property("method", method.as_bytes());
        writer.end();
        writer.begin("memory@40000000");
        writer.cells("reg", &[0, 0x4000_0000, 0, 0x100_0000]);
        writer.end();
        writer.begin("cpus");
        writer.cells("#address-cells", &[1]);
        writer.cells("#size-cells", &[0]);
        for core in [0, 1] {
            writer.begin(&format!("cpu@{core}"));
            writer.cells("reg", &[core]);
            writer.end();
        }
        writer.end();
        writer.begin("intc@8000000");
        writer.property("compatible", b"arm,gic-v3\0");
        writer.cells("reg", &[0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0xf6_0000]);
        writer.end();
        writer.end();
        writer.finish()
    }

    fn outcome(words: &[u32], change: impl Fn(&mut parzelle_plan::PlanBuilder)) -> Result<Topology, Refusal> {
        let mut builder = parzelle_plan::PlanBuilder::default();
        builder.system.irqchip = 3;
        builder.system.irqchip_base = 0x800_0000;
        builder.system.irqchip_cpu = 0x80a_0000;
        builder.cores = vec![parzelle_plan::CoreRecord::default(); 2];
        builder.memory.push(MemoryRecord { address: 0x40ff_f000, bytes: 0x1000, ..Default::default() });
        change(&mut builder);
        let mut blob = builder.write();
        blob.resize(blob.len().next_multiple_of(8), 0);
        let words64: Vec<u64> = blob.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap())).collect();
        let plan = Plan::read(zerocopy::IntoBytes::as_bytes(words64.as_slice())).unwrap();
        check(words, &plan)
    }

    #[test]
    fn the_right_board_passes() {
        let topology = outcome(&tree("smc\0"), |_| ()).unwrap();
        assert_eq!(topology.cores[..2], [0, 1]);
    }

    #[test]
    fn every_difference_has_its_name() {
        let good = tree("smc\0");
        assert_eq!(outcome(&tree("hvc\0"), |_| ()), Err(Refusal::Firmware));
        let more = outcome(&good, |plan| plan.cores.push(Default::default()));
        assert_eq!(more, Err(Refusal::Cores { plan: 3, found: 2 }));
        let beyond = outcome(&good, |plan| plan.memory[0].bytes += 0x1000);
        assert!(matches!(beyond, Err(Refusal::Memory { index: 0, .. })));
        let chip = outcome(&good, |plan| plan.system.irqchip = 2);
        assert_eq!(chip, Err(Refusal::IrqChip { plan: 2, found: 3 }));
        let place = outcome(&good, |plan| plan.system.irqchip_cpu = 0);
        assert_eq!(place, Err(Refusal::IrqChipAddress { part: 1, plan: 0, found: 0x80a_0000 }));
        assert!(matches!(outcome(&[0; 16], |_| ()), Err(Refusal::DeviceTree(_))));
    }

    #[test]
    fn damaged_trees_are_refused_or_read_but_never_panic() {
        let good = tree("smc\0");
        for index in 0..good.len() {
            for bit in 0..32 {
                let mut bad = good.clone();
                bad[index] ^= 1 << bit;
                let _ = outcome(&bad, |_| ());
            }
        }
    }
}
