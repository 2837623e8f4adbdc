// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What the firmware says of the board (the device tree), held against what the plan says.

use crate::core_block::CORES_MAX;
use crate::refusal::{Refusal, same};
use fdt::nodes::AsNode;
use fdt::parsing::NoPanic;
use fdt::parsing::aligned::AlignedParser;
use fdt::{Fdt, FdtError};
use parzelle_plan::{MemoryRecord, Plan};

type Tree<'a> = Fdt<'a, (AlignedParser<'a>, NoPanic)>;

/// Ranges of RAM that are looked at; boards have a few.
const RANGES: usize = 16;

impl From<FdtError> for Refusal {
    fn from(_: FdtError) -> Refusal {
        Refusal::Missing("a device tree that can be read: this one is damaged")
    }
}

/// Holds the board against the plan. Returns the affinities of the cores, in the tree's order.
pub(crate) fn check(words: &[u32], plan: &Plan<'_>) -> Result<[u64; CORES_MAX], Refusal> {
    let tree = Fdt::new_fallible(words)?;
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

/// Ranges of RAM: start and end, from the `reg` of every `memory` node.
fn ram(tree: &Tree<'_>) -> Result<[(u64, u64); RANGES], Refusal> {
    let mut ranges = [(0, 0); RANGES];
    let mut slots = ranges.iter_mut();
    for node in tree.find_all_nodes_with_name("memory")? {
        let Some(reg) = node?.reg()? else { continue };
        for (entry, slot) in reg.iter::<u64, u64>().zip(&mut slots) {
            let entry = entry.map_err(|_| Refusal::Missing("memory at addresses of 64 bits at most"))?;
            *slot = (entry.address, entry.address.saturating_add(entry.len));
        }
    }
    Ok(ranges)
}

fn check_memory(tree: &Tree<'_>, records: &[MemoryRecord]) -> Result<(), Refusal> {
    let ram = ram(tree)?;
    for (index, record) in records.iter().enumerate().filter(|(_, record)| record.bytes > 0) {
        let holds = |range: &&(u64, u64)| range.0 <= record.address && record.address < range.1;
        let stop = ram.iter().find(holds).map_or(0, |range| range.1);
        let end = record.address.saturating_add(record.bytes);
        same("the end of the RAM that holds memory", Some(index), end, end.min(stop))?;
    }
    Ok(())
}

fn check_firmware(tree: &Tree<'_>) -> Result<(), Refusal> {
    let psci = tree.find_node("/psci")?;
    let method = psci.map(|node| node.raw_property("method")).transpose()?.flatten();
    let is_smc = method.is_some_and(|method| method.value == b"smc\0");
    is_smc.then_some(()).ok_or(Refusal::Missing("firmware that is called by smc (PSCI)"))
}

fn check_irqchip(tree: &Tree<'_>, plan: &Plan<'_>) -> Result<(), Refusal> {
    let system = plan.system;
    let all = [system.irqchip_base, system.irqchip_cpu, system.irqchip_hyp, system.irqchip_vcpu];
    // GICv3: distributor, redistributors; GICv2: distributor, GICC, GICH, GICV.
    let (names, parts): (&[&str], usize) =
        if system.irqchip == 2 { (&["arm,cortex-a15-gic", "arm,gic-400"], 4) } else { (&["arm,gic-v3"], 2) };
    let node = tree.all_compatible(names)?.next().transpose()?;
    let node = node.ok_or(Refusal::Missing("an interrupt controller of the plan's version"))?;
    let reg = node.reg()?;
    let mut entries = reg.iter().flat_map(|reg| reg.iter::<u64, u64>());
    for (part, &wanted) in all.iter().enumerate().take(parts) {
        let found = entries.next().and_then(Result::ok).map_or(0, |entry| entry.address);
        same("the address of the interrupt controller's part", Some(part), wanted, found)?;
    }
    Ok(())
}

fn cores(tree: &Tree<'_>, wanted: usize) -> Result<[u64; CORES_MAX], Refusal> {
    let mut cores = [0; CORES_MAX];
    let mut found = 0;
    for (core, slot) in tree.root()?.cpus()?.iter()?.zip(&mut cores) {
        // `Cpu::reg` panics when the tree is damaged.
        let Some(reg) = core?.as_node().raw_property("reg")? else { continue };
        *slot = reg.value.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        found += 1;
    }
    same("how many of the plan's cores can be used", None, wanted as u64, wanted.min(found) as u64)?;
    Ok(cores)
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

    fn outcome(words: &[u32], change: impl Fn(&mut parzelle_plan::PlanBuilder)) -> Result<[u64; CORES_MAX], Refusal> {
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
        let cores = outcome(&tree("smc\0"), |_| ()).unwrap();
        assert_eq!(cores[..2], [0, 1]);
    }

    #[test]
    fn every_difference_has_its_name() {
        let good = tree("smc\0");
        let said = |words: &[u32], change: fn(&mut parzelle_plan::PlanBuilder)| {
            outcome(words, change).unwrap_err().to_string()
        };
        assert!(said(&tree("hvc\0"), |_| ()).contains("called by smc"));
        let more = said(&good, |plan| plan.cores.push(Default::default()));
        assert_eq!(more, "how many of the plan's cores can be used: 0x2 instead of 0x3");
        let beyond = said(&good, |plan| plan.memory[0].bytes += 0x1000);
        assert_eq!(beyond, "the end of the RAM that holds memory 0: 0x41000000 instead of 0x41001000");
        let elsewhere = said(&good, |plan| plan.memory[0].address = 0x3fff_f000);
        assert_eq!(elsewhere, "the end of the RAM that holds memory 0: 0x0 instead of 0x40000000");
        assert!(said(&good, |plan| plan.system.irqchip = 2).contains("the plan's version"));
        let place = said(&good, |plan| plan.system.irqchip_cpu = 0);
        assert_eq!(place, "the address of the interrupt controller's part 1: 0x80a0000 instead of 0x0");
        assert!(said(&[0; 16], |_| ()).contains("damaged"));
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
