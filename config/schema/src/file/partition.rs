// SPDX-FileCopyrightText: The Parzelle authors
// SPDX-License-Identifier: Apache-2.0 OR MIT

//! `[partition.NAME]`.

use super::not_yet;
use crate::keys;
use crate::reader::{Cx, Field, Reader, Text};
use crate::source::At;
use crate::text::parse_time_rate;
use crate::tree::{Node, Table, Value};

/// A partition as written.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Its name.
    pub name: At<String>,
    /// Its table.
    pub table: Table,
    /// A crate's name.
    pub krate: Field<Text>,
    /// A program that was built elsewhere.
    pub elf: Field<Text>,
    /// A folder of C sources (not supported yet).
    pub c: Field<Text>,
    /// An operating system.
    pub guest: Option<Guest>,
    /// Features of the crate.
    pub features: Field<Vec<At<Text>>>,
    /// Handed to the program.
    pub config: Option<Table>,
    /// RAM, bytes.
    pub memory: Field<u64>,
    /// Stack per vCPU, bytes.
    pub stack: Field<u64>,
    /// Cores, one per vCPU.
    pub cores: Field<Vec<At<i64>>>,
    /// The windows it shares.
    pub time_partition: Field<Text>,
    /// 0–255.
    pub priority: Field<i64>,
    /// (time, period), nanoseconds.
    pub promise: Field<(u64, u64)>,
    /// (time, period), nanoseconds.
    pub limit: Field<(u64, u64)>,
    /// Its health table.
    pub health: Field<Text>,
    /// `auto` or `idle`.
    pub start: Field<&'static str>,
    /// Rights.
    pub may: May,
    /// Devices that it owns.
    pub devices: Field<Vec<At<Text>>>,
    /// `isolated` or `trusted`.
    pub dma: Field<&'static str>,
    /// Bytes that its devices reach.
    pub dma_memory: Field<u64>,
    /// Where its memory lies.
    pub physical: Field<i64>,
    /// Whether FP/SIMD is saved and restored.
    pub fp: Field<bool>,
}

/// Rights as written.
#[derive(Clone, Debug, Default)]
pub struct May {
    /// Schedules.
    pub switch_schedule: Field<Vec<At<Text>>>,
    /// Partitions.
    pub start_stop: Field<Vec<At<Text>>>,
    /// Partitions.
    pub statistics: Field<Vec<At<Text>>>,
    /// Partitions.
    pub trace: Field<Vec<At<Text>>>,
    /// `reset`, `stop`.
    pub module: Field<Vec<At<Text>>>,
}

/// `[partition.NAME.guest]`.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its table.
    pub table: Table,
    /// The kernel's path.
    pub kernel: Field<Text>,
    /// The initial RAM disk's path.
    pub initrd: Field<Text>,
    /// The command line.
    pub cmdline: Field<Text>,
    /// Bytes of the table pool.
    pub page_tables: Field<u64>,
    /// Whether the shim may tune the kernel.
    pub tune: Field<bool>,
}

impl Partition {
    /// Reads `[partition.NAME]`.
    pub fn read(name: At<String>, table: &Table, cx: &mut Cx<'_>) -> Self {
        let mut r = Reader::new(table, &keys::PARTITION, cx);
        let guest = r.table("guest").map(|t| Guest::read(t, r.cx));
        if let Some((_, node)) = table.entry("process") {
            let place = match &node.value {
                Value::Table(t) => t.entries.first().map_or(t.head, |(_, first)| first.place),
                _ => node.place,
            };
            not_yet(r.cx, "declared processes are", place, "this process", "APEX");
        }
        let c = r.text("c");
        if let Some(place) = c.place() {
            not_yet(r.cx, "programs in C are", place, "this folder of sources", "APEX");
        }
        let may = r.table("may").map(|t| May::read(t, r.cx)).unwrap_or_default();
        Partition {
            krate: r.text("crate"),
            elf: r.text("elf"),
            c,
            guest,
            features: r.texts("features"),
            config: r.table("config").cloned(),
            memory: r.size("memory"),
            stack: r.size("stack"),
            cores: r.numbers("cores", 0, 1023),
            time_partition: r.text("time-partition"),
            priority: r.number("priority", 0, 255),
            promise: r.parsed("promise", "rate", parse_time_rate),
            limit: r.parsed("limit", "rate", parse_time_rate),
            health: r.text("health"),
            start: r.word("start", &["auto", "idle"]),
            may,
            devices: r.texts("devices"),
            dma: r.word("dma", &["isolated", "trusted"]),
            dma_memory: r.size("dma-memory"),
            physical: r.number("physical", 0, i64::MAX),
            fp: r.truth("fp"),
            table: table.clone(),
            name,
        }
    }

    /// `crate`, `elf`, `c` and `guest`, as far as they are written: key and value.
    pub fn programs(&self) -> Vec<(&'static str, &Node)> {
        ["crate", "elf", "c", "guest"]
            .into_iter()
            .filter_map(|key| self.table.entry(key).map(|(_, node)| (key, node)))
            .collect()
    }
}

impl May {
    fn read(table: &Table, cx: &mut Cx<'_>) -> Self {
        let mut r = Reader::new(table, &keys::MAY, cx);
        May {
            switch_schedule: r.texts("switch-schedule"),
            start_stop: r.texts("start-stop"),
            statistics: r.texts("statistics"),
            trace: r.texts("trace"),
            module: r.texts("module"),
        }
    }
}

impl Guest {
    fn read(table: &Table, cx: &mut Cx<'_>) -> Self {
        let mut r = Reader::new(table, &keys::GUEST, cx);
        let kernel = r.text("kernel");
        r.require("kernel", &kernel, None);
        Guest {
            kernel,
            initrd: r.text("initrd"),
            cmdline: r.text("cmdline"),
            page_tables: r.size("page-tables"),
            tune: r.truth("tune"),
            table: table.clone(),
        }
    }
}
