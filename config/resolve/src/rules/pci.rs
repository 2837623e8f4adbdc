// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! PCI functions and what they reach: PZ0706, PZ0707, PZ0709; PZ0007 and PZ0008 for what the plan has
//! to know of them.

use parzelle_schema::diagnostic::Diagnostic;
use parzelle_schema::file::{Device, Dma};
use parzelle_schema::nearest::listed;
use parzelle_schema::reader::add_line;
use parzelle_schema::text::{PciAddress, show_size};

use super::devices::Owned;
use super::{Ctx, written_size};

/// What the metadata of a program without needs suggests.
const SOME: u64 = 64 << 10;
/// Bytes of an entry of a table of message interrupts (PCI 3.0, §6.8.2).
const ENTRY: u64 = 16;

pub(super) fn check(cx: &mut Ctx<'_>, owned: &[Owned<'_>]) {
    let d = cx.d;
    for device in &d.devices {
        known(cx, device);
        if device.pci.good().is_some() {
            place(cx, device);
        }
    }
    reach(cx, owned);
    together(cx, owned);
}

/// PZ0007, PZ0008.
fn known(cx: &mut Ctx<'_>, device: &Device) {
    let name = &device.name.value;
    if !device.pci.is_written() {
        for key in ["id", "bars", "msix"] {
            if let Some((key, node)) = device.table.entry(key) {
                let title = format!("`{}` is for PCI devices", key.name);
                let found = Diagnostic::error("PZ0008", title, node.place, "of which function?");
                cx.push(add_line(
                    found.counter(device.table.head, "has no `pci`"),
                    &device.table,
                    "add",
                    "pci = \"00:05.0\"",
                ));
                return;
            }
        }
        return;
    }
    if device.table.entry("bars").is_none() && device.registers.is_empty() {
        let found = Diagnostic::error(
            "PZ0008",
            format!("the sizes of the registers of `{name}` are not known"),
            device.table.head,
            "`bars` is required for a PCI device",
        )
        .note("the plan says where registers lie before anybody can ask the device how many it has");
        cx.push(add_line(found, &device.table, "for example", "bars = { 0 = \"4KiB\" }"));
    }
    for (number, size) in &device.bars {
        if !size.value.is_power_of_two() || size.value < 16 {
            let up = size.value.max(16).checked_next_power_of_two().unwrap_or(16);
            cx.push(
                Diagnostic::error(
                    "PZ0007",
                    format!("base address register {number} of `{name}` can't have {}", show_size(size.value)),
                    size.place,
                    "not a power of two",
                )
                .fix("the next one", size.place, format!("\"{}\"", written_size(up))),
            );
        }
    }
    if let Some((silence, number)) = device.quiesce.and_then(|silence| Some((silence, silence.bar?))) {
        let bar = device.bars.iter().find(|(bar, _)| *bar == number);
        let why = match bar {
            None => Some("`bars` does not name this register"),
            Some((_, size)) if silence.at.saturating_add(u64::from(silence.width)) > size.value => {
                Some("it lies behind the register's memory")
            }
            Some(_) => None,
        };
        if let Some((why, (_, node))) = why.zip(device.table.entry("quiesce")) {
            let counter = device.table.entry("bars").map(|(key, _)| key.place);
            cx.push(
                Diagnostic::error("PZ0007", format!("what silences `{name}` can't lie there"), node.place, why)
                    .counter_if(counter, "its registers")
                    .help("the register whose zero resets the device"),
            );
        }
    }
    if let Some(msix) = &device.msix {
        let bar = device.bars.iter().find(|(number, _)| *number == msix.value.bar);
        let end = msix.value.table.saturating_add(u64::from(msix.value.vectors) * ENTRY);
        let why = match bar {
            None => "`bars` does not name this register",
            Some((_, size)) if end > size.value => "the table ends behind the register's memory",
            Some(_) => return,
        };
        let place = device.table.entry("msix").map_or(msix.place, |(_, node)| node.place);
        let counter = device.table.entry("bars").map(|(key, _)| key.place);
        cx.push(
            Diagnostic::error(
                "PZ0007",
                format!("the table of message interrupts of `{name}` can't lie there"),
                place,
                why,
            )
            .counter_if(counter, "its registers")
            .help("bar and table as the device's capability says: `lspci -vv` shows them"),
        );
    }
}

/// PZ0706.
fn reach(cx: &mut Ctx<'_>, owned: &[Owned<'_>]) {
    let mut said: Vec<&str> = Vec::new();
    for o in owned {
        let masters = o.device.dma.value == Dma::Iommu && cx.board.iommu.is_written();
        let name = o.owner.name.value.as_str();
        if !masters || said.contains(&name) || o.owner.dma_memory.is_written() {
            continue;
        }
        let at = cx.partition(name).map(|(at, _)| at);
        let package = at.and_then(|at| cx.facts.packages.get(at)).and_then(Option::as_ref);
        let known = o.owner.krate.good().is_some() == package.is_some();
        if !known || package.is_some_and(|p| p.metadata.dma_memory.is_some()) {
            continue;
        }
        said.push(name);
        let found = Diagnostic::error(
            "PZ0706",
            format!("`{}` could reach no memory", o.device.name.value),
            o.place,
            "a bus master behind the IOMMU",
        )
        .counter(o.owner.table.head, "has no memory for its devices")
        .note(
            "behind the IOMMU a device reaches the `dma-memory` of its owner, and what its owner shares with clients",
        );
        cx.push(add_line(
            found,
            &o.owner.table,
            "as much as the driver needs",
            &format!("dma-memory = \"{}\"", written_size(SOME)),
        ));
    }
}

/// PZ0707.
fn together(cx: &mut Ctx<'_>, owned: &[Owned<'_>]) {
    let slot = |device: &Device| device.pci.good().map(|at| at.value.slot());
    for (at, b) in owned.iter().enumerate() {
        let other = |a: &&Owned<'_>| {
            a.owner.name.value != b.owner.name.value && slot(a.device).is_some() && slot(a.device) == slot(b.device)
        };
        let Some(a) = owned.iter().take(at).find(other) else {
            continue;
        };
        cx.push(
            Diagnostic::error(
                "PZ0707",
                format!("`{}` and `{}` can't be kept apart", b.device.name.value, a.device.name.value),
                b.place,
                format!("a function of the same device, for `{}`", b.owner.name.value),
            )
            .counter(a.place, format!("for `{}`", a.owner.name.value))
            .note("functions of one device may reach each other without asking the IOMMU")
            .help("one owner for both, or another slot"),
        );
    }
}

/// PZ0709.
fn place(cx: &mut Ctx<'_>, device: &Device) {
    let Some(at) = device.pci.good() else { return };
    let address = at.value;
    let Some(bus) = cx.board.buses.iter().find(|bus| bus.number == address.bus) else {
        let (title, counter) = match cx.board.buses.first() {
            Some(bus) => (format!("`{}` has no PCI bus {:02x}", cx.board_name, address.bus), Some(bus.table.head)),
            None => (format!("`{}` has no PCI bus", cx.board_name), cx.board.line("arch")),
        };
        let found = Diagnostic::error("PZ0709", title, at.place, format!("the address of `{}`", device.name.value))
            .counter_if(counter, if cx.board.buses.is_empty() { "this board" } else { "its bus" });
        cx.push(match cx.board.buses.first() {
            Some(_) => free(cx, device, found),
            None => found.help("describe the device for the boards that have one: `[board.NAME.device.…]`"),
        });
        return;
    };
    // Of two that are described, the second is told; the board's own may be described anew.
    let described = |d: &&Device| cx.d.devices.iter().any(|over| over.name.value == d.name.value);
    let before = cx.d.devices.iter().take_while(|d| d.name.value != device.name.value);
    let others = before.chain(cx.board.devices.iter().filter(|d| !described(d)));
    let other = others.into_iter().find(|d| d.pci.good().is_some_and(|p| p.value == address));
    let taken = bus.taken.iter().find(|slot| slot.value == address.slot());
    let (counter, why) = match (taken, other) {
        (Some(taken), _) => (taken.place, "taken by a device of the board's own".to_owned()),
        (None, Some(other)) => {
            (other.pci.place().unwrap_or(other.table.head), format!("`{}` is there", other.name.value))
        }
        (None, None) => return,
    };
    let title = format!("the slot {address} of `{}` is not free", cx.board_name);
    let found =
        Diagnostic::error("PZ0709", title, at.place, format!("for `{}`", device.name.value)).counter(counter, why);
    cx.push(free(cx, device, found));
}

/// Adds the free slots of the first bus.
fn free(cx: &Ctx<'_>, device: &Device, found: Diagnostic) -> Diagnostic {
    let Some(bus) = cx.board.buses.first() else {
        return found;
    };
    let all = cx.d.devices.iter().chain(&cx.board.devices).filter(|d| d.name.value != device.name.value);
    let mut taken: Vec<(u8, u8)> = all.filter_map(|d| d.pci.good()).map(|p| p.value.slot()).collect();
    taken.extend(bus.taken.iter().map(|slot| slot.value));
    let slots = (0..32).map(|device| PciAddress { bus: bus.number, device, function: 0 });
    let free: Vec<String> = slots.filter(|a| !taken.contains(&a.slot())).map(|a| a.to_string()).collect();
    let (Some(first), Some(place)) = (free.first(), device.pci.place()) else {
        return found.note("no slot of this board is free");
    };
    let shown = listed(free.iter().take(4).map(String::as_str));
    let more = free.len().saturating_sub(4);
    found.note(format!("free slots are {shown}, and {more} more")).fix(
        "the first of them",
        place,
        format!("\"{first}\""),
    )
}
