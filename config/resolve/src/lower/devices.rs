// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Devices: registers, I/O ports and interrupt lines of their owners.

use parzelle_abi::PAGE;
use parzelle_abi::info::ObjectKind;
use parzelle_plan::{DEVICE, READ, WRITE};

use super::cell::{Backing, Cell, Line, object};
use crate::model::{Device, System};

/// Gives each partition its devices.
pub(crate) fn devices(system: &System, cells: &mut [Cell]) {
    for (cell, partition) in cells.iter_mut().zip(&system.partitions) {
        for device in partition.devices.iter().filter_map(|index| system.board.devices.get(index.0)) {
            add(cell, device);
        }
    }
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
        cell.lines.push(Line { line, event: info.event, edge: device.edge });
        cell.object(info);
    }
}
