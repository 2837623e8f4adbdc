// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! What driver partitions share: `[disk.NAME]`, `[network.NAME]`, `[console.NAME]`.
//!
//! **An addition to the language:** in `network.NAME.mac` a key may also name a port,
//! `"debian.eth1" = "…"`, for a partition that is twice on a network.

use super::link::{EndAt, end, many};
use crate::diagnostic::Diagnostic;
use crate::keys;
use crate::reader::{Cx, Field, Reader, Text};
use crate::source::At;
use crate::text::{Mac, parse_mac, parse_range};
use crate::tree::Table;

/// Bytes of the name of a GPT partition: GPT has 36 letters, a driver is told 30 bytes.
const LONGEST: usize = 30;

/// A virtual disk as written.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its name.
    pub name: At<String>,
    /// Its table.
    pub table: Table,
    /// The device that holds it.
    pub device: Field<Text>,
    /// The GPT partition.
    pub gpt: Field<Text>,
    /// (first byte, bytes) of the device.
    pub range: Field<(u64, u64)>,
    /// Who may write and read.
    pub writers: Field<Vec<EndAt>>,
    /// Who may only read.
    pub readers: Field<Vec<EndAt>>,
    /// Bytes.
    pub size: Field<u64>,
    /// What is on it at first.
    pub content: Field<Text>,
}

impl Disk {
    /// Writers, then readers, each with whether it writes.
    pub fn ends(&self) -> impl Iterator<Item = (&EndAt, bool)> {
        let writers = self.writers.good().into_iter().flat_map(|l| &l.value).map(|e| (e, true));
        writers.chain(self.readers.good().into_iter().flat_map(|l| &l.value).map(|e| (e, false)))
    }
}

/// A network as written.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its name.
    pub name: At<String>,
    /// Its table.
    pub table: Table,
    /// The way out.
    pub device: Field<Text>,
    /// Who serves it.
    pub driver: Field<Text>,
    /// Who is on it.
    pub members: Field<Vec<EndAt>>,
    /// 1–4094.
    pub vlan: Field<i64>,
    /// Addresses of some of the ports.
    pub macs: Vec<(EndAt, At<Mac>)>,
    /// Some address can't be read.
    pub unclear: bool,
}

/// A console as written.
#[derive(Clone, Debug)]
pub struct Console {
    /// Its name.
    pub name: At<String>,
    /// Its table.
    pub table: Table,
    /// The UART.
    pub device: Field<Text>,
    /// Who logs to it.
    pub members: Field<Vec<EndAt>>,
}

impl Disk {
    /// Reads `[disk.NAME]`.
    pub fn read(name: At<String>, table: &Table, cx: &mut Cx<'_>) -> Self {
        let mut r = Reader::new(table, &keys::DISK, cx);
        let device = r.text("device");
        r.require("device", &device, None);
        let range = r.parsed("range", "range", |t| parse_range(t, false));
        let gpt = r.text("gpt");
        if let Some(at) = gpt.good().filter(|at| at.value.text.len() > LONGEST || at.value.text.is_empty()) {
            r.cx.out.push(
                Diagnostic::error(
                    "PZ0009",
                    "this can't be the name of a GPT partition",
                    at.place,
                    format!("{} bytes", at.value.text.len()),
                )
                .counter(table.head, "this disk")
                .help(format!("a name of 1 to {LONGEST} bytes, as it stands in the device's partition table")),
            );
        }
        if let (Some(range), Some(gpt)) = (range.place(), gpt.place()) {
            r.cx.out.push(
                Diagnostic::error(
                    "PZ0007",
                    format!("`{}` lies at two places", name.value),
                    range,
                    "a range of the device",
                )
                .counter(gpt, "a GPT partition of it")
                .help("delete one of them: `range` stands instead of `gpt`"),
            );
        }
        let disk = Disk {
            device,
            gpt,
            range,
            writers: many(&mut r, "writers"),
            readers: many(&mut r, "readers"),
            size: r.size("size"),
            content: r.text("content"),
            name,
            table: table.clone(),
        };
        if !disk.size.is_written() && !disk.content.is_written() && !disk.range.is_written() {
            // How large is it?
            r.missing("size", None);
        }
        disk
    }
}

impl Network {
    /// Reads `[network.NAME]`.
    pub fn read(name: At<String>, table: &Table, cx: &mut Cx<'_>) -> Self {
        let mut r = Reader::new(table, &keys::NETWORK, cx);
        let members = many(&mut r, "members");
        r.require("members", &members, None);
        let (device, driver) = (r.text("device"), r.text("driver"));
        let vlan = r.number("vlan", 1, 4094);
        let mut macs = Vec::new();
        let mut unclear = false;
        if let Some(t) = r.table("mac") {
            let mut r = Reader { table: t, kind: &keys::MAC, cx: r.cx };
            for (key, _) in &t.entries {
                let of = end(r.cx, &At::new(Text { text: key.name.clone(), plain: false }, key.place));
                match r.parsed(&key.name, "MAC address", parse_mac) {
                    Field::Good(mac) => macs.push((of, mac)),
                    _ => unclear = true,
                }
            }
        }
        Network { name, device, driver, members, vlan, macs, unclear, table: table.clone() }
    }
}

impl Console {
    /// Reads `[console.NAME]`.
    pub fn read(name: At<String>, table: &Table, cx: &mut Cx<'_>) -> Self {
        let mut r = Reader::new(table, &keys::CONSOLE, cx);
        let device = r.text("device");
        r.require("device", &device, None);
        let members = many(&mut r, "members");
        r.require("members", &members, None);
        Console { name, table: table.clone(), device, members }
    }
}
