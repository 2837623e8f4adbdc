// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Devices: registers, I/O ports and interrupt lines of their owners, and what silences them.

use std::collections::BTreeMap;

use parzelle_abi::PAGE;
use parzelle_abi::info::ObjectKind;
use parzelle_plan::{ACCESS_WRITE, AccessRecord, DEVICE, READ, WRITE};
use parzelle_schema::diagnostic::Diagnostic;

use super::cell::{Backing, Cell, Line, object};
use super::{findings, pci};
use crate::model::{Arch, Device, System};

/// The number of the first line that is a message: behind those of the interrupt controller.
const MESSAGES: u32 = 64;

/// What is given out while devices get their places.
#[derive(Debug)]
pub(super) struct Places {
    /// By number of the bus: where the next base address register may point.
    pub(super) next: BTreeMap<u8, u64>,
    /// The next line that is a message.
    pub(super) message: u32,
}

/// Gives each partition its devices.
/// Finds those for whose registers there is no room.
pub(crate) fn devices(system: &System, cells: &mut [Cell]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let board = &system.board;
    let next = board.buses.iter().map(|bus| (bus.number, bus.memory.start)).collect();
    let mut places = Places { next, message: MESSAGES };
    for (cell, partition) in cells.iter_mut().zip(&system.partitions) {
        for device in partition.devices.iter().filter_map(|index| board.devices.get(index.0)) {
            add(cell, device);
            let pci = device.pci.as_ref();
            let bus = pci.and_then(|pci| board.buses.iter().find(|bus| bus.number == pci.address.bus));
            match pci.zip(bus) {
                // Configuration space in memory and messages as lines are x86-64's, so far.
                Some((pci, bus)) if board.arch == Arch::X86_64 => {
                    pci::add(cell, device, pci, bus, board.iommu.is_some(), &mut places);
                    let full = places.next.get(&bus.number).is_some_and(|&next| next > bus.memory.end());
                    found.extend(full.then(|| findings::no_place(device, bus)));
                }
                _ => silence(cell, device),
            }
        }
    }
    found
}

fn add(cell: &mut Cell, device: &Device) {
    for registers in &device.registers {
        let start = registers.start / PAGE * PAGE;
        let bytes = registers.end().next_multiple_of(PAGE) - start;
        let mut info = object(&device.name, ObjectKind::Registers);
        let access = READ | WRITE | DEVICE;
        let address = cell.map_object(&device.name, Backing::Device(start), bytes, access);
        info.address = address + (registers.start - start);
        info.size = registers.size;
        cell.object(info);
    }
    for ports in &device.ports {
        let mut info = object(&device.name, ObjectKind::IoPorts);
        info.address = ports.start;
        info.size = ports.size;
        cell.object(info);
    }
    for &line in &device.interrupts {
        let mut info = object(&device.name, ObjectKind::Interrupt);
        info.number = cell.lines.len() as u32;
        info.event = cell.event();
        info.extra = u64::from(line);
        cell.lines.push(Line { line, event: info.event, edge: device.edge, ..Line::default() });
        cell.object(info);
    }
}

/// A device that is no PCI function is silenced by one write, if the board says which.
fn silence(cell: &mut Cell, device: &Device) {
    let write = device.quiesce.filter(|quiesce| quiesce.bar.is_none()).zip(device.registers.first());
    if let Some((quiesce, registers)) = write {
        let address = registers.start + quiesce.at;
        cell.kernel_pages.insert(address / PAGE * PAGE);
        let (value, width) = (quiesce.value, quiesce.width);
        cell.quiesces.push(AccessRecord { address, value, width, what: ACCESS_WRITE });
    }
}
