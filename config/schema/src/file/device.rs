// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `[device.NAME]`, in a description or in a board's file.
//!
//! A board's file has two keys more: `trigger` (`level`, the default, or `edge`) says how the
//! device's lines signal, `kernel = true` marks what the kernel keeps.
//!
//! **An addition to the language:** what the plan needs to know of a PCI function before it has seen
//! it. `bars = { 0 = "4KiB" }` gives the sizes of its base address registers (boot checks that they are
//! no larger); only those named are mapped. `msix = { bar = 1, table = 0x0, vectors = 2 }` says where
//! its table of message interrupts lies (PCI 3.0, §6.8.2) and how many of them are used;
//! `capability = 0x98` is where its configuration space says so. Without `msix` a function has no
//! interrupts but the lines that `interrupts` names. `quiesce = { bar = 4, at = 0x14, width = 1 }` is
//! the register that silences a device before its owner restarts, by a zero (or `value`); without
//! `bar` it is so many bytes into `registers`.

use crate::keys;
use crate::reader::{Cx, Field, Reader, Text};
use crate::source::At;
use crate::text::{PciAddress, PciId, parse_pci, parse_pci_id, parse_range};
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

/// Message interrupts of a PCI function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msix {
    /// The base address register behind which the table lies.
    pub bar: u8,
    /// Bytes from there.
    pub table: u64,
    /// How many are used.
    pub vectors: u32,
    /// Where its capability lies in configuration space.
    pub capability: u16,
}

/// A write that silences a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiesce {
    /// The base address register behind which it lies; `None`: the first of `registers`.
    pub bar: Option<u8>,
    /// Bytes from there.
    pub at: u64,
    /// Its bytes: 1, 2 or 4.
    pub width: u32,
    /// What is written.
    pub value: u64,
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
    /// Where it is on the bus.
    pub pci: Field<PciAddress>,
    /// What boot has to find there.
    pub id: Field<PciId>,
    /// Base address registers: number and bytes.
    pub bars: Vec<(u8, At<u64>)>,
    /// Message interrupts.
    pub msix: Option<At<Msix>>,
    /// What silences it.
    pub quiesce: Option<Quiesce>,
    /// The emulator's model of it.
    pub qemu: Field<Text>,
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
        let pci = r.parsed("pci", "PCI address", parse_pci);
        let dma = r.word("dma", &["none", "iommu", "direct"]);
        let head = table.head;
        let written =
            table.entry("dma").map(|(key, node)| crate::source::Place { start: key.place.start, ..node.place });
        let dma = match dma.good().map(|d| d.value) {
            Some("iommu") => Dma::Iommu,
            Some("direct") => Dma::Direct,
            None if pci.is_written() => Dma::Iommu,
            _ => Dma::None,
        };
        let list = |f: Field<Vec<At<(u64, u64)>>>| f.good().map(|f| f.value.clone()).unwrap_or_default();
        let bars = r.table("bars").map(|t| bars(t, r.cx)).unwrap_or_default();
        let msix = r.table("msix").and_then(|t| msix(t, r.cx));
        let quiesce = r.table("quiesce").and_then(|t| quiesce(t, r.cx));
        let kernel = board && r.truth("kernel").good().is_some_and(|k| k.value);
        Device {
            id: r.parsed("id", "PCI id", parse_pci_id),
            qemu: r.text("qemu"),
            pci,
            bars,
            msix,
            quiesce,
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

fn bars(table: &Table, cx: &mut Cx<'_>) -> Vec<(u8, At<u64>)> {
    let mut r = Reader::new(table, &keys::BARS, cx);
    let sizes = ["0", "1", "2", "3", "4", "5"].map(|key| r.size(key));
    let good = |(number, size): (u8, Field<u64>)| Some((number, size.good().cloned()?));
    (0..).zip(sizes).filter_map(good).collect()
}

fn msix(table: &Table, cx: &mut Cx<'_>) -> Option<At<Msix>> {
    let mut r = Reader::new(table, &keys::MSIX, cx);
    let (bar, vectors) = (r.number("bar", 0, 5), r.number("vectors", 1, 64));
    r.require("bar", &bar, None);
    r.require("vectors", &vectors, None);
    let offset = r.number("table", 0, i64::from(i32::MAX)).good().map_or(0, |at| at.value);
    let capability = r.number("capability", 0x40, 0xf4);
    r.require("capability", &capability, None);
    let (bar, vectors) = (bar.good()?.value, vectors.good()?.value);
    let msix = Msix {
        bar: u8::try_from(bar).ok()?,
        table: u64::try_from(offset).ok()?,
        vectors: u32::try_from(vectors).ok()?,
        capability: u16::try_from(capability.good()?.value).ok()?,
    };
    Some(At::new(msix, table.head))
}

fn quiesce(table: &Table, cx: &mut Cx<'_>) -> Option<Quiesce> {
    let mut r = Reader::new(table, &keys::QUIESCE, cx);
    let (at, width) = (r.number("at", 0, i64::from(i32::MAX)), r.number("width", 1, 4));
    r.require("at", &at, None);
    let value = r.number("value", 0, i64::from(u32::MAX)).good().map_or(0, |value| value.value);
    Some(Quiesce {
        bar: r.number("bar", 0, 5).good().and_then(|bar| u8::try_from(bar.value).ok()),
        at: u64::try_from(at.good()?.value).ok()?,
        width: width.good().and_then(|width| u32::try_from(width.value).ok()).unwrap_or(4),
        value: u64::try_from(value).ok()?,
    })
}
