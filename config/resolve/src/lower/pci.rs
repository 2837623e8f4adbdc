// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! PCI functions (PCI 3.0, §6): all that boot does to them is worked out here, so that the kernel
//! knows nothing of PCI.
//!
//! ```text
//!   boot      expect ids ─► decode off ─► each base address register: size as said? then its address
//!             ─► message interrupts on ─► decode, bus master on
//!   restart   silencing write ─► bus master off ─► stream shut │ stream open ─► bus master on
//! ```
//! The owner sees its configuration space, read-only, and its registers, but for the page with the
//! table of messages: that is the kernel's.

use parzelle_abi::PAGE;
use parzelle_abi::info::ObjectKind;
use parzelle_plan::*;

use super::cell::{Backing, Cell, Line, object};
use super::devices::Places;
use super::names::name;
use crate::model::{Bus, Device, Dma, Pci, Region};

/// Command register: INTx off.
const QUIET: u64 = 1 << 10;
/// Command register: registers in memory decode.
const MEMORY: u64 = 1 << 1;
/// Command register: bus master.
const MASTER: u64 = 1 << 2;
/// Offset of the command register.
const COMMAND: u64 = 4;
/// Offset of the first base address register.
const BARS: u64 = 0x10;
/// Message control: on, the function not masked.
const MSIX_ON: u64 = 1 << 15;
/// The id of the capability.
const MSIX_ID: u64 = 0x11;
/// Bytes of an entry of the table.
const ENTRY: u64 = 16;

/// Steps of boot for one device.
struct Steps<'a>(&'a mut Vec<SetupRecord>, &'a str);

impl Steps<'_> {
    fn push(&mut self, address: u64, value: u64, width: u32, what: u32) {
        self.0.push(SetupRecord { name: name(self.1), access: AccessRecord { address, value, width, what } });
    }

    fn write(&mut self, address: u64, value: u64, width: u32) {
        self.push(address, value, width, ACCESS_WRITE);
    }

    /// Expects a value, but for the bits that are `ignored`.
    fn expect(&mut self, address: u64, value: u64, ignored: u64) {
        self.push(address, value & !ignored | ignored << 32, 4, ACCESS_EXPECT);
    }
}

/// Gives a partition a PCI function.
pub(super) fn add(cell: &mut Cell, device: &Device, pci: &Pci, bus: &Bus, iommu: bool, places: &mut Places) {
    let at = pci.address;
    let source = u32::from(at.bus) << 8 | u32::from(at.device) << 3 | u32::from(at.function);
    let config = bus.configuration.start + (u64::from(source) << 12);
    cell.kernel_pages.insert(config);
    let mut info = object(&device.name, ObjectKind::PciFunction);
    info.address = cell.map_object(&device.name, Backing::Device(config), PAGE, READ | DEVICE);
    (info.size, info.extra) = (PAGE, u64::from(source));
    cell.object(info);

    let bars: Vec<(u8, Region)> =
        pci.bars.iter().map(|&(number, size)| (number, place(places, at.bus, size))).collect();
    let find = |wanted: u8| bars.iter().find(|(number, _)| *number == wanted).map(|(_, region)| *region);
    let table = pci.msix.and_then(|msix| Some((msix, find(msix.bar)?)));
    // The pages of the table of messages, within their register.
    let hidden = table.map(|(msix, bar)| {
        let start = msix.table / PAGE * PAGE;
        let end = (msix.table + ENTRY * u64::from(msix.vectors)).next_multiple_of(PAGE);
        Region { start: bar.start + start, size: end - start }
    });
    for &(number, region) in &bars {
        for part in without(region, hidden) {
            let mut info = object(&device.name, ObjectKind::Registers);
            info.number = u32::from(number);
            info.address = cell.map_object(&device.name, Backing::Device(part.start), part.size, READ | WRITE | DEVICE);
            (info.size, info.extra) = (part.size, part.start - region.start);
            cell.object(info);
        }
    }

    let mut steps = Steps(&mut cell.setups, &device.name);
    if let Some(id) = pci.id {
        steps.expect(config, u64::from(id.device) << 16 | u64::from(id.vendor), 0);
    }
    steps.write(config + COMMAND, QUIET, 2);
    for &(number, region) in &bars {
        let register = config + BARS + 4 * u64::from(number);
        // Ones stay where the register has address bits (§6.2.5.1); below are flags.
        steps.write(register, u64::from(u32::MAX), 4);
        steps.expect(register, u64::from(u32::MAX) & !(region.size - 1), 0xf);
        steps.write(register, region.start, 4);
        if number < 5 && find(number + 1).is_none() {
            // The upper half, if it has 64 bits.
            steps.write(register + 4, region.start >> 32, 4);
        }
    }
    if let Some(((msix, _), hidden)) = table.zip(hidden) {
        let capability = config + u64::from(msix.capability);
        // The table is no longer than what is hidden: its last index in bits 26:16.
        let room = (hidden.size - msix.table % PAGE) / ENTRY;
        let index = (1 << room.ilog2()) - 1;
        steps.expect(capability, MSIX_ID, 0xff00 | index << 16 | 0xf800_0000);
        steps.expect(capability + 4, msix.table | u64::from(msix.bar), 0);
        steps.write(capability + 2, MSIX_ON, 2);
    }
    let master = if device.dma == Dma::None { 0 } else { MASTER };
    steps.write(config + COMMAND, QUIET | MEMORY | master, 2);

    for entry in 0..table.map_or(0, |(msix, _)| msix.vectors) {
        let address = table.map_or(0, |(msix, bar)| bar.start + msix.table) + ENTRY * u64::from(entry);
        cell.kernel_pages.insert(address / PAGE * PAGE);
        let mut info = object(&device.name, ObjectKind::Interrupt);
        info.number = cell.lines.len() as u32;
        info.event = cell.event();
        info.extra = u64::from(entry);
        cell.lines.push(Line { line: places.message, event: info.event, edge: true, entry: address, source });
        cell.object(info);
        places.message += 1;
    }

    let write = |address, value, width, what| AccessRecord { address, value, width, what };
    if let Some((quiesce, bar)) = device.quiesce.and_then(|quiesce| Some((quiesce, quiesce.bar.and_then(find)?))) {
        let address = bar.start + quiesce.at;
        cell.kernel_pages.insert(address / PAGE * PAGE);
        cell.quiesces.push(write(address, quiesce.value, quiesce.width, ACCESS_WRITE));
    }
    if device.dma != Dma::None {
        let stream = |value, what| write(u64::from(source), value, 0, ACCESS_STREAM | what);
        let behind = iommu && device.dma == Dma::Iommu;
        cell.quiesces.push(write(config + COMMAND, QUIET | MEMORY, 2, ACCESS_WRITE));
        cell.quiesces.extend(behind.then(|| stream(0, 0)));
        cell.quiesces.extend(behind.then(|| stream(1, ACCESS_AT_START)));
        cell.quiesces.push(write(config + COMMAND, QUIET | MEMORY | MASTER, 2, ACCESS_WRITE | ACCESS_AT_START));
        cell.streams.extend(behind.then_some(source));
    }
}

/// Gives a base address register its place: a multiple of its size, and pages of its own.
fn place(places: &mut Places, bus: u8, size: u64) -> Region {
    let next = places.next.entry(bus).or_insert(0);
    let start = next.next_multiple_of(size.max(PAGE));
    *next = start + size.next_multiple_of(PAGE);
    Region { start, size }
}

/// What is left of a register's range without some pages, in whole pages.
fn without(region: Region, hidden: Option<Region>) -> impl Iterator<Item = Region> {
    let end = region.start + region.size.next_multiple_of(PAGE);
    let hidden =
        hidden.filter(|hidden| hidden.overlaps(region)).map_or((end, end), |hidden| (hidden.start, hidden.end()));
    let parts = [(region.start, hidden.0), (hidden.1, end)];
    parts.into_iter().filter(|(start, end)| start < end).map(|(start, end)| Region { start, size: end - start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_messages_is_left_out() {
        let region = |start, size| Region { start, size };
        let left = |hidden| without(region(0x8000, 0x4000), hidden).map(|r| (r.start, r.size)).collect::<Vec<_>>();
        assert_eq!(left(None), [(0x8000, 0x4000)]);
        assert_eq!(left(Some(region(0x9000, 0x1000))), [(0x8000, 0x1000), (0xa000, 0x2000)]);
        assert_eq!(left(Some(region(0x8000, 0x4000))), []);
        assert_eq!(left(Some(region(0xc000, 0x1000))), [(0x8000, 0x4000)], "another register's");
    }
}
