// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `board.toml`: what a board is. Written once by whoever ports it.
//!
//! ```toml
//! arch            = "aarch64"                    # or "x86_64"
//! cores           = 4
//! ram             = ["0x4000_0000+1GiB"]
//! reserved        = []                           # ranges that firmware keeps
//! tick            = "16ns"                       # resolution of the schedule timer
//! shortest-window = "100us"                      # measured: ten times the cost of a switch
//! console         = "uart0"                      # the kernel prints here until a partition owns it
//! # iommu         = "smmuv3"
//!
//! [kernel]
//! load = 0x4020_0000                             # physical
//!
//! [option]
//! gic = [3, 2]                                   # the first is the default
//!
//! [irqchip]                                      # registers by name, where they can't be found out
//! distributor = "0x0800_0000+64KiB"
//!
//! [buses.pci0]                                   # a PCI bus: its number, where its functions'
//! number        = 0                              # configuration spaces are (from bus 0 on), where
//! configuration = "0xb000_0000+256MiB"           # the plan may put their registers, which slots
//! memory        = "0xe000_0000+256MiB"           # the board's own devices take
//! taken         = ["00:00", "00:1f"]
//!
//! [run]                                          # {cores} and {option} are filled in
//! command   = "qemu-system-aarch64"
//! arguments = ["-machine", "virt,gic-version={gic}", "-smp", "{cores}"]
//!
//! [device.uart0]
//! class      = "uart"
//! registers  = ["0x0900_0000+4KiB"]
//! interrupts = [33]                              # GIC: INTID
//! ```

use crate::file::Device;
use crate::keys;
use crate::reader::{Cx, Field, Reader, Text};
use crate::source::{At, Place};
use crate::text::{parse_range, parse_slot};
use crate::tree::{Node, Table};

/// A PCI bus as written.
#[derive(Clone, Debug)]
pub struct Bus {
    /// Its name.
    pub name: At<String>,
    /// Its table.
    pub table: Table,
    /// Its number.
    pub number: u8,
    /// Configuration space (ECAM) from bus 0 on: (address, bytes).
    pub configuration: Field<(u64, u64)>,
    /// Where base address registers may point: (address, bytes).
    pub memory: Field<(u64, u64)>,
    /// Slots (bus, device) with devices of the board's own.
    pub taken: Vec<At<(u8, u8)>>,
}

/// A board's file as written.
#[derive(Clone, Debug)]
pub struct BoardFile {
    /// The whole file.
    pub table: Table,
    /// `aarch64` or `x86_64`.
    pub arch: Field<&'static str>,
    /// Number of cores.
    pub cores: Field<i64>,
    /// (address, bytes).
    pub ram: Field<Vec<At<(u64, u64)>>>,
    /// (address, bytes).
    pub reserved: Field<Vec<At<(u64, u64)>>>,
    /// The kind of IOMMU, if there is one.
    pub iommu: Field<Text>,
    /// Nanoseconds.
    pub tick: Field<u64>,
    /// Nanoseconds.
    pub shortest_window: Field<u64>,
    /// A device's name.
    pub console: Field<Text>,
    /// Option → values; the first is the default.
    pub options: Vec<(At<String>, Vec<Node>)>,
    /// Physical address.
    pub kernel_load: Field<i64>,
    /// Name → (address, bytes).
    pub irqchip: Vec<(String, (u64, u64))>,
    /// PCI buses.
    pub buses: Vec<Bus>,
    /// The emulator's program.
    pub command: Option<String>,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Devices.
    pub devices: Vec<Device>,
}

impl BoardFile {
    /// Reads a board's file.
    pub fn read(table: &Table, cx: &mut Cx<'_>) -> Self {
        let mut r = Reader::new(table, &keys::BOARD, cx);
        let arch = r.word("arch", &["aarch64", "x86_64"]);
        r.require("arch", &arch, None);
        let cores = r.number("cores", 1, 1024);
        r.require("cores", &cores, None);
        let ram = r.parsed_list("ram", "range", |t| parse_range(t, false));
        r.require("ram", &ram, None);
        let mut options = Vec::new();
        if let Some(t) = r.table("option") {
            for (key, node) in &t.entries {
                if let crate::tree::Value::Array(values) = &node.value {
                    options.push((At::new(key.name.clone(), key.place), values.clone()));
                }
            }
        }
        let mut kernel_load = Field::Absent;
        match r.table("kernel") {
            Some(t) => {
                let mut r = Reader::new(t, &keys::KERNEL, r.cx);
                kernel_load = r.number("load", 0, i64::MAX);
                r.require("load", &kernel_load, None);
            }
            None => r.missing("kernel", None),
        }
        let mut irqchip = Vec::new();
        if let Some(t) = r.table("irqchip") {
            let mut r = Reader { table: t, kind: &keys::BOARD, cx: r.cx };
            for (key, _) in &t.entries {
                if let Field::Good(at) = r.parsed(&key.name, "range", |t| parse_range(t, false)) {
                    irqchip.push((key.name.clone(), at.value));
                }
            }
        }
        let mut buses = Vec::new();
        for (name, t) in r.tables("buses") {
            buses.push(Bus::read(name, t, r.cx));
        }
        let (mut command, mut arguments) = (None, Vec::new());
        if let Some(t) = r.table("run") {
            let mut r = Reader::new(t, &keys::RUN, r.cx);
            command = r.text("command").good().map(|t| t.value.text.clone());
            arguments = r
                .texts("arguments")
                .good()
                .map(|l| l.value.iter().map(|t| t.value.text.clone()).collect())
                .unwrap_or_default();
        }
        let mut devices = Vec::new();
        for (name, t) in r.tables("device") {
            devices.push(Device::read(name, t, true, r.cx));
        }
        BoardFile {
            arch,
            cores,
            ram,
            reserved: r.parsed_list("reserved", "range", |t| parse_range(t, false)),
            iommu: r.text("iommu"),
            tick: r.time("tick", false),
            shortest_window: r.time("shortest-window", false),
            console: r.text("console"),
            options,
            kernel_load,
            irqchip,
            buses,
            command,
            arguments,
            devices,
            table: table.clone(),
        }
    }

    /// A key and its value, as one place to point at.
    pub fn line(&self, key: &str) -> Option<Place> {
        self.table.entry(key).map(|(k, n)| Place { start: k.place.start, ..n.place })
    }
}

impl Bus {
    fn read(name: At<String>, table: &Table, cx: &mut Cx<'_>) -> Self {
        let mut r = Reader::new(table, &keys::BUS, cx);
        let number = r.number("number", 0, 255).good().map_or(0, |n| n.value);
        let configuration = r.parsed("configuration", "range", |t| parse_range(t, false));
        r.require("configuration", &configuration, None);
        let memory = r.parsed("memory", "range", |t| parse_range(t, false));
        r.require("memory", &memory, None);
        let taken = r.parsed_list("taken", "slot", parse_slot).good().map(|l| l.value.clone()).unwrap_or_default();
        Bus { name, number: u8::try_from(number).unwrap_or(0), configuration, memory, taken, table: table.clone() }
    }
}
