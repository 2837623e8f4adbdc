// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The board with the options of this system.

use std::collections::BTreeMap;

use parzelle_schema::file::Device as Written;
use parzelle_schema::source::At;
use parzelle_schema::tree::Value;

use super::Order;
use crate::model::*;
use crate::rules::Ctx;

fn region(r: &At<(u64, u64)>) -> Region {
    Region { start: r.value.0, size: r.value.1 }
}

fn regions(list: Option<&Vec<At<(u64, u64)>>>) -> IntervalSet {
    let mut out: Vec<Region> = list.into_iter().flatten().map(region).collect();
    out.sort_by_key(|r| r.start);
    out
}

fn option(value: &Value) -> Option<OptionValue> {
    match value {
        Value::Integer(Some(n)) => Some(OptionValue::Number(*n)),
        Value::String { text, .. } => Some(OptionValue::Word(text.clone())),
        _ => None,
    }
}

pub(super) fn derive(cx: &Ctx<'_>, order: &Order) -> Option<Board> {
    let b = cx.board;
    let mut options = BTreeMap::new();
    for (name, values) in &b.options {
        let chosen = cx.d.options.iter().find(|(k, _)| k.name == name.value).map(|(_, n)| &n.value);
        options.insert(name.value.clone(), option(chosen.or(values.first().map(|v| &v.value))?)?);
    }
    let mut devices = Vec::new();
    for name in &order.devices {
        let written = cx.d.devices.iter().chain(&b.devices).find(|d| d.name.value == *name)?;
        devices.push(device(written));
    }
    Some(Board {
        name: cx.board_name.to_owned(),
        folder: cx.env.boards().join(cx.board_name),
        arch: cx.arch,
        cores: u32::try_from(b.cores.good()?.value).ok()?,
        ram: regions(b.ram.good().map(|r| &r.value)),
        reserved: regions(b.reserved.good().map(|r| &r.value)),
        tick: b.tick.good().map_or(1, |t| t.value),
        shortest_window: b.shortest_window.good().map_or(0, |t| t.value),
        buses: buses(cx)?,
        iommu: b.iommu.good().map(|i| i.value.text.clone()),
        console: b.console.good().and_then(|c| order.device(&c.value.text)),
        options,
        kernel_load: u64::try_from(b.kernel_load.good()?.value).ok()?,
        irqchip: b
            .irqchip
            .iter()
            .map(|(name, (start, size))| (name.clone(), Region { start: *start, size: *size }))
            .collect(),
        devices,
        run: b.command.as_ref().map(|command| Run { command: command.clone(), arguments: b.arguments.clone() }),
        ram_place: b.line("ram"),
    })
}

/// Fills `{cores}` and the options into the emulator's arguments.
pub(super) fn fill_in(board: &mut Board, cores: u32) {
    let Some(run) = &mut board.run else { return };
    for argument in &mut run.arguments {
        *argument = argument.replace("{cores}", &cores.to_string());
        for (name, value) in &board.options {
            let value = match value {
                OptionValue::Number(n) => n.to_string(),
                OptionValue::Word(w) => w.clone(),
            };
            *argument = argument.replace(&format!("{{{name}}}"), &value);
        }
    }
}

fn buses(cx: &Ctx<'_>) -> Option<Vec<Bus>> {
    let mut out = Vec::new();
    for bus in &cx.board.buses {
        out.push(Bus {
            name: bus.name.value.clone(),
            number: bus.number,
            configuration: region(bus.configuration.good()?),
            memory: region(bus.memory.good()?),
        });
    }
    out.sort_by_key(|bus| bus.number);
    Some(out)
}

fn pci(d: &Written) -> Option<Pci> {
    let address = d.pci.good()?.value;
    let bars = d.bars.iter().map(|(number, size)| (*number, size.value)).collect();
    Some(Pci { address, id: d.id.good().map(|id| id.value), bars, msix: d.msix.as_ref().map(|m| m.value) })
}

fn device(d: &Written) -> Device {
    Device {
        pci: pci(d),
        qemu: d.qemu.good().map(|q| q.value.text.clone()),
        name: d.name.value.clone(),
        class: d.class.good().map_or("other", |c| c.value).to_owned(),
        registers: d.registers.iter().map(region).collect(),
        ports: d.ports.iter().map(region).collect(),
        interrupts: d.interrupts.iter().filter_map(|i| u32::try_from(i.value).ok()).collect(),
        edge: d.edge,
        quiesce: d.quiesce,
        dma: match d.dma.value {
            parzelle_schema::file::Dma::None => Dma::None,
            parzelle_schema::file::Dma::Iommu => Dma::Iommu,
            parzelle_schema::file::Dma::Direct => Dma::Direct,
        },
        owner: None,
        kernel: d.kernel,
        head: d.table.head,
    }
}
