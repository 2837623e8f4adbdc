// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The description as types: what is written, in order, with places; nothing is looked up yet.
//!
//! **An addition to the language: `[board.NAME] without = ["debian"]`.** Overrides can't remove
//! anything, on purpose: reading the common part shows what is there. But a board may be unable
//! to run something at all (a guest, as long as there is no shim for its architecture), and then
//! the one file for several boards would have to become two. `without` names *partitions* that do
//! not exist on that board; every relation to them is dropped with them: ends of links, rights,
//! windows, start order. A link that loses its only source or all destinations is dropped too.
//! It is said in one place, and it removes, never changes.

mod device;
mod health;
mod link;
mod partition;
mod schedule;
mod share;

pub use device::{Device, Dma, Msix, Quiesce};
pub use health::{ERRORS, Health};
pub use link::{Channel, EndAt, Shared};
pub use partition::{Guest, May, Partition};
pub use schedule::{Schedule, Window};
pub use share::{Console, Disk, Network};

use crate::diagnostic::Diagnostic;
use crate::keys;
use crate::reader::{Cx, Field, Reader, Text};
use crate::source::{At, Place};
use crate::tree::{Key, Node, Table, Value};

/// `[system]`.
#[derive(Clone, Debug)]
pub struct SystemTable {
    /// Boards for which the file holds.
    pub boards: Field<Vec<At<Text>>>,
    /// The system's name.
    pub name: Field<Text>,
    /// The first schedule.
    pub schedule: Field<Text>,
    /// Partitions that wait for each other.
    pub start_order: Field<Vec<At<Text>>>,
    /// Bytes of the trace ring, per core.
    pub trace: Field<u64>,
    /// Its table.
    pub table: Table,
}

/// A whole file, for one board.
#[derive(Clone, Debug)]
pub struct Description {
    /// `[system]`.
    pub system: SystemTable,
    /// `[partition.NAME]`.
    pub partitions: Vec<Partition>,
    /// `[schedule.NAME]`.
    pub schedules: Vec<Schedule>,
    /// `[sampling.NAME]` and `[queuing.NAME]`.
    pub channels: Vec<Channel>,
    /// `[shared.NAME]`.
    pub shared: Vec<Shared>,
    /// `[disk.NAME]`.
    pub disks: Vec<Disk>,
    /// `[network.NAME]`.
    pub networks: Vec<Network>,
    /// `[console.NAME]`.
    pub consoles: Vec<Console>,
    /// `[device.NAME]`.
    pub devices: Vec<Device>,
    /// `[health.NAME]`.
    pub health: Vec<Health>,
    /// `option` of this board.
    pub options: Vec<(Key, Node)>,
    /// `without` of this board.
    pub without: Vec<At<Text>>,
}

/// The overrides of one board: its name, and the table.
#[derive(Clone, Debug)]
pub struct Override {
    /// The board.
    pub board: At<String>,
    /// The table, whose keys are those of the file.
    pub table: Table,
}

/// Splits a file into its common part and the overrides.
pub fn split(root: &Table, cx: &mut Cx<'_>) -> (Table, Vec<Override>) {
    let mut common = root.clone();
    common.entries.retain(|(k, _)| k.name != "board");
    let mut overrides = Vec::new();
    for (key, node) in root.entries.iter().filter(|(k, _)| k.name == "board") {
        let Value::Table(boards) = &node.value else {
            cx.out.push(
                Diagnostic::error(
                    "PZ0004",
                    format!("`board` wants a table, not {}", node.value.kind()),
                    node.place,
                    "a table is expected here",
                )
                .counter(key.place, "the value of this key")
                .help("what differs on a board stands in `[board.NAME]`; the boards of the file are `system.boards`"),
            );
            continue;
        };
        for (name, node) in &boards.entries {
            match &node.value {
                Value::Table(table) => {
                    let _ = Reader::new(table, &keys::OVERRIDE, cx);
                    overrides.push(Override { board: At::new(name.name.clone(), name.place), table: table.clone() });
                }
                _ => cx.out.push(
                    Diagnostic::error(
                        "PZ0004",
                        format!("`board.{}` wants a table, not {}", name.name, node.value.kind()),
                        node.place,
                        "a table is expected here",
                    )
                    .counter(name.place, "the value of this key"),
                ),
            }
        }
    }
    (common, overrides)
}

/// The boards of a file, for reading it before anything is merged.
pub fn boards(common: &Table) -> Vec<At<Text>> {
    let Some((_, node)) = common.table("system").and_then(|s| s.entry("boards")) else {
        return Vec::new();
    };
    let Value::Array(items) = &node.value else {
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| match &item.value {
            Value::String { text, plain } => Some(At::new(Text { text: text.clone(), plain: *plain }, item.place)),
            _ => None,
        })
        .collect()
}

impl Description {
    /// Reads a merged file. `over` is the board's own table, for `option` and `without`.
    pub fn read(root: &Table, over: Option<&Table>, cx: &mut Cx<'_>) -> Self {
        let mut file = root.clone();
        file.entries.retain(|(k, _)| !matches!(k.name.as_str(), "option" | "without"));
        let mut r = Reader::new(&file, &keys::FILE, cx);
        let system = match r.table("system") {
            Some(table) => system(table, r.cx),
            None => {
                let none = Table { head: Place { end: root.head.start, ..root.head }, entries: Vec::new() };
                if r.table.entry("system").is_none() {
                    let end = r.cx.sources.text(root.head.file).len().min(1);
                    r.cx.out.push(
                        Diagnostic::error(
                            "PZ0008",
                            "the file has no `[system]`",
                            Place::new(root.head.file, 0..end),
                            "`[system]` is required",
                        )
                        .fix(
                            "add",
                            Place::new(root.head.file, 0..0),
                            "[system]\nboards = [\"qemu-virt-aarch64\"]\n\n",
                        ),
                    );
                }
                SystemTable {
                    boards: Field::Bad(root.head),
                    name: Field::Absent,
                    schedule: Field::Absent,
                    start_order: Field::Absent,
                    trace: Field::Absent,
                    table: none,
                }
            }
        };
        let mut out = Description {
            system,
            partitions: Vec::new(),
            schedules: Vec::new(),
            channels: Vec::new(),
            shared: Vec::new(),
            disks: Vec::new(),
            networks: Vec::new(),
            consoles: Vec::new(),
            devices: Vec::new(),
            health: Vec::new(),
            options: Vec::new(),
            without: Vec::new(),
        };
        for (name, table) in r.tables("partition") {
            out.partitions.push(Partition::read(name, table, r.cx));
        }
        for (name, table) in r.tables("schedule") {
            out.schedules.push(Schedule::read(name, table, r.cx));
        }
        for (name, table) in r.tables("sampling") {
            out.channels.push(Channel::read(name, table, true, r.cx));
        }
        for (name, table) in r.tables("queuing") {
            out.channels.push(Channel::read(name, table, false, r.cx));
        }
        for (name, table) in r.tables("shared") {
            out.shared.push(Shared::read(name, table, r.cx));
        }
        for (name, table) in r.tables("disk") {
            out.disks.push(Disk::read(name, table, r.cx));
        }
        for (name, table) in r.tables("network") {
            out.networks.push(Network::read(name, table, r.cx));
        }
        for (name, table) in r.tables("console") {
            out.consoles.push(Console::read(name, table, r.cx));
        }
        for (name, table) in r.tables("device") {
            out.devices.push(Device::read(name, table, false, r.cx));
        }
        for (name, table) in r.tables("health") {
            out.health.push(Health::read(name, table, r.cx));
        }
        if let Some(over) = over {
            let mut r = Reader { table: over, kind: &keys::OVERRIDE, cx };
            if let Some(options) = r.table("option") {
                out.options = options.entries.clone();
            }
            if let Field::Good(without) = r.texts("without") {
                out.without = without.value;
            }
        }
        out
    }
}

fn system(table: &Table, cx: &mut Cx<'_>) -> SystemTable {
    let mut r = Reader::new(table, &keys::SYSTEM, cx);
    let boards = r.texts("boards");
    r.require("boards", &boards, None);
    if let Some(at) = boards.good().filter(|at| at.value.is_empty()) {
        let d = Diagnostic::error("PZ0007", "`boards` names no board", at.place, "an empty list").fix(
            "for example",
            at.place,
            "[\"qemu-virt-aarch64\"]",
        );
        r.cx.out.push(d);
    }
    SystemTable {
        boards,
        name: r.text("name"),
        schedule: r.text("schedule"),
        start_order: r.texts("start-order"),
        trace: r.size("trace"),
        table: table.clone(),
    }
}

/// Reports something of the language that this version cannot build yet (PZ0012).
pub fn not_yet(cx: &mut Cx<'_>, what: &str, place: Place, shown: &str, with: &str) {
    cx.out.push(
        Diagnostic::error(
            "PZ0012",
            format!("{what} not supported yet"),
            place,
            format!("{shown} can't be built by this version"),
        )
        .note(format!("it is a part of the language and comes later, with {with}")),
    );
}
