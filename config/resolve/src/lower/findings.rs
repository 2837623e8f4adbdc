// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Findings about memory: what can only be seen when programs are built and everything is added
//! up.

use std::collections::BTreeMap;

use parzelle_core::Refusal;
use parzelle_schema::diagnostic::{Diagnostic, Label, Severity};

use super::Kernel;
use super::blocks::{Block, BlockId, Blocks, NoRoom};
use super::cell::Cell;
use super::time::Order;
use crate::model::{Bus, Device, Partition, Place, System, TimePartition};

/// An error whose fault may be nowhere in the file.
fn error(code: &'static str, title: String, place: Option<Place>, label: String) -> Diagnostic {
    Diagnostic {
        code,
        severity: Severity::Error,
        title,
        primary: place.map(|place| Label { place, text: label }),
        counters: Vec::new(),
        notes: Vec::new(),
        helps: Vec::new(),
    }
}

/// A size in the largest unit that has three digits of it.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            return if bytes.is_multiple_of(unit) {
                format!("{} {name}", bytes / unit)
            } else {
                format!("{:.2} {name}", bytes as f64 / unit as f64)
            };
        }
    }
    format!("{bytes} B")
}

/// A size as the language writes it, rounded up to KiB or MiB.
fn written(bytes: u64) -> String {
    if bytes >= 16 << 20 {
        format!("\"{}MiB\"", bytes.div_ceil(1 << 20))
    } else {
        format!("\"{}KiB\"", bytes.div_ceil(1 << 10))
    }
}

/// PZ0302: program and stacks don't fit.
pub(crate) fn too_little_memory(partition: &Partition, needed: u64) -> Diagnostic {
    let name = &partition.name;
    let places = &partition.places;
    let title = format!("the program of `{name}` does not fit its memory");
    let label = format!("{} are needed", size(needed));
    let found = error("PZ0302", title, places.memory.or(places.head), label)
        .counter_if(places.program, "its data, stacks and heap")
        .note("text and constants stay in the image: they do not count");
    match places.memory {
        Some(place) => found.fix("the smallest size that fits", place, written(needed)),
        None => found.help("ask for more `memory`"),
    }
}

/// PZ0306: kernel and initrd don't fit.
pub(crate) fn guest_too_small(partition: &Partition, needed: u64) -> Diagnostic {
    let name = &partition.name;
    let places = &partition.places;
    let title = format!("the kernel of `{name}` does not fit its memory");
    let label = format!("kernel and initrd take {} unpacked", size(needed));
    let found = error("PZ0306", title, places.memory.or(places.head), label)
        .counter_if(places.initrd.or(places.program), "with this");
    match places.memory {
        Some(place) => found.fix("the smallest size that fits", place, written(needed)),
        None => found.help("ask for more `memory`"),
    }
}

/// PZ0012: the shim's virtual board has a GICv3, which needs the interface of a GICv3 below it.
pub(crate) fn guest_on_old_gic(partition: &Partition) -> Diagnostic {
    let places = &partition.places;
    let title = format!("not supported yet: the guest `{}` on a GICv2", partition.name);
    let label = "its virtual board has a GICv3".to_owned();
    error("PZ0012", title, places.program.or(places.head), label)
        .help("delete `option.gic = 2` of this board, or leave the guest out there: `without`")
}

/// PZ0012: registers of PCI functions take more than the board has for them.
pub(crate) fn no_place(device: &Device, bus: &Bus) -> Diagnostic {
    let title = format!("the registers of `{}` have no place", device.name);
    let label = "its base address registers are too large".to_owned();
    error("PZ0012", title, Some(device.head), label).note(format!(
        "`{}` has {} for those of all functions",
        bus.name,
        size(bus.memory.size)
    ))
}

/// PZ0012: what is described goes beyond a bound of this kernel.
pub(crate) fn refused(system: &System, refusal: &Refusal) -> Option<Diagnostic> {
    let index = refusal.index as usize;
    let sampling = system.sampling.len();
    let (what, name, place) = match refusal.table {
        "channels" => match system.sampling.get(index) {
            Some(link) => ("channel", &link.name, Some(link.head)),
            None => {
                let link = system.queuing.get(index.checked_sub(sampling)?)?;
                ("channel", &link.name, Some(link.head))
            }
        },
        "partitions" => {
            let partition = system.partitions.get(index)?;
            ("partition", &partition.name, partition.places.head)
        }
        "queues" => {
            let order = Order::new(system);
            let queue = order.queues.get(index)?;
            let named = |tp: &&TimePartition| tp.name == queue.name.as_str();
            let of = system.time_partitions.iter().find(named)?;
            let first = of.members.first().and_then(|&first| system.partition(first));
            ("time partition", &of.name, first.and_then(|first| first.places.head))
        }
        _ => return None,
    };
    let title = format!("the {what} `{name}` is more than this kernel can do");
    let found = error("PZ0012", title, place, refusal.what.to_owned());
    Some(found.note("the kernel's bounds keep its longest path short"))
}

/// PZ0310: two mappings of a space meet. The program's own addresses are the only ones that the
/// tool doesn't choose.
pub(crate) fn overlap(partition: &Partition, cell: &Cell) -> Option<Diagnostic> {
    let mut all: Vec<_> = cell.mappings.iter().collect();
    all.sort_by_key(|mapping| (mapping.space, mapping.address));
    let pair = all.windows(2).find_map(|pair| match pair {
        [first, second] if first.space == second.space && first.end() > second.address => Some((*first, *second)),
        _ => None,
    })?;
    let (first, second) = pair;
    let title = format!("the program of `{}` lies where the tool maps something else", partition.name);
    let label = format!(
        "`{}` at {:#x}–{:#x} meets `{}` at {:#x}",
        first.name,
        first.address,
        first.end(),
        second.name,
        second.address
    );
    let place = partition.places.program.or(partition.places.head);
    let found = error("PZ0310", title, place, label);
    Some(found.help("link it for 0x40_0000 to 0x8000_0000, as the linker script of `rt` does"))
}

/// PZ0301, PZ0303, PZ0304: no place in memory.
pub(crate) fn no_room(system: &System, blocks: &Blocks, kernel: Kernel, payload: u64, why: &NoRoom) -> Diagnostic {
    let wish = |id: BlockId| {
        let block = blocks.get(id);
        let (start, place) = block.and_then(|block| block.wish).unwrap_or_default();
        let end = start + block.map_or(0, Block::bytes);
        (block.map_or("", |block| block.owner.as_str()), start, end, place)
    };
    match *why {
        NoRoom::Full => full(system, blocks, kernel, payload),
        NoRoom::Outside(id) => {
            let (owner, start, end, place) = wish(id);
            let title = format!("the memory of `{owner}` can't lie at {start:#x}");
            let label = format!("{start:#x}–{end:#x} is not free RAM");
            let mut found =
                error("PZ0304", title, place, label).counter_if(system.board.ram_place, "the RAM of this board");
            let image = kernel.load + kernel.bytes + payload;
            if start < image && kernel.load < end {
                found = found.note(format!("the image takes {:#x}–{image:#x} and the plan", kernel.load));
            }
            found.help("delete `physical`: the tool finds a place")
        }
        NoRoom::Clash(second, first) => {
            let (owner, start, end, place) = wish(second);
            let (other, other_start, other_end, other_place) = wish(first);
            let title = format!("`{owner}` and `{other}` overlap in physical memory");
            error("PZ0303", title, place, format!("{start:#x}–{end:#x}"))
                .counter_if(other_place, format!("{other_start:#x}–{other_end:#x}"))
                .help(format!("{other_end:#x} is the next address; or delete `physical`"))
        }
    }
}

/// PZ0301: who takes what.
fn full(system: &System, blocks: &Blocks, kernel: Kernel, payload: u64) -> Diagnostic {
    let mut takers: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for block in blocks.all() {
        *takers.entry((block.owner.as_str(), block.why)).or_default() += block.bytes();
    }
    *takers.entry(("images", "programs of all partitions")).or_default() += payload;
    *takers.entry(("kernel", "kernel")).or_default() += kernel.bytes;
    let total: u64 = takers.values().sum();
    let ram: u64 = system.board.ram.iter().map(|region| region.size).sum();
    let mut takers: Vec<_> = takers.into_iter().collect();
    takers.sort_by_key(|&(who, bytes)| (std::cmp::Reverse(bytes), who));
    let largest = takers.first().map_or("", |((owner, _), _)| owner);
    let places = system.find(largest).and_then(|index| system.partition(index)).map(|p| p.places);
    let place = places.and_then(|places| places.memory.or(places.head));
    const SHOWN: usize = 6;
    let mut table = String::new();
    for ((owner, why), bytes) in takers.iter().take(SHOWN) {
        table.push_str(&format!("{owner:<14} {:>11}   {why}\n", size(*bytes)));
    }
    let rest: u64 = takers.iter().skip(SHOWN).map(|(_, bytes)| bytes).sum();
    if rest > 0 {
        let others = format!("{} others", takers.len() - SHOWN);
        table.push_str(&format!("{others:<14} {:>11}\n", size(rest)));
    }
    let board = &system.board.name;
    let title = format!("the system needs {}, but `{board}` has {}", size(total), size(ram));
    let found = error("PZ0301", title, place, format!("the largest part is `{largest}`"))
        .counter_if(system.board.ram_place, "all the RAM of this board")
        .note(table.trim_end().to_owned());
    let own = takers.first().map_or(0, |(_, bytes)| *bytes);
    let left = ram.saturating_sub(total - own);
    found.help(format!("at most {} are left for `{largest}`", size(left)))
}
