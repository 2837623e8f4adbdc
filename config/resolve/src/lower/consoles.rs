// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! Consoles: for each member a log ring to the server, and an input ring back.
//!
//! ```text
//!   member ── LogOut ──► [log ring, 16 KiB] ── LogIn ──► server ──► UART
//!          ◄── InputIn ── [input ring, 4 KiB] ◄── InputOut ──
//! ```
//! Each ring has one writer, and a doorbell the same way.

use parzelle_abi::PAGE;
use parzelle_abi::info::ObjectKind;
use parzelle_plan::{READ, WRITE};

use super::blocks::{Block, Blocks, Part};
use super::cell::{Backing, Bell, Cell, object};
use crate::model::System;

const LOG_BYTES: u64 = 4 * PAGE;
const INPUT_BYTES: u64 = PAGE;

/// One direction between two partitions.
struct Way<'a> {
    from: usize,
    to: usize,
    /// The object at the writer: its name and kind.
    writer: (&'a str, ObjectKind),
    /// The object at the reader.
    reader: (&'a str, ObjectKind),
    bytes: u64,
    /// The console's number.
    console: usize,
}

/// Gives servers and members their rings.
pub(crate) fn consoles(system: &System, blocks: &mut Blocks, cells: &mut [Cell]) {
    for (number, console) in system.consoles.iter().enumerate() {
        let server = console.server.0;
        for member in console.members.iter().map(|member| member.0) {
            let Some(partition) = system.partitions.get(member) else {
                continue;
            };
            let port = console.ports.iter().find(|(of, _)| of.0 == member).map_or(&console.name, |(_, port)| port);
            let log = Way {
                from: member,
                to: server,
                writer: (port, ObjectKind::LogOut),
                reader: (&partition.name, ObjectKind::LogIn),
                bytes: LOG_BYTES,
                console: number,
            };
            let input = Way {
                from: server,
                to: member,
                writer: (&partition.name, ObjectKind::InputOut),
                reader: (port, ObjectKind::InputIn),
                bytes: INPUT_BYTES,
                console: number,
            };
            connect(&log, "log of", &partition.name, blocks, cells);
            connect(&input, "input of", &partition.name, blocks, cells);
        }
    }
}

fn connect(way: &Way<'_>, what: &str, whose: &str, blocks: &mut Blocks, cells: &mut [Cell]) {
    let title = format!("{what} {whose}");
    let block = blocks.add(Block {
        parts: vec![Part { name: title.clone(), bytes: way.bytes, zero: true }],
        partition: None,
        users: vec![(way.from, true), (way.to, false)],
        wish: None,
        owner: whose.to_owned(),
        why: "console rings",
    });
    let Some(reader) = cells.get_mut(way.to) else {
        return;
    };
    let mut read = object(way.reader.0, way.reader.1);
    read.address = reader.map_object(&title, Backing::Block(block, 0), way.bytes, READ);
    read.size = way.bytes;
    read.extra = way.console as u64;
    read.event = reader.event();
    let event = read.event;
    reader.object(read);
    let Some(writer) = cells.get_mut(way.from) else {
        return;
    };
    let mut written = object(way.writer.0, way.writer.1);
    written.address = writer.map_object(&title, Backing::Block(block, 0), way.bytes, READ | WRITE);
    written.size = way.bytes;
    written.extra = way.console as u64;
    written.doorbell = writer.bell(Bell { to: way.to, event });
    written.number = written.doorbell;
    writer.object(written);
}
