// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Devices: PZ0701–PZ0705, PZ0708, PZ0710. Those on PCI buses are in `pci`.

use parzelle_abi::x86_64::IO_PORTS_MAX;
use parzelle_schema::board::BoardFile;
use parzelle_schema::diagnostic::{Diagnostic, Edit, Help};
use parzelle_schema::file::{Device, Dma, Partition};
use parzelle_schema::nearest::listed;
use parzelle_schema::reader::Text;
use parzelle_schema::source::{At, Place};

use super::memory::PAGE;
use super::{Ctx, pci};
use crate::model::Arch;

/// A device, its owner, and where that is said.
pub(super) struct Owned<'a> {
    pub(super) device: &'a Device,
    pub(super) owner: &'a Partition,
    pub(super) place: Place,
}

pub(super) fn check(cx: &mut Ctx<'_>) {
    let owned = owners(cx);
    lines(cx, &owned);
    pages(cx, &owned);
    ports(cx, &owned);
    masters(cx, &owned);
    needless(cx, &owned);
    pci::check(cx, &owned);
}

/// The device of a name: the description's own first.
pub(super) fn find<'a>(cx: &Ctx<'a>, name: &str) -> Option<&'a Device> {
    let (d, board) = (cx.d, cx.board);
    d.devices.iter().chain(&board.devices).find(|d| d.name.value == name)
}

/// PZ0701 and PZ0708.
fn owners<'a>(cx: &mut Ctx<'a>) -> Vec<Owned<'a>> {
    let d = cx.d;
    let mut given: Vec<(&At<Text>, &'a Partition)> = Vec::new();
    let mut out = Vec::new();
    for p in &d.partitions {
        for named in p.devices.good().into_iter().flat_map(|l| &l.value) {
            let Some(device) = find(cx, &named.value.text) else {
                continue;
            };
            if device.kernel {
                let free: Vec<&str> =
                    cx.board.devices.iter().filter(|d| !d.kernel).map(|d| d.name.value.as_str()).collect();
                cx.push(
                    Diagnostic::error(
                        "PZ0708",
                        format!("`{}` belongs to the kernel", named.value.text),
                        named.place,
                        format!("given to `{}`", p.name.value),
                    )
                    .counter(device.table.head, "the kernel keeps this one on this board")
                    .note(format!("the devices that can be owned are {}", listed(free))),
                );
                continue;
            }
            if let Some((first, owner)) = given.iter().find(|(n, _)| n.value.text == named.value.text) {
                let found = Diagnostic::error(
                    "PZ0701",
                    format!("`{}` is given to two partitions", named.value.text),
                    named.place,
                    format!("again, to `{}`", p.name.value),
                )
                .counter(first.place, format!("first given to `{}`", owner.name.value))
                .note(format!(
                    "a device has one owner, which can share it: `{}` may be a client of `{}`",
                    p.name.value, owner.name.value
                ));
                let found = rather(cx, found, device, p, owner);
                cx.push(found);
                continue;
            }
            given.push((named, p));
            out.push(Owned { device, owner: p, place: named.place });
        }
    }
    out
}

/// What the second owner of a device may have of it instead.
fn rather(cx: &Ctx<'_>, found: Diagnostic, device: &Device, second: &Partition, owner: &Partition) -> Diagnostic {
    let (name, class) = (&device.name.value, device.class.good().map_or("other", |c| c.value));
    let (what, table) = match class {
        "block" => {
            ("disk", format!("[disk.{}-disk]\ndevice  = \"{name}\"\nsize    = \"64MiB\"\nwriters", second.name.value))
        }
        "net" => ("network", format!("[network.{}-net]\ndevice  = \"{name}\"\nmembers", second.name.value)),
        _ => {
            return found
                .help(format!("delete it here, and join the two by a link that `{}` serves", owner.name.value));
        }
    };
    let Some(list) = second.devices.good() else {
        return found;
    };
    let left = list.value.iter().filter(|d| d.value.text != *name).map(|d| format!("\"{}\"", d.value.text));
    let left = format!("[{}]", left.collect::<Vec<_>>().join(", "));
    let file = second.table.head.file;
    let end = cx.sources.text(file).len();
    let mut found = found;
    found.helps.push(Help {
        text: format!("let `{}` have a {what} of its own, served by `{}`", second.name.value, owner.name.value),
        edits: vec![
            Edit { place: list.place, text: left },
            Edit { place: Place::new(file, end..end), text: format!("\n{table} = [\"{}\"]\n", second.name.value) },
        ],
    });
    found
}

/// PZ0702.
fn lines(cx: &mut Ctx<'_>, owned: &[Owned<'_>]) {
    for (at, b) in owned.iter().enumerate() {
        for a in owned.iter().take(at).filter(|a| a.owner.name.value != b.owner.name.value) {
            let common = b.device.interrupts.iter().find(|l| a.device.interrupts.iter().any(|m| m.value == l.value));
            if let Some(line) = common {
                cx.push(
                    Diagnostic::error(
                        "PZ0702",
                        format!("interrupt {} would lead to two partitions", line.value),
                        b.place,
                        format!("`{}` has this line, for `{}`", b.device.name.value, b.owner.name.value),
                    )
                    .counter(a.place, format!("`{}` has it too, for `{}`", a.device.name.value, a.owner.name.value))
                    .help("give both devices to one owner"),
                );
            }
        }
    }
}

/// PZ0703.
fn pages(cx: &mut Ctx<'_>, owned: &[Owned<'_>]) {
    let pages = |d: &Device| -> Vec<(u64, u64)> {
        d.registers.iter().map(|r| (r.value.0 / PAGE, r.value.0.saturating_add(r.value.1 - 1) / PAGE)).collect()
    };
    for (at, b) in owned.iter().enumerate() {
        for a in owned.iter().take(at).filter(|a| a.owner.name.value != b.owner.name.value) {
            let clash = pages(b.device).into_iter().find(|x| pages(a.device).iter().any(|y| x.0 <= y.1 && y.0 <= x.1));
            let ports = b.device.ports.iter().any(|x| {
                a.device.ports.iter().any(|y| x.value.0 < y.value.0 + y.value.1 && y.value.0 < x.value.0 + x.value.1)
            });
            if clash.is_none() && !ports {
                continue;
            }
            let what = match clash {
                Some((page, _)) => {
                    format!("both have registers in the page at {}", super::written_address(page.saturating_mul(PAGE)))
                }
                None => "both have the same I/O ports".to_owned(),
            };
            cx.push(
                Diagnostic::error(
                    "PZ0703",
                    format!("`{}` and `{}` can't be kept apart", b.device.name.value, a.device.name.value),
                    b.place,
                    format!("`{}`, for `{}`", b.device.name.value, b.owner.name.value),
                )
                .counter(a.place, format!("`{}`, for `{}`", a.device.name.value, a.owner.name.value))
                .note(what)
                .help("a device on another page, or one owner for both"),
            );
        }
    }
}

/// PZ0710. Boot counts the same: ports that two devices of a partition share count twice.
fn ports(cx: &mut Ctx<'_>, owned: &[Owned<'_>]) {
    if cx.arch != Arch::X86_64 {
        return;
    }
    let ports = |o: &Owned<'_>| o.device.ports.iter().map(|r| r.value.1.max(1)).fold(0, u64::saturating_add);
    for p in &cx.d.partitions {
        let mine = owned.iter().filter(|o| o.owner.name.value == p.name.value);
        let sums = mine.scan(0u64, |sum, o| {
            *sum = sum.saturating_add(ports(o));
            Some((o, *sum))
        });
        // The device with which it has too many; those behind it are no new mistake.
        let Some((o, sum)) = sums.into_iter().find(|(_, sum)| *sum > IO_PORTS_MAX) else {
            continue;
        };
        let own = ports(o);
        let label = if own == sum { "with this device" } else { "with this device and those before it" };
        let d = Diagnostic::error("PZ0710", format!("`{}` would have {sum} I/O ports", p.name.value), o.place, label)
            .counter_if(o.device.ports.first().map(|r| r.place), format!("`{}` has {own} of them", o.device.name.value))
            .note(format!(
                "a partition has {IO_PORTS_MAX} at most: the kernel opens them, with interrupts masked, whenever it \
             switches to it"
            ))
            .help("name only the ports that the driver uses, or divide the devices between two partitions");
        cx.push(d);
    }
}

/// A bus master that nothing stands before: it says so itself, or the board has no IOMMU.
fn unfenced(cx: &Ctx<'_>, device: &Device) -> bool {
    match device.dma.value {
        Dma::Direct => true,
        Dma::Iommu => !cx.board.iommu.is_written(),
        Dma::None => false,
    }
}

/// PZ0704.
fn masters(cx: &mut Ctx<'_>, owned: &[Owned<'_>]) {
    for o in owned {
        if !unfenced(cx, o.device)
            || o.owner.dma.good().is_some_and(|d| d.value == "trusted")
            || matches!(o.owner.dma, parzelle_schema::reader::Field::Bad(_))
        {
            continue;
        }
        let name = &o.owner.name.value;
        let file = o.owner.table.head.file;
        let end = cx.sources.text(file).len();
        cx.push(
            Diagnostic::error(
                "PZ0704",
                format!("`{name}` could reach all memory by DMA on `{}`", cx.board_name),
                o.place,
                format!("`{name}` owns a bus master"),
            )
            .counter(o.device.dma.place, "no IOMMU stands before this device")
            .note_if(fenced_elsewhere(cx, o.device))
            .fix(
                format!("if you trust the driver `{name}`, say so; it is then listed among what must be trusted"),
                Place::new(file, end..end),
                format!("\n[board.{}.partition]\n{name}.dma = \"trusted\"\n", cx.board_name),
            ),
        );
    }
}

/// The boards of the file on which the device is behind an IOMMU, in words.
fn fenced_elsewhere(cx: &Ctx<'_>, device: &Device) -> Option<String> {
    let fenced = |board: &BoardFile| {
        let same = board.devices.iter().find(|d| d.name.value == device.name.value);
        board.iommu.is_written() && same.is_some_and(|d| d.dma.value == Dma::Iommu)
    };
    let boards: Vec<&str> =
        cx.files.iter().filter(|(_, b)| fenced(b)).map(|(name, _)| name.value.text.as_str()).collect();
    if boards.is_empty() || cx.d.devices.iter().any(|d| d.name.value == device.name.value) {
        return None;
    }
    Some(format!("on {} the same device is behind the IOMMU; nothing to do there", listed(boards)))
}

/// PZ0705 (warning).
fn needless(cx: &mut Ctx<'_>, owned: &[Owned<'_>]) {
    let d = cx.d;
    for p in &d.partitions {
        let Some(dma) = p.dma.good().filter(|d| d.value == "trusted") else {
            continue;
        };
        let mine: Vec<&Owned<'_>> = owned.iter().filter(|o| o.owner.name.value == p.name.value).collect();
        if mine.iter().any(|o| unfenced(cx, o.device)) {
            continue;
        }
        let iommu = cx.board.line("iommu");
        cx.push(
            Diagnostic::warning(
                "PZ0705",
                format!("`{}` need not be trusted on `{}`", p.name.value, cx.board_name),
                dma.place,
                "none of its devices can reach memory past the fence",
            )
            .counter_if(iommu, "the IOMMU of this board")
            .help("delete it"),
        );
    }
}
