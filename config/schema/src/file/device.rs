// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `[device.NAME]`, in a description or in a board's file.
//!
//! A board's file has two keys more: `trigger` (`level`, the default, or `edge`) says how the
//! device's lines signal, `kernel = true` marks what the kernel keeps.

use super::not_yet;
use crate::keys;
use crate::reader::{Cx, Field, Reader};
use crate::source::At;
use crate::text::parse_range;
use crate::tree::Table;

/// How a device reaches memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dma {
    /// Not at all.
    None,
    /// Through the IOMMU.
    Iommu,
    /// Anywhere.
    Direct,
}

/// A device as written.
#[derive(Clone, Debug)]
pub struct Device {
    /// Its name.
    pub name: At<String>,
    /// Its table.
    pub table: Table,
    /// `block`, `net`, `uart`, `other`.
    pub class: Field<&'static str>,
    /// (address, bytes).
    pub registers: Vec<At<(u64, u64)>>,
    /// (port, number of ports).
    pub ports: Vec<At<(u64, u64)>>,
    /// Lines, as the interrupt controller numbers them.
    pub interrupts: Vec<At<i64>>,
    /// Its lines signal by edges.
    pub edge: bool,
    /// How it reaches memory.
    pub dma: At<Dma>,
    /// It belongs to the kernel.
    pub kernel: bool,
}

impl Device {
    /// Reads `[device.NAME]`; `board` says whose file it is.
    pub fn read(name: At<String>, table: &Table, board: bool, cx: &mut Cx<'_>) -> Self {
        let mut r = Reader::new(table, &keys::DEVICE, cx);
        for key in ["pci", "id"] {
            if let Some((_, node)) = table.entry(key) {
                not_yet(r.cx, "PCI devices are", node.place, &format!("`device.{}`", name.value), "PCI and the IOMMU");
                break;
            }
        }
        let dma = r.word("dma", &["none", "iommu", "direct"]);
        let head = table.head;
        let written =
            table.entry("dma").map(|(key, node)| crate::source::Place { start: key.place.start, ..node.place });
        let dma = match dma.good().map(|d| d.value) {
            Some("iommu") => Dma::Iommu,
            Some("direct") => Dma::Direct,
            _ => Dma::None,
        };
        let list = |f: Field<Vec<At<(u64, u64)>>>| f.good().map(|f| f.value.clone()).unwrap_or_default();
        let _ = r.text("qemu");
        let kernel = board && r.truth("kernel").good().is_some_and(|k| k.value);
        Device {
            class: r.word("class", &["other", "block", "net", "uart"]),
            registers: list(r.parsed_list("registers", "range", |t| parse_range(t, false))),
            ports: list(r.parsed_list("ports", "range", |t| parse_range(t, true))),
            interrupts: r.numbers("interrupts", 0, 1019).good().map(|f| f.value.clone()).unwrap_or_default(),
            edge: r.word("trigger", &["level", "edge"]).good().is_some_and(|t| t.value == "edge"),
            dma: At::new(dma, written.unwrap_or(head)),
            kernel,
            name,
            table: table.clone(),
        }
    }
}
