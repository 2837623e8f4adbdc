// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The plan, and whether it is for this machine.

use super::acpi::Acpi;
use super::physical::Physical;
use super::pvh::StartInfo;
use super::{FIRMWARE, Refusal, ensure, same};
use crate::iommu::Unit;
use crate::irqchip::LINES_MAX;
use crate::layout::{BOOT_WINDOW, PAGE};
use crate::ports;
use parzelle_abi::names::Name;
use parzelle_abi::x86_64::IO_PORTS_MAX;
use parzelle_plan::{ARCH_X86_64, LineRecord, PartitionRecord, Plan, PlanError, digest};

const NO_RAM: &str = "has no RAM: build for a board with less, or start it with more";
const NO_DEVICE: &str = "has a device that is not there, or not behind the IOMMU";
const CHANGED: &str = "has a wrong digest: the image was changed";

/// Reads the plan that begins at physical address `at`; returns its digest, too.
pub(crate) fn plan(memory: &impl Physical, at: u64) -> Result<(Plan<'static>, u64), Refusal> {
    let head = memory.bytes(at, Plan::HEADER_BYTES as u64).ok_or(PlanError::Magic)?;
    let needed = Plan::total_bytes(head)?;
    let plan = Plan::read(memory.bytes(at, needed).ok_or(PlanError::Truncated(needed, 0))?)?;
    let (words, _) = head.as_chunks::<8>();
    let digest = words.get(1).map_or(0, |word| u64::from_le_bytes(*word));
    Ok((plan, digest))
}

/// Architecture and board.
pub(crate) fn check_identity(plan: &Plan<'_>, board: &'static str) -> Result<(), Refusal> {
    same("ELF machine", u64::from(plan.system.arch), u64::from(ARCH_X86_64))?;
    ensure(plan.system.board.as_str() == board, Refusal::Board(plan.system.board, board))
}

/// All memory that the plan uses is RAM, and boot, which runs under a root with 4 GiB, reaches it.
pub(crate) fn check_memory(plan: &Plan<'_>, info: &StartInfo) -> Result<(), Refusal> {
    let system = plan.system;
    let name = |text| Name::new(text).unwrap_or(plan.system.name);
    let own = [
        (name("the image"), system.image, system.image_bytes),
        (name("kernel objects"), system.arena, system.arena_bytes),
        (name("page tables"), system.tables, system.tables_bytes),
    ];
    let planned = plan.memory().iter().map(|record| (record.name, record.address, record.bytes));
    for (name, address, bytes) in own.into_iter().chain(planned) {
        ensure(address.saturating_add(bytes) <= BOOT_WINDOW, Refusal::reach(name, address))?;
        ensure(info.is_ram(address, bytes), Refusal::Named(name, address, NO_RAM))?;
    }
    Ok(())
}

/// No partition has more I/O ports than a switch may open.
pub(crate) fn check_ports(plan: &Plan<'_>) -> Result<(), Refusal> {
    let count = |partition: &PartitionRecord| ports::count(partition.io_ports.of(plan.io_ports()));
    let most = plan.partitions().iter().map(count).max().unwrap_or(0);
    ensure(most <= IO_PORTS_MAX, Refusal::Differs("most I/O ports of a partition", most, IO_PORTS_MAX))
}

/// Every part of the image is as the tool wrote it.
pub(crate) fn check_segments(plan: &Plan<'_>, memory: &impl Physical) -> Result<(), Refusal> {
    for segment in plan.segments() {
        let bytes = memory.bytes(segment.address, segment.bytes);
        let is_whole = bytes.map(digest) == Some(segment.digest);
        ensure(is_whole, Refusal::Named(segment.name, segment.address, CHANGED))?;
    }
    Ok(())
}

/// Cores and interrupt controllers.
pub(crate) fn check_controllers(plan: &Plan<'_>, acpi: &Acpi) -> Result<(), Refusal> {
    let (count, found) = (plan.cores().len(), acpi.apics().len());
    ensure((1..=found).contains(&count), Refusal::Differs("number of cores", count as u64, found as u64))?;
    let io = acpi.io.ok_or(Refusal::Sentence(FIRMWARE, "MADT names no IO-APIC for line 0"))?;
    let system = plan.system;
    same("address of the local APIC", system.irqchip_base, acpi.local)?;
    same("address of the IO-APIC", system.irqchip_cpu, io)?;
    if system.iommu != 0 {
        same("address of the IOMMU", system.iommu, acpi.iommu.map_or(0, Unit::registers))?;
        for partition in plan.partitions() {
            let open = |&&id: &&u32| !acpi.iommu.is_some_and(|unit| unit.has(id));
            let found = partition.streams.of(plan.streams()).iter().find(open);
            ensure(found.is_none(), Refusal::Named(partition.name, found.map_or(0, |&id| id.into()), NO_DEVICE))?;
        }
    }
    let whole = (acpi.local | io).is_multiple_of(PAGE);
    ensure(whole, Refusal::Sentence(FIRMWARE, "interrupt controllers begin in the middle of a page"))
}

/// What the plan says of an interrupt line, and the APIC of its owner's core, if it has one.
pub(crate) fn line<'p>(plan: &Plan<'p>, apics: &[u8], line: u32) -> Option<(&'p LineRecord, u8)> {
    let record = plan.lines().iter().find(|record| record.line == line)?;
    let core = plan.vcpus().get(record.vcpu as usize)?.core;
    Some((record, *apics.get(core as usize)?))
}

/// Refuses lines that the IO-APIC doesn't have, and messages without a vector; returns how many lines
/// there are.
pub(crate) fn check_lines(plan: &Plan<'_>, lines: u32) -> Result<u32, Refusal> {
    let room = |record: &LineRecord| if record.entry == 0 { lines } else { LINES_MAX };
    match plan.lines().iter().find(|record| record.line >= room(record)) {
        Some(LineRecord { line, .. }) => {
            Err(Refusal::Differs("interrupt line, of how many", u64::from(*line), u64::from(lines)))
        }
        None => Ok(plan.lines().iter().map(|record| record.line + 1).fold(lines, u32::max)),
    }
}
